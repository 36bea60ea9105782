"""A results folder in an MRML scene: places, colours, names and what a saved scene keeps."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from vtk.util.numpy_support import vtk_to_numpy  # noqa: E402

from Agg2ExpLib.errors import InputError  # noqa: E402
from Agg2ExpLib.io.volume import Volume  # noqa: E402
from Agg2ExpLib.models.labels import PAPER_LABELS, Label  # noqa: E402
from Agg2ExpLib.views import mrml  # noqa: E402
from Agg2ExpLib.views.mrml_bundle import write_bundle  # noqa: E402
from Agg2ExpLib.views.mrml_colors import absolute_quantiles, overlay_scale, set_overlay_threshold, signed_colors  # noqa: E402
from Agg2ExpLib.views.mrml_nodes import affine_of, array_of  # noqa: E402
from Agg2ExpLib.views.render import segment_mask  # noqa: E402
from support.small_result import EXPLAINED, HEART, SHAPE, TRACHEA_VOXEL, write_result  # noqa: E402

OBLIQUE = (11.0, -23.0, 31.0)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return write_result(tmp_path_factory.mktemp("straight") / "result")


@pytest.fixture
def nodes(results):
    return mrml.show_results(results, mrml.new_scene())


def shown_voxels(node) -> np.ndarray:
    """Which voxels ``[x, y, z]`` a slice view would draw: the alpha of the display node's own pipeline."""
    producer = node.GetDisplayNode().GetOutputImageDataConnection().GetProducer()
    producer.Update()
    image = producer.GetOutput()
    return vtk_to_numpy(image.GetPointData().GetScalars())[:, -1].reshape(image.GetDimensions()[::-1]).T > 0


