"""``slicer.app.layoutManager()``: slice and 3D views of the scene, and where they lie in the window."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6.QtCore import Signal

from . import qt_module
from .mrml_widgets import _wants
from .scene import SLICE_VIEWS
from .view_layout import Viewport

qt = qt_module.module()


class LayoutManager(qt.QObject):
    """``qSlicerLayoutManager``: Red, Yellow, Green and one 3D view, laid out as the scene's layout node says.

    Attributes:
        drawsSlices: only in the stand-in: whether slices are drawn in the views, which costs time.
    """

    layoutChanged = Signal(int)
    threeDViewCount = 1
    tableViewCount = 0
    plotViewCount = 0

    def __init__(self, state: Any):
        super().__init__()
        self._state = state
        self._slices = {name: SliceWidget(state, name) for name, _ in SLICE_VIEWS}
        self._three_d = ThreeDWidget(state)
        self._viewport = Viewport(self)
        self.drawsSlices = False
        scene = state.scene
        state.layout_node.AddObserver("ModifiedEvent", self._on_node)
        for event in (scene.EndCloseEvent, scene.EndBatchProcessEvent):
            scene.AddObserver(event, self._on_node)
        scene.AddObserver(scene.StartCloseEvent, lambda *_unused: self._viewport.clear())

    # Layouts
    def layoutLogic(self) -> Any:
        return self._state.layout_logic

    @property
    def layout(self) -> int:
        return int(self._state.layout_node.GetViewArrangement())

    @layout.setter
    def layout(self, layout: int) -> None:
        self.setLayout(layout)

    def setLayout(self, layout: int) -> None:
        node = self._state.layout_node
        if layout != self.layout:
            known = node.IsLayoutDescription(layout)
            node.SetViewArrangement(layout if known else slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)

    def registerViewFactory(self, factory: Any) -> None:
        """The manager's from now on, unless it has a parent already; asked before those that were there."""
        _wants(slicer.qSlicerSingletonViewFactory, factory)
        if factory.parent() is None:
            factory.setParent(self)
        self._viewport.factories.insert(0, factory)

    def viewport(self) -> Any:
        return self._viewport.widget

    def setViewport(self, widget: Any) -> None:
        self._viewport.widget = widget
        self._update()

    def _on_node(self, *_unused: Any) -> None:
        if not self._state.scene.IsBatchProcessing():
            self._update()

    def _update(self) -> None:
        self._viewport.show(self._state.layout_node.GetCurrentLayoutDescription() or "")
        self.layoutChanged.emit(self.layout)

    # Views
    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(self._slices)

    def sliceWidget(self, name: str) -> Any:
        return self._slices.get(name)

    def mrmlSliceLogics(self) -> Any:
        return self._state.application_logic.GetSliceLogics()

    def threeDWidget(self, index: int) -> Any:
        return self._three_d if index in (0, "View1") else None

    def mrmlScene(self) -> Any:
        return self._state.scene

    def resetSliceViews(self) -> None:
        for logic in self._state.slice_logics.values():
            logic.FitSliceToBackground()

    def resetThreeDViews(self) -> None:
        self._three_d.threeDView().resetFocalPoint()


class SliceWidget:
    """One slice view."""

    def __init__(self, state: Any, name: str):
        self._state, self.sliceViewName = state, name
        self._view = SliceView(state, name)
        self._controller = SliceController(state, name)

    def sliceLogic(self) -> Any:
        return self._state.slice_logics[self.sliceViewName]

    def mrmlSliceNode(self) -> Any:
        return self.sliceLogic().GetSliceNode()

    def mrmlSliceCompositeNode(self) -> Any:
        return self.sliceLogic().GetSliceCompositeNode()

    def sliceView(self) -> Any:
        return self._view

    def sliceController(self) -> Any:
        return self._controller

    @property
    def sliceOrientation(self) -> str:
        return self.mrmlSliceNode().GetOrientation()

    def fitSliceToBackground(self) -> None:
        self.sliceLogic().FitSliceToBackground()


class SliceView:
    """The view in a slice widget."""

    def __init__(self, state: Any, name: str):
        self._state, self._name = state, name
        self.renders = 0

    def mrmlSliceNode(self) -> Any:
        return self._state.slice_logics[self._name].GetSliceNode()

    def scheduleRender(self) -> None:
        self.renders += 1

    forceRender = scheduleRender


class SliceController:
    """The bar above a slice view."""

    def __init__(self, state: Any, name: str):
        self._state, self._name = state, name

    def setSliceVisible(self, visible: bool) -> None:
        self._state.slice_logics[self._name].GetSliceNode().SetSliceVisible(visible)

    def fitSliceToBackground(self) -> None:
        self._state.slice_logics[self._name].FitSliceToBackground()

    def setVisible(self, visible: bool) -> None:
        """Nothing to show."""


class ThreeDWidget:
    """The 3D view's frame."""

    def __init__(self, state: Any):
        self._view = ThreeDView(state)

    def threeDView(self) -> Any:
        return self._view

    def mrmlViewNode(self) -> Any:
        return self._view.mrmlViewNode()


class ThreeDView:
    """The 3D view; drawn only where a test has asked for it."""

    def __init__(self, state: Any):
        self._state = state
        self.focal_point_resets = 0
        self.drawn: Any = None

    def mrmlViewNode(self) -> Any:
        return self._state.view_node

    def draw(self) -> Any:
        """Only in the stand-in: draw from now on; returns what does."""
        from .three_d import DrawnThreeD

        self.drawn = self.drawn or DrawnThreeD(self._state)
        return self.drawn

    def resetFocalPoint(self) -> None:
        self.focal_point_resets += 1

    def resetCamera(self, resetRotation: bool = True, resetTranslation: bool = True, resetDistance: bool = True) -> None:
        self.focal_point_resets += 1
        if self.drawn is not None:
            self.drawn.reset_camera()

    def forceRender(self) -> None:
        """What is drawn, is drawn when it changes."""

    scheduleRender = forceRender
