"""Hot spots in the panel: list, jumps, points, and the keys for reading, by real clicks and key presses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from support.module_panel import Panel, panel_with_result
from support.small_result import OPPOSING, SUPPORTING, affine_of_grid, place

LUNG = "lung_upper_lobe_left"


@pytest.fixture
def panel(slicerApp, tmp_path: Path) -> Iterator[Panel]:  # noqa: N803
    shown = panel_with_result(slicerApp, tmp_path)
    yield shown
    shown.widget.shortcuts.off()


def found(panel: Panel) -> list[Any]:
    panel.wait(lambda: bool(panel.widget.spots.spots) and not panel.widget.spots.busy, 20)
    return panel.widget.spots.spots


def looked_at() -> np.ndarray:
    """Where the three slice planes meet."""
    import slicer

    point = np.zeros(3)
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        matrix = node.GetSliceToRAS()
        axis = int(np.argmax([abs(matrix.GetElement(row, 2)) for row in range(3)]))
        point[axis] = matrix.GetElement(axis, 3)
    return point


def press(panel: Panel, key: str) -> None:
    import slicer
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    window = slicer.util.mainWindow()
    window.activateWindow()
    QTest.keyClick(window, getattr(Qt.Key, f"Key_{key}"), Qt.KeyboardModifier.ShiftModifier)
    panel.app.app.processEvents()


def test_the_list_names_the_spots_and_a_click_goes_there(panel: Panel) -> None:
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    panel.open("display")
    spots = found(panel)
    tree = panel.ui.hotSpotTree
    assert tree.topLevelItemCount == len(spots)
    places = [place(affine_of_grid(), middle) for middle in (SUPPORTING, OPPOSING)]
    for middle, side in zip(places, (1, -1), strict=True):
        nearest = min(range(len(spots)), key=lambda i: np.linalg.norm(np.array(spots[i].place) - middle))
        assert np.linalg.norm(np.array(spots[nearest].place) - middle) < 10
        assert np.sign(spots[nearest].net) == side
        item = tree.topLevelItem(nearest)
        assert (item.text(0) == "Lung upper lobe left") == (side > 0), "one blob is in the lung, one in no region"
        assert 0 < float(item.text(1)) < 100
        tree.scrollToItem(item)
        QTest.mouseClick(
            tree.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, tree.visualItemRect(item).center()
        )
        panel.app.app.processEvents()
        assert np.linalg.norm(looked_at() - spots[nearest].place) < 8, "within a voxel"
    shares = [float(tree.topLevelItem(i).text(1)) for i in range(tree.topLevelItemCount)]
    assert shares == sorted(shares, reverse=True)


def test_spots_become_points_and_go_with_their_label(panel: Panel, tmp_path: Path) -> None:
    import slicer

    def points() -> list[Any]:
        return slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")

    panel.open("display")
    spots = found(panel)
    assert points() == []
    panel.click(panel.ui.hotSpotMarkupsCheckBox)
    (node,) = points()
    assert node.GetNumberOfControlPoints() == len(spots)
    at = [0.0, 0.0, 0.0]
    node.GetNthControlPointPositionWorld(0, at)
    np.testing.assert_allclose(at, spots[0].place, atol=1e-3)
    assert node.GetNthControlPointLabel(0).startswith("1 ")
    (tmp_path / "saved").mkdir()
    assert slicer.util.saveScene(str(tmp_path / "saved" / "scene.mrb"))
    slicer.mrmlScene.Clear()
    slicer.util.loadScene(str(tmp_path / "saved" / "scene.mrb"))
    panel.app.app.processEvents()
    found(panel)
    (again,) = points()
    assert again.GetNumberOfControlPoints() == len(spots), "those of the scene, no second ones"
    panel.parameters.mapLabel = LUNG  # whose map is noise alone
    panel.wait(lambda: not panel.widget.spots.busy, 20)
    assert points() == []
    assert panel.ui.hotSpotNote.text.startswith("No spot")
    panel.parameters.mapLabel = "heart"
    found(panel)
    assert len(points()) == 1
    panel.click(panel.ui.hotSpotMarkupsCheckBox)
    assert points() == []


def test_keys_while_the_module_is_open(panel: Panel) -> None:
    import slicer

    def opacities() -> set[float]:
        return {round(view.GetForegroundOpacity(), 3) for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")}

    panel.open("importance")
    panel.widget.enter()
    assert panel.widget.spots.spots == [], "nobody has looked for them"
    press(panel, "H")
    spots = found(panel)
    assert np.linalg.norm(looked_at() - spots[0].place) < 8, "as soon as they are known"
    press(panel, "H")
    assert np.linalg.norm(looked_at() - spots[1].place) < 8
    press(panel, "M")
    assert opacities() == {0.0}
    panel.open("display")
    assert not panel.ui.showMapCheckBox.checked
    press(panel, "M")
    assert opacities() == {0.6}
    press(panel, "N")
    assert panel.parameters.mapLabel == LUNG
    press(panel, "N")
    assert panel.parameters.mapLabel == "heart"
    panel.widget.exit()
    press(panel, "N")
    assert panel.parameters.mapLabel == "heart", "another module has the keys"


def test_looking_for_spots_does_not_keep_the_application_from_answering(panel: Panel, tmp_path: Path) -> None:
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
    panel.open("importance")
    heartbeat = Heartbeat(panel.frame)
    heartbeat.start("hot spots")
    panel.widget.spots.next()
    found(panel)
    heartbeat.stop()
    assert not heartbeat.problem(0.25), heartbeat.problem(0.25)