def value_at(node, ras) -> float:
    """What a volume node holds at a patient position, by VTK's own matrices and accessors."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetRASToIJKMatrix(matrix)
    ijk = matrix.MultiplyPoint((*ras, 1.0))[:3]
    np.testing.assert_allclose(ijk, np.round(ijk), atol=1e-6)
    return node.GetImageData().GetScalarComponentAsDouble(*(round(part) for part in ijk), 0)


@pytest.mark.parametrize("angles", [(0, 0, 0), OBLIQUE])
def test_everything_lies_at_its_place_in_the_patient(tmp_path, angles):
    results = write_result(tmp_path / "result", angles)
    nodes = mrml.show_results(results, mrml.new_scene())
    ct, attribution = results.ct(), results.attribution("heart")
    rng = np.random.default_rng(0)
    for index in rng.integers(0, SHAPE, size=(40, 3)):
        ras = ct.affine[:3, :3] @ index + ct.affine[:3, 3]
        assert value_at(nodes.ct, ras) == ct.array[tuple(index)]
        assert value_at(nodes.overlays["heart"], ras) == pytest.approx(float(attribution.array[tuple(index)]), rel=1e-6)
    only_voxel = ct.affine[:3, :3] @ np.array(TRACHEA_VOXEL) + ct.affine[:3, 3]
    np.testing.assert_allclose(nodes.segmentation.GetSegmentCenterRAS("trachea"), only_voxel, atol=1e-4)
    np.testing.assert_allclose(affine_of(nodes.ct), ct.affine, atol=1e-9)
    heart = np.argwhere(results.segmentation().array == HEART).mean(axis=0)
    np.testing.assert_allclose(
        nodes.segmentation.GetSegmentCenterRAS("heart"), ct.affine[:3, :3] @ heart + ct.affine[:3, 3], atol=6
    )


def test_a_global_mask_is_a_segment_of_its_own(tmp_path, nodes):
    results = write_result(tmp_path / "result", OBLIQUE, global_mask=True)
    found = mrml.show_results(results, mrml.new_scene())
    mask = results.global_mask()
    part, affine = segment_mask(found.global_mask, "global_mask")
    in_file = np.argwhere(mask.array > 0) @ mask.affine[:3, :3].T + mask.affine[:3, 3]
    in_scene = np.argwhere(part) @ affine[:3, :3].T + affine[:3, 3]
    np.testing.assert_allclose(in_scene, in_file, atol=1e-4)
    display = found.global_mask.GetDisplayNode()
    assert (display.GetVisibility2DOutline(), display.GetVisibility2DFill(), display.GetVisibility3D()) == (1, 1, 0)
    assert found.global_mask in found.all_nodes()
    assert nodes.global_mask is None
    assert None not in nodes.all_nodes()


def test_overlays_show_the_strongest_five_percent(nodes, results):
    for name in EXPLAINED:  # one map has two strong blobs, one is weak noise of 1e-7
        values = np.abs(results.attribution(name).array)
        shown = shown_voxels(nodes.overlays[name])
        assert shown.mean() == pytest.approx(0.05, abs=2e-5)
        assert values[shown].min() >= values[~shown].max()


@pytest.mark.parametrize(("percentile", "share"), [(0, 1.0), (50, 0.5), (99, 0.01), (99.9, 0.001)])
def test_threshold_follows_the_percentile(nodes, percentile, share):
    overlay = nodes.overlays["heart"]
    threshold = set_overlay_threshold(overlay, percentile)
    shown = shown_voxels(overlay)
    assert shown.mean() == pytest.approx(share, abs=2e-4 if percentile else 0.01)
    assert np.abs(array_of(overlay))[shown].min() >= threshold * (1 - 1e-6)


def test_one_sign_alone_can_be_shown(nodes):
    overlay = nodes.overlays["heart"]
    values = array_of(overlay)
    both = shown_voxels(overlay)
    set_overlay_threshold(overlay, 95, "supporting")
    np.testing.assert_array_equal(shown_voxels(overlay), both & (values > 0))
    set_overlay_threshold(overlay, 95, "opposing")
    np.testing.assert_array_equal(shown_voxels(overlay), both & (values < 0))
    set_overlay_threshold(overlay, 99)
    assert not (shown_voxels(overlay) & (values > 0)).any(), "the sign stays when only the percentile moves"


def test_red_supports_and_blue_opposes():
    table = signed_colors(10)
    assert (table[138:, 0] > table[138:, 2]).all()
    assert (table[:117, 2] > table[:117, 0]).all()
    np.testing.assert_array_equal(np.flatnonzero(table[:, 3] == 0), np.arange(117, 138))


@pytest.mark.parametrize("kind", ["zeros", "few voxels", "one sign"])
def test_unusual_maps(results, kind):
    values = np.zeros(SHAPE, np.float32)
    if kind == "few voxels":
        values[3, 4, 5], values[10, 20, 30] = 2.0, -1.0
    elif kind == "one sign":
        values += np.linspace(1, 2, values.size, dtype=np.float32).reshape(SHAPE)
    volume = Volume(values, results.ct().affine, "map")
    overlay = mrml.add_overlay(mrml.new_scene(), volume, "map", "heart")
    expected = {"zeros": 0, "few voxels": 2, "one sign": values.size // 20}[kind]
    assert shown_voxels(overlay).sum() == pytest.approx(expected, rel=0.01)


def test_quantiles_of_large_maps_are_sampled_evenly():
    values = np.random.default_rng(1).normal(size=(150, 140, 130)).astype(np.float32)
    threshold, window, k = overlay_scale(absolute_quantiles(values), 95)
    assert (np.abs(values) >= threshold).mean() == pytest.approx(0.05, abs=1e-3)
    assert threshold == pytest.approx(window * (2 * k + 1) / 255)


def test_an_updated_map_keeps_its_percentile(nodes, results):
    overlay = nodes.overlays["heart"]
    set_overlay_threshold(overlay, 99)
    mrml.update_overlay(overlay, results.attribution("heart").array * 1000)
    assert shown_voxels(overlay).mean() == pytest.approx(0.01, abs=2e-4)
    with pytest.raises(ValueError, match="voxels"):
        mrml.update_overlay(overlay, np.zeros((3, 3, 3), np.float32))
    with pytest.raises(ValueError, match="not an attribution overlay"):
        set_overlay_threshold(nodes.ct)


def test_segments_have_names_colours_and_codes(nodes):
    content = nodes.segmentation.GetSegmentation()
    assert set(content.GetSegmentIDs()) == {"heart", "lung_upper_lobe_left", "trachea"}, "labels without a voxel have no segment"
    label = next(label for label in PAPER_LABELS if label.name == "lung_upper_lobe_left")
    segment = content.GetSegment(label.name)
    assert segment.GetName() == "Lung upper lobe left"
    np.testing.assert_allclose(segment.GetColor(), np.array(label.color) / 255, atol=1e-6)
    entry = slicer.vtkSlicerTerminologyEntry()
    logic = slicer.vtkSlicerTerminologiesModuleLogic()
    assert logic.DeserializeTerminologyEntry(segment.GetTerminology(), entry) or entry.GetTypeObject().GetCodeValue()
    assert (entry.GetTypeObject().GetCodeValue(), entry.GetTypeModifierObject().GetCodeMeaning()) == ("45653009", "Left")
    assert mrml.terminology(Label("thing", 1, (0, 0, 0), "other organs")) is None
    assert nodes.extra.GetSegmentation().GetSegment("lesion").GetName() == "Lesion"


def test_table_holds_the_matrix(nodes, results):
    matrix, table = results.importance(), nodes.table.GetTable()
    assert [table.GetColumnName(index) for index in range(table.GetNumberOfColumns())] == ["label", *matrix.columns]
    for row, name in enumerate(matrix.rows):
        assert table.GetValue(row, 0).ToString() == name
        values = [table.GetValue(row, column + 1).ToDouble() for column in range(len(matrix.columns))]
        np.testing.assert_allclose(values, matrix.mass[row], rtol=1e-12)


def test_second_patient_gets_a_folder_and_nodes_of_its_own(nodes, tmp_path):
    second = mrml.show_results(write_result(tmp_path / "b", patient="second"), nodes.scene)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(nodes.scene)
    for one, name in ((nodes, "small thorax"), (second, "second")):
        assert hierarchy.GetItemName(one.folder_item) == name
        for node in one.all_nodes():
            assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == one.folder_item
    assert not {node.GetID() for node in nodes.all_nodes()} & {node.GetID() for node in second.all_nodes()}


def test_results_join_a_ct_that_the_scene_has(results):
    first = mrml.show_results(results, mrml.new_scene(), labels=["heart"])
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(first.scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "study")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(first.ct), study)
    again = mrml.show_results(results, first.scene, ct=first.ct, labels=["heart"])
    assert again.ct is first.ct
    assert list(again.overlays) == ["heart"]
    assert first.scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 3
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(first.ct)) == study, "the user's CT stays where it is"
    assert hierarchy.GetItemParent(again.folder_item) == study
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(again.overlays["heart"])) == again.folder_item


def test_a_saved_scene_opens_the_same(nodes, results, tmp_path):
    set_overlay_threshold(nodes.overlays["heart"], 98, "supporting")
    before = shown_voxels(nodes.overlays["heart"])
    path = tmp_path / "scene.mrb"
    mrml.save_scene(nodes.scene, path)
    assert list(tmp_path.iterdir()) == [path]
    with zipfile.ZipFile(path) as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {"scene"}
        archive.extractall(tmp_path)
    written = (tmp_path / "scene" / "scene.mrml").read_text(encoding="utf-8")
    assert str(tmp_path) not in written
    scene = mrml.new_scene()
    scene.SetURL(str(tmp_path / "scene" / "scene.mrml"))
    assert scene.Connect()
    for original in [nodes.ct, *nodes.overlays.values()]:
        loaded = scene.GetFirstNodeByName(original.GetName())
        np.testing.assert_array_equal(array_of(loaded), array_of(original))
        np.testing.assert_allclose(affine_of(loaded), results.ct().affine, atol=1e-4)
    overlay = scene.GetFirstNodeByName(nodes.overlays["heart"].GetName())
    np.testing.assert_array_equal(shown_voxels(overlay), before)
    set_overlay_threshold(overlay, 90)
    assert shown_voxels(overlay).sum() > before.sum()
    content = scene.GetFirstNodeByName(nodes.segmentation.GetName()).GetSegmentation()
    original = nodes.segmentation.GetSegmentation()
    assert content.GetSegmentIDs() == original.GetSegmentIDs()
    for name in original.GetSegmentIDs():
        assert content.GetSegment(name).GetTerminology() == original.GetSegment(name).GetTerminology()
    table = scene.GetFirstNodeByClass("vtkMRMLTableNode")
    assert table.GetCellText(0, 0) == nodes.table.GetCellText(0, 0)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    assert hierarchy.GetItemName(hierarchy.GetItemParent(hierarchy.GetItemByDataNode(overlay))) == "small thorax"


def test_without_slicer_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "slicer", None)
    with pytest.raises(InputError, match="pip install"):
        mrml.require_slicer()


def test_a_scene_is_saved_under_a_relative_path(nodes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mrml.save_scene(nodes.scene, Path("scene.mrb"))
    assert [path.name for path in tmp_path.iterdir()] == ["scene.mrb"]


def test_a_scene_that_cannot_be_written_says_so(nodes, tmp_path):
    with pytest.raises(InputError, match="Cannot write"):
        mrml.save_scene(nodes.scene, tmp_path / "missing" / "scene.mrb")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep file names in Unicode")
def test_a_scene_in_a_folder_whose_name_is_no_utf8(tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/Erg\xe4bnis"))
    folder.mkdir()
    scene = mrml.new_scene()
    node = scene.AddNewNodeByClass("vtkMRMLTextNode", "words")
    node.SetText("inside")
    write_bundle(scene, folder / "scene.mrb")
    assert [path.name for path in folder.iterdir()] == ["scene.mrb"]
    with zipfile.ZipFile(folder / "scene.mrb") as archive:
        assert any(name.endswith(".mrml") for name in archive.namelist())
