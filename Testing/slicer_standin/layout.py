"""``slicer.app.layoutManager()``: slice and 3D views of the scene without a window of their own."""

from __future__ import annotations

from typing import Any

import slicer

from .scene import SLICE_VIEWS


class LayoutManager:
    """Red, Yellow, Green and one 3D view."""

    threeDViewCount = 1
    tableViewCount = 0
    plotViewCount = 0

    def __init__(self, state: Any):
        self._state = state
        self._slices = {name: SliceWidget(state, name) for name, _ in SLICE_VIEWS}
        self._three_d = ThreeDWidget(state)
        self.layout = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView

    def setLayout(self, layout: int) -> None:
        self.layout = layout

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
