"""What is shown in place of a map's voxels: regions tinted by their importance, and the map smoothed or without its signs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from support.module_panel import Panel, panel_with_result
from support.small_result import SHAPE, affine_of_grid

LUNG = "lung_upper_lobe_left"


@pytest.fixture
def panel(slicerApp, tmp_path: Path) -> Panel:  # noqa: N803
    return panel_with_result(slicerApp, tmp_path, "display")


def picture(panel: Panel) -> Any:
    """The volume in front of the CT, once it is what is wanted."""
    made(panel)
    return panel.widget.display.shown


def made(panel: Panel) -> None:
    panel.wait(lambda: not panel.widget.display.pictures.busy, 30)


def fronts() -> set[str]:
    import slicer

    return {view.GetForegroundVolumeID() for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")}


def legend() -> str:
    import slicer

    shown = [one for one in slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode") if one.GetVisibility()]
    assert len(shown) == 1
    return shown[0].GetTitleText()


def masks(panel: Panel) -> dict[str, np.ndarray]:
    """The regions of the results as they were written."""
    from Agg2ExpLib.runs.results import Results

    results = Results.open(panel.record.folder)
    labels = {label.index: label.name for label in results.labels}
    segmentation = results.segmentation().array
    found = {labels[int(index)]: segmentation == index for index in np.unique(segmentation)}
    return found | {name: region.array > 0 for name, region in results.extra_rois().items()}


def test_every_region_is_tinted_by_its_share_and_the_user_s_colours_stay(panel: Panel) -> None:
    from Agg2ExpLib.views.mrml_nodes import array_of

    segmentation = panel.record.segmentation
    before = [segmentation.GetSegmentation().GetSegment(name).GetColor() for name in ("heart", LUNG)]
    display = segmentation.GetDisplayNode()
    modified = display.GetOpacity2DFill(), display.GetVisibility2DFill(), display.GetSegmentVisibility(LUNG)
    panel.ui.pictureCombo.currentIndex = 1
    assert panel.parameters.picture == "share"
    node = picture(panel)
    assert node is panel.record.picture
    assert fronts() == {node.GetID()}
    values, matrix = array_of(node), panel.record.matrix
    row, regions = matrix.rows.index("heart"), masks(panel)
    shares = 100 * matrix.best()[row]
    lesion = regions["lesion"]
    for name, mask in regions.items():
        seen = mask & ~lesion if name != "lesion" else mask  # further regions lie over labels
        inside = values[seen]
        if name == "background":
            assert (inside < node.GetDisplayNode().GetLowerThreshold()).all(), "no region, no colour"
        else:
            np.testing.assert_allclose(inside, shares[matrix.columns.index(name)], rtol=1e-5)
    assert node.GetDisplayNode().GetApplyThreshold()
    assert not node.GetDisplayNode().GetInterpolate()
    assert node.GetDisplayNode().GetWindowLevelMax() == pytest.approx(
        max(shares[matrix.columns.index(name)] for name in regions if name != "background")
    )
    assert legend() == "Heart\nshare of attribution\nin %"
    assert not panel.ui.strongestSlider.enabled
    assert [segmentation.GetSegmentation().GetSegment(name).GetColor() for name in ("heart", LUNG)] == before
    assert (display.GetOpacity2DFill(), display.GetVisibility2DFill(), display.GetSegmentVisibility(LUNG)) == modified

    panel.ui.pictureCombo.currentIndex = 0
    made(panel)
    assert fronts() == {panel.record.overlays["heart"].GetID()}
    assert legend().startswith("Heart\nred supports")


def test_enrichment_and_net_support(panel: Panel) -> None:
    from Agg2ExpLib.views.mrml_nodes import array_of

    matrix, regions = panel.record.matrix, masks(panel)
    row, lung = matrix.rows.index("heart"), matrix.columns.index(LUNG)
    panel.parameters.picture = "enrichment"
    node = picture(panel)
    assert array_of(node)[regions[LUNG]].mean() == pytest.approx(matrix.best("enrichment")[row, lung], rel=1e-5)
    assert "times its share" in legend()
    panel.parameters.picture = "support"
    assert picture(panel) is node, "one picture, in place"
    net = 100 * (matrix.best("positive_mass") - matrix.best("negative_mass"))[row, lung]
    assert net > 0, "the supporting blob is in the lung"
    assert array_of(node)[regions[LUNG]].mean() == pytest.approx(net, rel=1e-5)
    limit = node.GetDisplayNode().GetWindowLevelMax()
    assert node.GetDisplayNode().GetWindowLevelMin() == -limit
    colors, rgba = node.GetDisplayNode().GetColorNode(), [0.0] * 4
    colors.GetColor(255, rgba)
    assert rgba[0] > rgba[2], "red supports"
    colors.GetColor(0, rgba)
    assert rgba[2] > rgba[0], "blue opposes"
    panel.parameters.mapLabel = LUNG
    assert picture(panel).GetAttribute("Agg2Exp.Label") == LUNG
    assert legend().startswith("Lung upper lobe left")


def test_the_tint_is_seen_in_the_slices(panel: Panel) -> None:
    """Pixels of Slicer's own slice pipeline: the lung is tinted as the table says, the air beside the patient is not."""
    import slicer

    from Agg2ExpLib.views.picture_colors import strength_color

    panel.parameters.picture = "share"
    panel.parameters.opacity = 1.0
    node = picture(panel)
    panel.widget.display.jumpTo(LUNG)
    mapper = node.GetDisplayNode()
    mapper.UpdateImageDataPipeline()
    image = mapper.GetImageDataConnection() and mapper.GetOutputImageDataConnection().GetProducer()
    image.Update()
    from vtk.util.numpy_support import vtk_to_numpy

    rgba = vtk_to_numpy(image.GetOutput().GetPointData().GetScalars()).reshape(*SHAPE[::-1], -1).transpose(2, 1, 0, 3)
    regions = masks(panel)
    lung = rgba[regions[LUNG] & ~regions["lesion"]]
    matrix = panel.record.matrix
    share = 100 * matrix.best()[matrix.rows.index("heart"), matrix.columns.index(LUNG)] / mapper.GetWindowLevelMax()
    np.testing.assert_allclose(lung[:, :3].mean(axis=0), 255 * strength_color(share), atol=3)
    assert (lung[:, 3] == 255).all()
    assert (rgba[regions["background"] & ~regions["lesion"]][:, 3] == 0).all()
    assert slicer.util.getNodesByClass("vtkMRMLSliceNode")


