"""Bars of slices: their places and numbers, clicks, keys, the marks of the views; colours that readers can tell apart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from Agg2ExpLib.io.grid import Grid
from Agg2ExpLib.models.labels import make_labels
from Agg2ExpLib.roi_importance.slices import SliceImportance, slice_importance, slices_text
from support.module_panel import Panel, panel_with_result
from support.small_result import SHAPE, affine_of_grid
from views.test_colors_told_apart import NEIGHBOURS, SEEN_BY, TOLD, difference, of_bytes

CLASSES = ("heart", "lung_upper_lobe_left")  # classes with the names of the small result's maps
CONTRIBUTIONS = {17: 0.4, 18: 0.3, 30: -0.9, 5: 0.05}


def axial_parts() -> dict[int, tuple[np.ndarray, dict[str, np.ndarray]]]:
    weight, parts = np.full(SHAPE[2], 0.001), np.zeros(SHAPE[2])
    weight[30] = 1 - weight[:-1].sum()
    for number, value in CONTRIBUTIONS.items():
        parts[number] = value
    return {2: (weight, dict.fromkeys(CLASSES, parts))}


def make_slices(panel: Panel) -> SliceImportance:
    from Agg2ExpLib.views.mrml_nodes import array_of

    maps = {name: np.asarray(array_of(node)) for name, node in panel.record.overlays.items()}
    return slice_importance(Grid(SHAPE, affine_of_grid()), maps, axial_parts())


@pytest.fixture
def panel(slicerApp, tmp_path: Path) -> Iterator[Panel]:  # noqa: N803
    shown = panel_with_result(slicerApp, tmp_path, "slices")
    from Agg2ExpModuleLib.panel.PanelState import Topic

    record = shown.record
    labels = make_labels(CLASSES)
    entries = [{"name": one.name, "color": one.color, "group": one.group, "logit": 0.0, "probability": 0.5} for one in labels]
    record.run = {**record.run, "classes": entries}  # as of a classifier whose classes have these maps
    record.slices = make_slices(shown)
    shown.widget.state.tell({Topic.RECORD})
    yield shown
    shown.widget.shortcuts.off()


def looked_at() -> np.ndarray:
    import slicer

    point = np.zeros(3)
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        matrix = node.GetSliceToRAS()
        axis = int(np.argmax([abs(matrix.GetElement(row, 2)) for row in range(3)]))
        point[axis] = matrix.GetElement(axis, 3)
    return point


def test_numbers_places_and_notes(panel: Panel) -> None:
    model, data = panel.widget.slices.model, panel.widget.slices.view.bars()
    (axial,) = data.strips
    assert "no other slices" in data.caption
    bars = {bar.number: bar for bar in axial.bars}
    assert (bars[17].up, bars[17].down) == (0.4, 0.0)
    assert (bars[30].up, bars[30].down) == (0.0, 0.9)
    assert data.most == (0.4, 0.9)
    assert data.mostText == ("+0.40", "\N{MINUS SIGN}0.90")
    position = (affine_of_grid() @ [0, 0, 30, 1])[2]
    assert bars[30].tip.startswith(f"Axial slice 30, I\N{NO-BREAK SPACE}{-position:.1f}")
    assert "Adds \N{MINUS SIGN}0.90 to the logit" in bars[30].tip
    panel.parameters.sliceMeasure = "mass"
    values = np.abs(model.slices.along("sagittal").mass[0])
    axial, coronal, sagittal = panel.widget.slices.view.bars().strips
    assert axial.plane == "axial"
    assert sum(bar.up + bar.down for bar in coronal.bars) == pytest.approx(1)
    assert sagittal.ends == ("R", "L")
    places = [model.slices.along("sagittal").position_mm[bar.number] for bar in sagittal.bars]
    assert places == sorted(places, reverse=True), "the patient's right is on the left"
    assert max(sagittal.bars, key=lambda bar: bar.up + bar.down).number == values.argmax()
    panel.parameters.sliceMeasure = "weight"
    assert not panel.widget.slices.view.bars().signed
    assert panel.ui.sliceTree.topLevelItem(0).text(0) == "Axial 30"


def test_a_click_goes_there_and_the_views_are_marked(panel: Panel) -> None:
    from PySide6.QtCore import QPoint, Qt
    from PySide6.QtTest import QTest

    from Agg2ExpLib.views.mrml_nodes import array_of

    section = panel.widget.slices
    view = section.view
    scene = view.placed()
    left, right = scene.x(0, 17)
    QTest.mouseMove(view, QPoint(round((left + right) / 2), round(scene.tops[0] + 20)))
    QTest.mouseClick(
        view,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
        QPoint(round((left + right) / 2), round(scene.tops[0] + 20)),
    )
    panel.app.app.processEvents()
    plane = np.abs(array_of(panel.record.overlays["heart"])[:, :, 17])
    x, y = round(8 / 5.0), round(8 / 5.5)
    means = {
        (i, j): plane[max(0, i - x) : i + x + 1, max(0, j - y) : j + y + 1].sum() for i, j in np.ndindex(plane.shape)
    }  # over the neighbours within 8 mm
    voxel = [*max(means, key=lambda place: means[place]), 17]
    np.testing.assert_allclose(looked_at(), (affine_of_grid() @ [*voxel, 1])[:3], atol=0.1)
    assert view.marked()["axial"] == 17
    import slicer

    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        matrix = node.GetSliceToRAS()
        if abs(matrix.GetElement(2, 2)) > 0.9:
            node.JumpSliceByOffsetting(0, 0, float((affine_of_grid() @ [0, 0, 40, 1])[2]))
    panel.wait(lambda: view.marked()["axial"] == 40, 5)


def test_keys_and_list_go_through_the_most_important(panel: Panel) -> None:
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    section, tree = panel.widget.slices, panel.ui.sliceTree
    assert [(one.plane, one.number) for one in section.top] == [("axial", 30), ("axial", 17), ("axial", 5)], "18 lies beside 17"
    assert tree.topLevelItem(0).text(2) == "\N{MINUS SIGN}0.90"
    panel.widget.enter()
    import slicer

    def press(key: str) -> None:
        window = slicer.util.mainWindow()
        window.activateWindow()
        QTest.keyClick(window, getattr(Qt.Key, f"Key_{key}"), Qt.KeyboardModifier.ShiftModifier)
        panel.app.app.processEvents()

    height = [(affine_of_grid() @ [0, 0, number, 1])[2] for number in (30, 17, 5)]
    for key, expected in (("S", 0), ("S", 1), ("A", 0), ("A", 2), ("S", 0)):
        press(key)
        assert looked_at()[2] == pytest.approx(height[expected], abs=0.1)
    assert tree.currentItem().text(0) == "Axial 30"
    item = tree.topLevelItem(1)
    tree.scrollToItem(item)
    QTest.mouseClick(tree.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, tree.visualItemRect(item).center())
    assert looked_at()[2] == pytest.approx(height[1], abs=0.1)
    for key in (Qt.Key.Key_Left, Qt.Key.Key_Left, Qt.Key.Key_Return):  # to the slice that is shown, and to the one before it
        QTest.keyClick(section.view, key)
    panel.app.app.processEvents()
    assert looked_at()[2] == pytest.approx((affine_of_grid() @ [0, 0, 16, 1])[2], abs=0.1)


def test_other_results_have_no_slices(panel: Panel) -> None:
    from Agg2ExpModuleLib.panel.PanelState import Topic

    assert panel.ui.slicesSection.visible
    panel.record.slices = None
    panel.widget.state.tell({Topic.RECORD})
    assert not panel.ui.slicesSection.visible
    panel.widget.slices.next()  # nothing to go to
    slices = make_slices(panel)
    unknown = [replace(axis, weight=axis.weight * np.nan, contribution=axis.contribution * np.nan) for axis in slices.axes]
    panel.record.slices = SliceImportance(slices.classes, tuple(unknown))  # of a 3D network
    panel.widget.state.tell({Topic.RECORD})
    assert panel.ui.sliceMeasureCombo.currentText == "Share of attribution"
    assert not panel.ui.sliceMeasureCombo.enabled
    assert json.loads(panel.record.node.GetParameter("slices")) == slices_text(panel.record.slices, panel.record.patient)


def test_more_slices_than_pixels_are_drawn_as_the_largest(panelInPath) -> None:  # noqa: N803
    from Agg2ExpModuleLib.drawing.SliceBarsData import SliceBar, SliceBarsData, SliceStrip
    from Agg2ExpModuleLib.drawing.SliceBarsGeometry import placeSliceBars

    bars = tuple(SliceBar(number, float(number == 777), 0.0, "") for number in range(1000))
    data = SliceBarsData((SliceStrip("axial", "Axial", ("I", "S"), bars),), (1.0, 0.0), ("1", ""), True, "What", ("up", "down"))
    scene = placeSliceBars(data, 300.0, 13, lambda text, size, bold: (0.6 * size * len(text), 1.2 * size))
    columns = scene.columns(0)
    assert sum(end - first for _left, _width, first, end in columns) == 1000
    assert all(width >= 1 for _left, width, _first, _end in columns[:-1]), "a pixel wide, but for what is left over"
    shown = [index for index, (_left, _width, first, end) in enumerate(columns) if first <= 777 < end]
    assert len(shown) == 1
    left, width = columns[shown[0]][:2]
    middle = sum(scene.x(0, 777)) / 2
    assert left - 1 <= middle <= left + width + 1
    assert scene.barAt(middle, scene.tops[0] + 5) == (0, 777)
    assert scene.barAt(scene.left - 5, scene.tops[0] + 5) is None
    assert scene.zero == scene.tall, "nothing lies below the line"


@pytest.mark.parametrize("reader", list(SEEN_BY))
@pytest.mark.parametrize("dark", [False, True])
def test_bars_can_be_told_apart(panelInPath, reader: str, dark: bool) -> None:  # noqa: N803
    from Agg2ExpModuleLib.drawing.PanelColors import PanelColors

    light, ink = (250, 250, 250), (20, 20, 20)
    colors = PanelColors.of(ink, light, (0, 0, 200)) if dark else PanelColors.of(light, ink, (0, 0, 200))
    supporting, opposing, plain, paper = (of_bytes(one) for one in (colors.bar(1), colors.bar(-1), colors.bar(0), colors.paper))
    assert difference(supporting, opposing, reader) > TOLD
    assert min(difference(paper, one, reader) for one in (supporting, opposing, plain)) > NEIGHBOURS
