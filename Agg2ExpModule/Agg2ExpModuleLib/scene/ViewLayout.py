"""A layout of Slicer's views with a place of ours where the 3D view is, and the user's own layout back afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer

# Slicer's own layouts have numbers below 100.
LAYOUT = 5407
_TAG, _FACTORY, _HOLDER = "agg2exp", "Agg2ExpViewFactory", "Agg2ExpView"
_SLICE = """
    <item splitSize="500"><view class="vtkMRMLSliceNode" singletontag="{name}">
     <property name="orientation" action="default">{orientation}</property>
     <property name="viewlabel" action="default">{letter}</property>
     <property name="viewcolor" action="default">{color}</property>
    </view></item>"""
_RED = _SLICE.format(name="Red", orientation="Axial", letter="R", color="#F34A33")
_GREEN = _SLICE.format(name="Green", orientation="Coronal", letter="G", color="#6EB04B")
_YELLOW = _SLICE.format(name="Yellow", orientation="Sagittal", letter="Y", color="#EDD54C")
# As Four-Up, with borders that can be moved.
_DESCRIPTION = f"""<layout type="vertical" split="true">
 <item splitSize="500"><layout type="horizontal" split="true">{_RED}
    <item splitSize="500"><{_TAG}></{_TAG}></item>
 </layout></item>
 <item splitSize="500"><layout type="horizontal" split="true">{_GREEN}{_YELLOW}
 </layout></item>
</layout>"""


class ViewLayout:
    """Goes to the layout and back.

    Attributes:
        on: whether it is shown because :meth:`enter` was called.
        onLeft: are called when the user has chosen another layout.
    """

    def __init__(self) -> None:
        self.on = False
        self.onLeft: list[Callable[[], None]] = []
        self._before: int = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
        self._saved = True
        self._listening = self._manager is not None
        if self._listening:
            self._remember(self._manager.layout)
            self._manager.layoutChanged.connect(self._onLayoutChanged)

    @property
    def _manager(self) -> Any:
        """Slicer's layout manager; None without a main window, and when Slicer ends and the window has gone before us."""
        return slicer.app.layoutManager()

    def holder(self) -> Any:
        """The widget that the layout shows; one for all panels that there are one after the other. None without views."""
        if self._manager is None:
            return None
        factory = self._manager.findChild(slicer.qSlicerSingletonViewFactory, _FACTORY)
        if factory is None:
            factory = slicer.qSlicerSingletonViewFactory()
            factory.objectName = _FACTORY
            factory.setTagName(_TAG)
            self._manager.registerViewFactory(factory)
        if factory.widget() is None:
            widget = qt.QWidget()
            widget.objectName = _HOLDER
            widget.autoFillBackground = True
            widget.sizePolicy = qt.QSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Expanding)
            factory.setWidget(widget)
        return factory.widget()

    def enter(self) -> None:
        """Show the layout, and remember the user's."""
        node = self._node()
        if self.on or node is None or self.holder() is None:
            return
        if not node.IsLayoutDescription(LAYOUT):
            node.AddLayoutDescription(LAYOUT, _DESCRIPTION)
        self._remember(self._manager.layout)
        # A scene that names this layout would show nothing in a Slicer without it: the panel's parameters tell it instead.
        self._saved = bool(node.GetSaveWithScene())
        node.SetSaveWithScene(False)
        self.on = True
        self._manager.setLayout(LAYOUT)

    def leave(self) -> None:
        """The user's layout comes back, unless he has chosen another one."""
        if self.on:
            self._forget()
            if self._manager is not None and self._manager.layout == LAYOUT:
                self._manager.setLayout(self._before)

    def shutdown(self) -> None:
        """The panel goes."""
        self.leave()
        if self._listening and self._manager is not None:
            self._manager.layoutChanged.disconnect(self._onLayoutChanged)
        self._listening = False

    def _node(self) -> Any:
        return self._manager.layoutLogic().GetLayoutNode() if self._manager is not None else None

    def _forget(self) -> None:
        self.on = False
        if (node := self._node()) is not None:
            node.SetSaveWithScene(self._saved)

    def _remember(self, layout: int) -> None:
        if layout not in (LAYOUT, slicer.vtkMRMLLayoutNode.SlicerLayoutNone):  # none is set while one scene follows another
            self._before = layout

    def _onLayoutChanged(self, layout: int) -> None:
        if not self.on:
            self._remember(layout)
        # Slicer tells this after every change of the layout node, and changes it by itself while a scene is closed or opened.
        elif layout != LAYOUT and not slicer.mrmlScene.IsBatchProcessing():
            self._forget()
            for callback in list(self.onLeft):
                callback()