def test_regions_in_3d_are_tinted_and_go(panel: Panel) -> None:
    import slicer

    from Agg2ExpModuleLib.scene.MapSurfaces import surfacesOf
    from Agg2ExpModuleLib.scene.OrganSurfaces import organSurfaces

    drawn = slicer.app.layoutManager().threeDWidget(0).threeDView().draw()
    empty = drawn.pixels()
    panel.parameters.picture = "share"
    panel.ui.in3DCheckBox.click()
    made(panel)
    panel.app.app.processEvents()
    assert (np.abs(drawn.pixels().astype(int) - empty) > 30).any(axis=-1).mean() > 0.02, "they are seen"
    nodes = {node.GetName(): node for node in organSurfaces()}
    assert {"Heart", "Lung upper lobe left", "lesion"} <= set(nodes)
    regions, affine = masks(panel), affine_of_grid()
    for title, name in (("Heart", "heart"), ("Lung upper lobe left", LUNG)):
        bounds = [0.0] * 6
        nodes[title].GetRASBounds(bounds)
        mask = regions[name] & ~regions["lesion"]
        corners = (affine[:3, :3] @ np.argwhere(mask).T + affine[:3, 3:]).T
        np.testing.assert_allclose(np.array(bounds[::2]), corners.min(axis=0), atol=9)
        np.testing.assert_allclose(np.array(bounds[1::2]), corners.max(axis=0), atol=9)
    matrix = panel.record.matrix
    shares = dict(zip(matrix.columns, matrix.best()[matrix.rows.index("heart")], strict=True))
    opacity = {
        name: nodes[title].GetDisplayNode().GetOpacity() for title, name in (("Heart", "heart"), ("Lung upper lobe left", LUNG))
    }
    assert (opacity["heart"] < opacity[LUNG]) == (shares["heart"] < shares[LUNG])
    assert not any(surface.GetDisplayNode().GetVisibility() for surface in surfacesOf(panel.record.overlays["heart"]).values())
    panel.parameters.mapLabel = LUNG
    made(panel)
    assert nodes["Heart"].GetDisplayNode().GetOpacity() != pytest.approx(opacity["heart"]), (
        "tinted for the other label, without making it anew"
    )
    panel.parameters.picture = "voxels"
    made(panel)
    assert organSurfaces() == []


