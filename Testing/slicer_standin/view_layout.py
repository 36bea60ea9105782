"""Views in a viewport, built from a layout's XML as CTK's layout manager does, and the factory that puts an own widget there.

Followed: ``ctkLayoutManager``, ``ctkLayoutFactory`` and ``qSlicerSingletonViewFactory`` as of Slicer 5.6 to 5.10.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

from . import qt_module

qt = qt_module.module()
_BAR = 22  # pixels of the coloured bar above a slice view
_ORIENTATION = {"Red": "axial", "Green": "coronal", "Yellow": "sagittal"}


class qSlicerSingletonViewFactory(qt.QObject):
    """Gives its one widget for its tag; belongs to the layout manager once it is registered, and the widget to it."""

    def __init__(self, parent: Any = None):
        super().__init__(parent)
        self._widget: Any = None
        self._tag = ""
        self._holder = qt.QWidget()  # until a layout takes the widget

    def setTagName(self, tag: str) -> None:
        self._tag = str(tag)

    def tagName(self) -> str:
        return self._tag

    def setWidget(self, widget: Any) -> None:
        if widget is self._widget:
            return
        self._widget = widget
        if widget is not None:
            widget.setParent(self._holder)
            widget.destroyed.connect(self._on_destroyed)

    def widget(self) -> Any:
        return self._widget

    def _on_destroyed(self, *_unused: Any) -> None:
        self._widget = None

    def _create(self) -> Any:
        if self._widget is not None and self._widget.visible:
            raise RuntimeError(f"qSlicerSingletonViewFactory: the widget of <{self._tag}> is in use in the current layout already")
        return self._widget


class ViewFrame(qt.QWidget):
    """Where a slice or 3D view lies: the bar in its colour, and the slice where pictures are asked for."""

    def __init__(self, manager: Any, tag: str, parent: Any = None):
        super().__init__(parent)
        self._manager, self._tag = manager, tag
        self.objectName = f"View{tag}"
        self.sizePolicy = qt.QSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Expanding)
        self.setMinimumSize(60, 60)

    def paintEvent(self, event: Any) -> None:
        from .pictures import COLORS, view_image

        painter = qt.QPainter(self)
        try:
            orientation = _ORIENTATION.get(self._tag)
            painter.fillRect(self.rect, qt.QColor("black" if orientation else "#9a9ac9"))
            if orientation is None:
                return
            painter.fillRect(qt.QRect(0, 0, self.width, _BAR), qt.QColor(COLORS[orientation]))
            painter.setPen(qt.QColor("black"))
            text = orientation.capitalize()
            if self._manager.drawsSlices:
                size = self.width, max(1, self.height - _BAR)
                image, position = view_image(self._manager.mrmlScene(), orientation, size)
                painter.drawImage(qt.QPoint(0, _BAR), image)
                text += f"   {position[0]}: {position[1]:.0f} mm"
            painter.drawText(qt.QPoint(8, _BAR - 6), text)
        finally:
            painter.end()


class Viewport:
    """Shows one layout in a widget.

    Args:
        manager: the layout manager; parent of the views.
    """

    def __init__(self, manager: Any):
        self._manager = manager
        self.widget: Any = None
        self.factories: list[Any] = []
        self._views: dict[str, ViewFrame] = {}
        self._placed: list[Any] = []  # the views of the present layout
        self._own: list[Any] = []  # splitters and their pages, which go with it

    def show(self, description: str) -> None:
        """Take the present layout down and build another; nothing for an empty description."""
        self.clear()
        if self.widget is None or not description:
            return
        item = self._process(ElementTree.fromstring(description))
        if isinstance(item, qt.QLayout):
            self.widget.setLayout(item)
        else:
            layout = qt.QHBoxLayout(self.widget)
            layout.setContentsMargins(0, 0, 0, 0)
            layout.addWidget(item)
        for view in self._placed:
            view.visible = True

    def clear(self) -> None:
        """Hide the views and take what is between them away."""
        if self.widget is None:
            return
        for view in self._placed:
            view.visible = False
            view.setParent(None)  # out of its layout or splitter
            view.setParent(self.widget)
        for each in self._own:
            each.setParent(None)
            each.deleteLater()
        if self.widget.layout() is not None:
            qt.QWidget().setLayout(self.widget.layout())  # a layout goes with the widget it is given to
        self._own.clear()
        self._placed.clear()

    def _process(self, element: ElementTree.Element) -> Any:
        if element.tag == "layout":
            return self._layout(element)
        view = self._view(element)
        if view is not None:
            view.setVisible(True)
            self._placed.append(view)
        return view

    def _layout(self, element: ElementTree.Element) -> Any:
        upright = element.get("type", "horizontal") == "vertical"
        if element.get("type") not in (None, "horizontal", "vertical"):
            raise NotImplementedError(f"The stand-in has no layout of type {element.get('type')}")
        split = element.get("split", "false") == "true"
        if split:
            box = qt.QSplitter(qt.Qt.Vertical if upright else qt.Qt.Horizontal)
            self._own.append(box)
        else:
            box = qt.QVBoxLayout() if upright else qt.QHBoxLayout()
            box.setContentsMargins(0, 0, 0, 0)
            box.setSpacing(1)
        sizes = []
        for item in element:
            if item.tag != "item" or len(item) != 1:
                raise ValueError(f"<{item.tag}> with {len(item)} elements: CTK asserts one element in an <item>")
            sizes.append(int(item.get("splitSize", 0)))
            child = self._process(item[0])
            if child is not None:
                self._add(box, child)
        if split and any(sizes):
            box.setSizes(sizes)
        return box

    def _add(self, box: Any, child: Any) -> None:
        layout = isinstance(child, qt.QLayout)
        if isinstance(box, qt.QSplitter):
            if layout:
                page = qt.QWidget()
                page.setLayout(child)
                self._own.append(page)
                child = page
            box.addWidget(child)
        elif layout:
            box.addLayout(child)
        else:
            box.addWidget(child)

    def _view(self, element: ElementTree.Element) -> Any:
        if element.tag == "view":
            tag = element.get("singletontag", "")
            if tag not in self._views:
                self._views[tag] = ViewFrame(self._manager, tag, self.widget)
            return self._views[tag]
        for factory in self.factories:
            if factory.tagName() == element.tag:
                return factory._create()
        return None
