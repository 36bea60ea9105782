"""Graph and matrix beside the slices: a layout in real layout nodes and real Qt, in step with the panel, gone when it shall be."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from support.module_panel import Panel, panel_with_result

LUNG = "lung_upper_lobe_left"


@pytest.fixture
def panel(slicerApp, tmp_path: Path) -> Iterator[Panel]:  # noqa: N803
    """A user whose own layout is Conventional."""
    import slicer

    manager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)
    return panel_with_result(slicerApp, tmp_path, "importance")


def manager() -> Any:
    import slicer

    return slicer.app.layoutManager()


def own() -> int:
    import slicer

    return int(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)


def shown(panel: Panel) -> list[str]:
    """What is visible in the views, by name, from left to right and top to bottom."""
    import qt

    panel.app.app.processEvents()
    port = manager().viewport()
    names = ("ViewRed", "ViewGreen", "ViewYellow", "View1", "Agg2ExpView")
    found = [widget for name in names if (widget := port.findChild(qt.QWidget, name)) is not None and widget.visible]
    place = {widget.objectName: widget.mapTo(port, qt.QPoint(0, 0)) for widget in found}
    return sorted(place, key=lambda name: (place[name].y(), place[name].x()))


def press(view: Any, x: float, y: float) -> None:
    import qt
    from PySide6.QtTest import QTest

    QTest.mouseClick(view, qt.Qt.LeftButton, qt.Qt.NoModifier, qt.QPoint(round(x), round(y)))


def test_it_comes_and_the_users_layout_comes_back(panel: Panel) -> None:
    import slicer

    assert shown(panel) == ["View1", "ViewRed", "ViewGreen", "ViewYellow"]
    panel.click(panel.ui.besideButton)
    assert shown(panel) == ["ViewRed", "Agg2ExpView", "ViewGreen", "ViewYellow"]
    view = panel.widget.beside.view
    assert view.graph.visible
    assert view.graph.width > 150
    slicer.util.selectModule("")
    panel.widget.exit()  # he works in another module
    assert "Agg2ExpView" in shown(panel)
    panel.widget.enter()
    panel.click(panel.ui.besideButton)
    assert shown(panel) == ["View1", "ViewRed", "ViewGreen", "ViewYellow"]
    panel.click(panel.ui.besideButton)
    panel.click(view._frame.findChildren(type(view._graphButton))[-1])  # its own ✕
    assert not panel.parameters.beside
    assert manager().layout == own()

    # another layout that he chooses meanwhile stays
    panel.click(panel.ui.besideButton)
    manager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    assert not panel.parameters.beside
    assert not panel.ui.besideButton.checked
    assert shown(panel) == ["ViewRed"]
    panel.parameters.mapLabel = LUNG
    assert shown(panel) == ["ViewRed"]
    panel.click(panel.ui.besideButton)
    panel.click(panel.ui.besideButton)
    assert shown(panel) == ["ViewRed"], "now that is his own"


def test_both_show_and_do_the_same(panel: Panel) -> None:
    panel.click(panel.ui.besideButton)
    view, importance = panel.widget.beside.view, panel.widget.importance
    shown(panel)
    place = view.graph.placed().nodes[LUNG]
    press(view.graph, place.x, place.y)
    assert panel.parameters.mapLabel == LUNG
    assert panel.parameters.whatIfRegion == LUNG
    assert importance.graph.selected == view.graph.selected == LUNG
    assert importance.matrix.selected == view.matrix.selected == LUNG
    press(view.graph, 3, view.graph.height - 3)
    assert importance.graph.selected is view.graph.selected is None
    panel.parameters.measure = "enrichment"
    panel.parameters.graphSign = "positive"
    assert view.graph.graph() is importance.graph.graph()
    assert view.matrix.matrix() is importance.matrix.matrix()
    assert view._title.text == "Enrichment · Supporting"
    panel.click(view._matrixButton)
    assert panel.parameters.besideWhat == "matrix"
    assert panel.ui.besideCombo.currentText == "Matrix"
    assert view.matrix.visible
    assert not view.graph.visible
    scene = view.matrix.placed()
    row = [header.name for header in view.matrix.matrix().rows].index("heart")
    press(view.matrix, scene.left + scene.xs[0] + 4, scene.top + scene.ys[row] + 4)
    assert panel.parameters.mapLabel == "heart"
    assert importance.matrix.selected == "heart"
    panel.ui.besideCombo.currentIndex = 0
    assert view.graph.visible


def test_it_goes_and_comes_with_the_scene(panel: Panel, tmp_path: Path) -> None:
    import slicer

    def written() -> str:
        slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
        slicer.mrmlScene.Commit()
        return (tmp_path / "scene.mrml").read_text()

    assert f'currentViewArrangement="{own()}"' in written()
    panel.parameters.besideWhat = "matrix"
    panel.click(panel.ui.besideButton)
    assert "currentViewArrangement" not in written(), "a Slicer without this layout would show nothing"
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    assert shown(panel) == ["View1", "ViewRed", "ViewGreen", "ViewYellow"]
    assert not panel.parameters.beside
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    assert panel.parameters.beside
    assert "Agg2ExpView" in shown(panel)
    assert panel.widget.beside.view.matrix.visible
    assert panel.widget.beside.view.matrix.matrix() is not None
    panel.click(panel.ui.besideButton)
    assert manager().layout == own()
    assert f'currentViewArrangement="{own()}"' in written()


def test_a_reloaded_panel_takes_the_place(panel: Panel) -> None:
    import slicer

    panel.click(panel.ui.besideButton)
    holder = panel.widget.beside.layout.holder()
    panel.widget.cleanup()
    assert manager().layout == own()
    with contextlib.suppress(AttributeError):
        slicer.modules.agg2expmodule._representation = None
    again = slicer.modules.agg2expmodule.widgetRepresentation().self()
    assert again.beside.layout.holder() is holder
    assert again.beside.layout.on, "the scene still says so"
    assert "Agg2ExpView" in shown(panel)
    assert holder.layout().count() == 1
    again.ui.besideButton.click()
    assert manager().layout == own()
    again.cleanup()