def test_smoothing_is_for_the_eye_and_said_in_the_legend(panel: Panel) -> None:
    from scipy.ndimage import gaussian_filter

    from Agg2ExpLib.views.mrml_nodes import affine_of, array_of

    overlay = panel.record.overlays["heart"]
    before = array_of(overlay).copy()
    panel.ui.smoothingSlider.value = 6.0
    node = picture(panel)
    assert node is panel.record.picture
    spacing = np.linalg.norm(affine_of(overlay)[:3, :3], axis=0)
    middle = (slice(8, -8),) * 3
    expected = gaussian_filter(before.astype(np.float64), 6.0 / spacing)
    np.testing.assert_allclose(array_of(node)[middle], expected[middle], atol=2e-3 * np.abs(expected).max())
    np.testing.assert_array_equal(array_of(overlay), before)
    assert legend().endswith("smoothed 6 mm")
    panel.ui.strongestSlider.value = 2.0
    assert node.GetAttribute("Agg2Exp.Percentile") == "98"
    panel.ui.smoothingSlider.value = 0.0
    made(panel)
    assert panel.widget.display.shown is overlay
    assert "smoothed" not in legend()


def test_strength_without_signs_shows_exactly_the_strongest_voxels(panel: Panel) -> None:
    from Agg2ExpLib.views.mrml_nodes import array_of

    panel.click(panel.ui.absoluteCheckBox)
    panel.ui.strongestSlider.value = 4.0
    node = picture(panel)
    values = array_of(node)
    assert values.min() >= 0
    np.testing.assert_allclose(values, np.abs(array_of(panel.record.overlays["heart"])), rtol=1e-6)
    assert not panel.ui.signCombo.enabled
    display, rgba = node.GetDisplayNode(), [0.0] * 4
    entries = np.clip((values / display.GetWindowLevelMax() * 255).astype(int), 0, 255)
    alpha = []
    for entry in range(256):
        display.GetColorNode().GetColor(entry, rgba)
        alpha.append(rgba[3])
    assert np.array(alpha)[entries].mean() == pytest.approx(0.04, abs=0.002)
    assert "either sign" in legend()


def test_the_picture_comes_back_with_the_scene(panel: Panel, tmp_path: Path) -> None:
    import slicer

    from Agg2ExpModuleLib.scene.OrganSurfaces import organSurfaces

    panel.parameters.in3D = True
    panel.parameters.picture = "support"
    picture(panel)
    (tmp_path / "saved").mkdir()
    assert slicer.util.saveScene(str(tmp_path / "saved" / "scene.mrb"))
    slicer.mrmlScene.Clear()
    slicer.util.loadScene(str(tmp_path / "saved" / "scene.mrb"))
    panel.app.app.processEvents()
    assert panel.parameters.picture == "support"
    node = picture(panel)
    assert node is panel.record.picture
    assert fronts() == {node.GetID()}
    assert len(organSurfaces()) >= 3
    assert panel.ui.inputSelector.nodeCount() == 1, "a picture is no CT"
    count = sum(bool(one.GetAttribute("Agg2Exp.Picture")) for one in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"))
    assert count == 1
    slicer.mrmlScene.RemoveNode(node)
    panel.app.app.processEvents()
    assert picture(panel) is panel.record.picture, "made anew"


def test_large_pictures_do_not_keep_the_application_from_answering(panel: Panel, tmp_path: Path) -> None:
    from Agg2ExpModuleLib.panel.Heartbeat import Heartbeat
    from support import small_result

    kept = small_result.SHAPE, small_result.SPACING
    small_result.SHAPE, small_result.SPACING = (170, 130, 140), (1.8, 2.0, 2.2)
    try:
        small_result.write_result(tmp_path / "large", patient="large")
    finally:
        small_result.SHAPE, small_result.SPACING = kept
    assert panel.widget.exporting.load(tmp_path / "large")
    panel.wait()
    heartbeat = Heartbeat(panel.frame)
    for what, name, value in (("organs", "picture", "share"), ("3D", "in3D", True), ("label", "mapLabel", LUNG)):
        heartbeat.start(what)
        setattr(panel.parameters, name, value)
        made(panel)
    heartbeat.start("smoothing")
    panel.parameters.in3D = False
    panel.parameters.picture = "voxels"
    panel.parameters.smoothing = 4.0
    made(panel)
    heartbeat.stop()
    assert not heartbeat.problem(0.25), heartbeat.problem(0.25)
