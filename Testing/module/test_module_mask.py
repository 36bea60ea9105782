"""The global mask of a run in the panel: a segment at its place, one line of facts, and whose it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from Agg2ExpLib.io.write import write_volume
from Agg2ExpLib.runs.results import Results
from support.module_panel import Panel
from support.small_result import MASK_FACTS, write_result

OBLIQUE = (11.0, -23.0, 31.0)


@pytest.fixture
def panel(slicerApp, tmp_path: Path) -> Iterator[Panel]:  # noqa: N803
    return Panel(slicerApp, tmp_path, Path("none"))


def write(folder: Path, samples: int = 7, **options: Any) -> Results:
    write_result(folder, **{"global_mask": True, **options})
    file = folder / "run.json"
    run = json.loads(file.read_text())
    coverage = 0.9 if options.get("global_mask", True) else None
    run |= {"parameters": {"method": "smoothgrad", "samples": samples, "mask_coverage": coverage}}
    run |= {"ct": {"sha256": "1"}, "weights": {"sha256": "2"}}
    file.write_text(json.dumps(run))
    return Results.open(folder)


def load(panel: Panel, folder: Path, ct: Any = None) -> None:
    assert panel.controller.loadFolder(folder, ct)
    panel.wait()
    assert not panel.controller.failed, panel.controller.message


def masks() -> list[Any]:
    import slicer

    return [node for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if "global mask" in node.GetName()]


def places(array: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """RAS of every voxel of a mask in 0.01 mm, in an order of their own."""
    ras = np.argwhere(array > 0) @ affine[:3, :3].T + affine[:3, 3]
    return np.unique(np.rint(100 * ras).astype(int), axis=0)


@pytest.mark.parametrize("own_ct", [True, False])
def test_its_voxels_lie_where_the_file_has_them(panel: Panel, tmp_path: Path, own_ct: bool) -> None:
    import slicer

    from Agg2ExpLib.views.mrml_nodes import add_volume
    from Agg2ExpModuleLib.scene.SceneVolumes import segmentMask

    results = write(tmp_path / "result", angles=OBLIQUE)
    ct = None
    if not own_ct:  # larger than the model grid, finer and turned
        affine = np.diag([-2.0, -2.0, 3.0, 1.0])
        affine[:3, 3] = (250.0, 300.0, -700.0)
        ct = add_volume(slicer.mrmlScene, np.zeros((220, 210, 190), np.int16), affine, "scan")
    load(panel, tmp_path / "result", ct)
    record = panel.record
    assert record.globalMask.GetSegmentation().GetSegment("global_mask").GetName() == "Global mask"
    file = results.global_mask()
    assert file.array.sum() > 500
    np.testing.assert_array_equal(places(*segmentMask(record.globalMask, "global_mask")), places(file.array, file.affine))


def test_it_is_outlined_and_tinted_and_can_be_hidden(panel: Panel, tmp_path: Path) -> None:
    import slicer

    write(tmp_path / "result")
    panel.open("display")
    assert not panel.ui.maskFrame.visible
    load(panel, tmp_path / "result")
    record, display = panel.record, panel.record.globalMask.GetDisplayNode()
    assert (display.GetVisibility2DOutline(), display.GetVisibility2DFill(), display.GetVisibility3D()) == (1, 1, 0)
    assert display.GetVisibility2D()
    colors = [np.array(node.GetSegmentation().GetNthSegment(0).GetColor()) for node in (record.globalMask, record.segmentation)]
    assert np.abs(colors[0] - colors[1]).max() > 0.2
    assert panel.ui.maskFrame.visible
    panel.ui.showMaskCheckBox.click()
    assert not display.GetVisibility2D()
    panel.parameters.mapLabel = "lung_upper_lobe_left"
    assert not display.GetVisibility2D()
    panel.ui.showMaskCheckBox.click()
    assert display.GetVisibility2D()
    panel.parameters.outline = False  # the label's own outline is another matter
    assert display.GetVisibility2D()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    parents = [hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) for node in (record.globalMask, record.segmentation)]
    assert parents[0] == parents[1]


def test_the_line_tells_what_was_measured(panel: Panel, tmp_path: Path) -> None:
    from Agg2ExpModuleLib.panel.GlobalMaskRow import maskText

    write(tmp_path / "result")
    load(panel, tmp_path / "result")
    assert panel.ui.maskNote.text == (
        "2 of 4 supervoxels, 92 % of the attribution in 1.2 % of the volume.\n"
        "Dice with only the mask: Heart 0.88, Lung upper lobe left –; without it: 0.10, 1.00."
    )
    many = {label.name: {"only_mask": 0.5, "without_mask": 0.25} for label in panel.record.labels[1:]}
    panel.record.run = {**panel.record.run, "global_mask": {**MASK_FACTS, "dice": many}}
    assert maskText(panel.record, 4).endswith("without it: 0.25, 0.25, 0.25, 0.25. 12 more labels: hover here.")
    assert maskText(panel.record).count("0.50") == 16
    panel.record.run = {**panel.record.run, "global_mask": {}}
    assert maskText(panel.record) == ""


def test_a_newer_run_of_the_record_replaces_it(panel: Panel, tmp_path: Path) -> None:
    write(tmp_path / "first")
    load(panel, tmp_path / "first")
    first, ct = panel.record, panel.widget.state.ct
    without = write(tmp_path / "none", global_mask=False)
    load(panel, tmp_path / "none", ct)
    assert panel.record.node is first.node
    assert len(masks()) == 1, "a run without a mask takes none away"
    assert panel.record.run["global_mask"] == MASK_FACTS
    assert panel.ui.maskNote.text
    write(tmp_path / "second")
    other = np.zeros_like(without.segmentation().array)
    other[5:9, 5:9, 5:9] = 1
    write_volume(tmp_path / "second" / "global_mask.nii.gz", other, without.ct().affine, compress=True)
    load(panel, tmp_path / "second", ct)
    assert panel.record.node is first.node
    (mask,) = masks()
    assert mask is panel.record.globalMask
    center = without.ct().affine @ np.array([6.5, 6.5, 6.5, 1.0])
    np.testing.assert_allclose(mask.GetSegmentCenterRAS("global_mask"), center[:3], atol=3.1)  # half a voxel
    write(tmp_path / "empty")
    write_volume(tmp_path / "empty" / "global_mask.nii.gz", np.zeros_like(other), without.ct().affine, compress=True)
    load(panel, tmp_path / "empty", ct)
    assert masks() == []
    panel.open("display")
    assert not panel.ui.maskFrame.visible


def test_every_record_has_its_own(panel: Panel, tmp_path: Path) -> None:
    from Agg2ExpModuleLib.scene.ResultsInScene import removeRecord

    write(tmp_path / "first")
    load(panel, tmp_path / "first")
    first, ct = panel.record, panel.widget.state.ct
    write(tmp_path / "second", samples=9)
    load(panel, tmp_path / "second", ct)
    second = panel.record
    assert second.node is not first.node
    shown = {record: record.globalMask.GetDisplayNode().GetVisibility2D() for record in (first, second)}
    assert list(shown.values()) == [0, 1]
    panel.parameters.record = first.node
    assert first.globalMask.GetDisplayNode().GetVisibility2D()
    assert not second.globalMask.GetDisplayNode().GetVisibility2D()
    kept = second.globalMask
    removeRecord(first)
    assert masks() == [kept]


def test_saved_opened_and_exported_without_the_folder(panel: Panel, tmp_path: Path) -> None:
    import slicer

    before = write(tmp_path / "result", angles=OBLIQUE).global_mask()
    array = before.array.copy()
    load(panel, tmp_path / "result")
    panel.parameters.showMask = False
    (tmp_path / "saved").mkdir()
    assert slicer.util.saveScene(str(tmp_path / "saved" / "scene.mrb"))
    shutil.rmtree(tmp_path / "result")
    slicer.mrmlScene.Clear()
    slicer.util.loadScene(str(tmp_path / "saved" / "scene.mrb"))
    panel.app.app.processEvents()
    assert panel.record.globalMask is masks()[0]
    assert "2 of 4 supervoxels" in panel.ui.maskNote.text
    assert not panel.ui.showMaskCheckBox.checked
    assert not masks()[0].GetDisplayNode().GetVisibility2D()
    panel.parameters.exportTables = panel.parameters.exportMaps = panel.parameters.exportPictures = False
    panel.parameters.exportFolderCopy = True
    assert panel.widget.exporting.export(tmp_path / "export")
    panel.wait()
    assert not panel.controller.failed, panel.controller.message
    after = Results.open(tmp_path / "export" / "small thorax result")
    np.testing.assert_array_equal(after.global_mask().array, array)
    np.testing.assert_allclose(after.global_mask().affine, before.affine, atol=1e-4)
    assert after.run["global_mask"] == MASK_FACTS


def test_pictures_of_a_label_do_not_show_it(panel: Panel, tmp_path: Path) -> None:
    """Their legend would not tell what the line is."""
    from Agg2ExpLib.views.mrml import SceneNodes
    from Agg2ExpLib.views.render import open_views, render_label

    write(tmp_path / "result")
    load(panel, tmp_path / "result")
    record = panel.record

    import slicer

    def pictures() -> list[np.ndarray]:
        parts = (record.ct, record.segmentation, record.overlays, record.table, record.extra)
        nodes = SceneNodes(slicer.mrmlScene, *parts, global_mask=record.globalMask)
        views = open_views(nodes, "Test")
        try:
            return [np.asarray(picture.pixels) for _name, picture in render_label(nodes, "heart", views)]
        finally:
            for view in views.values():
                view.close()

    display = record.globalMask.GetDisplayNode()
    with_mask = pictures()
    assert display.GetVisibility2D()  # as before
    display.SetVisibility2D(False)
    for one, other in zip(with_mask, pictures(), strict=True):
        np.testing.assert_array_equal(one, other)
