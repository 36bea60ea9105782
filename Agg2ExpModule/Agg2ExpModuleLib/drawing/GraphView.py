"""The importance graph as a widget: draws itself, answers to mouse and keyboard."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from .DrawnView import DrawnView
from .GraphData import GraphData, GraphEdge
from .GraphGeometry import GraphScene, placeGraph
from .GraphPainter import Emphasis, GraphPainter
from .PanelColors import PanelColors
from .QtParts import flagValue, positionOf, textMeasure


class GraphView(DrawnView, qt.QWidget):
    """Regions as nodes, an arrow from a region to each label that leans on it.

    Usage::

        view = GraphView(parent)
        view.onNodeClicked.append(lambda name: ...)
        view.onEdgeClicked.append(lambda label, roi: ...)
        view.setGraph(model.graph("absolute", "mass", topK=3))
        view.selected = "aorta"    # its incoming arrows stand out; None shows all alike

    Clicking a node or an arrow also selects (a node itself, of an arrow the label); clicking beside or Escape selects nothing.
    ``onSelected`` are given what the user has selected so, None for nothing.
    """

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.onNodeClicked: list[Callable[[str], None]] = []
        self.onEdgeClicked: list[Callable[[str, str], None]] = []
        self.onSelected: list[Callable[[str | None], None]] = []
        self.emptyText = _("The graph appears here after an explanation.")
        self._data: GraphData | None = None
        self._scene: GraphScene | None = None
        self._selected: str | None = None
        self._current: str | None = None
        self._hoverNode: str | None = None
        self._hoverEdge: GraphEdge | None = None
        self.setUpDrawing(_("RoI importance graph"), 280)

    def setGraph(self, data: GraphData | None) -> None:
        """Show a graph, or with None the hint that there is none yet. A selection that the graph lacks is dropped."""
        self._data = data
        self._scene = None
        names = {node.name for node in data.nodes} if data else set()
        self._hoverNode, self._hoverEdge = self._hoverNode if self._hoverNode in names else None, None
        self._selected = self._selected if self._selected in names else None
        self._current = self._current if self._current in names else None
        self.update()

    def graph(self) -> GraphData | None:
        """What is shown."""
        return self._data

    @property
    def selected(self) -> str | None:
        """Name of the node that stands out."""
        return self._selected

    @selected.setter
    def selected(self, name: str | None) -> None:
        known = self._data is not None and any(node.name == name for node in self._data.nodes)
        self._selected = name if known else None
        self.update()

    def reveal(self, name: str) -> None:
        """Make a node stand out, as if the mouse were over it, until the mouse comes."""
        if self._data is not None and any(node.name == name for node in self._data.nodes):
            self._hoverNode, self._hoverEdge = name, None
            self.update()

    def placed(self) -> GraphScene | None:
        """Where everything stands now, in the widget's pixels; None without a graph."""
        size = (float(self.width), float(self.height))
        if self._data is None:
            self._scene = None
        elif self._scene is None or (self._scene.width, self._scene.height) != size:
            self._scene = placeGraph(self._data, *size, self.fontSize(), textMeasure(self.font))
        return self._scene

    def render(
        self, path: str | Path, width: int = 1200, height: int = 900, scale: float = 2.0, colors: PanelColors | None = None
    ) -> None:
        """Write the graph as a PNG picture of its own size, on a light ground unless ``colors`` says otherwise.

        Args:
            path: where to; ``.png``.
            width: in units of the screen, as ``height``; the picture has ``scale`` times as many pixels.

        Raises:
            ValueError: there is no graph.
            OSError: the file cannot be written.
        """
        if self._data is None:
            raise ValueError(_("There is no graph to save yet: explain a label first."))
        scene = placeGraph(self._data, float(width), float(height), self.fontSize(), textMeasure(self.font))

        def draw(painter: Any, shown: PanelColors) -> None:
            GraphPainter(painter, scene, shown, self.font).draw(Emphasis(self._selected))

        self.savePicture(path, width, height, scale, colors, draw)

    # Qt calls these; the names are Qt's.

    def sizeHint(self) -> Any:
        return qt.QSize(350, 400)

    def paintEvent(self, event: Any) -> None:
        painter = qt.QPainter(self)
        try:  # an exception with an active painter would end the application
            colors = PanelColors.ofWidget(self)
            scene = self.placed()
            if scene is None or not scene.nodes:
                self.drawHint(painter, colors)
            else:
                current = self._hoverNode or (self._current if self.focus else None)
                emphasis = Emphasis(self._selected, current, self._hoverEdge, bool(self.focus))
                GraphPainter(painter, scene, colors, self.font).draw(emphasis)
        finally:
            painter.end()

    def mouseMoveEvent(self, event: Any) -> None:
        node, edge = self._under(positionOf(event))
        if (node, edge) != (self._hoverNode, self._hoverEdge):
            self._hoverNode, self._hoverEdge = node, edge
            self.cursor = qt.QCursor(qt.Qt.PointingHandCursor if node or edge else qt.Qt.ArrowCursor)
            self.update()
        self._tell(positionOf(event))

    def leaveEvent(self, event: Any) -> None:
        self._hoverNode, self._hoverEdge = None, None
        qt.QToolTip.hideText()
        self.update()

    def mousePressEvent(self, event: Any) -> None:
        if event.button() != qt.Qt.LeftButton:
            event.ignore()
            return
        node, edge = self._under(positionOf(event))
        if node:
            self._choose(node)
        elif edge:
            self._select(edge.target)
            for callback in list(self.onEdgeClicked):
                callback(edge.target, edge.source)
        else:
            self._select(None)

    def keyPressEvent(self, event: Any) -> None:
        key = event.key()
        steps = {qt.Qt.Key_Left: (-1, 0), qt.Qt.Key_Right: (1, 0), qt.Qt.Key_Up: (0, -1), qt.Qt.Key_Down: (0, 1)}
        if key in steps and self.placed() and self._scene.nodes:
            self._walk(*steps[key])
        elif key in (qt.Qt.Key_Return, qt.Qt.Key_Enter, qt.Qt.Key_Space) and self._current:
            self._choose(self._current)
        elif key == qt.Qt.Key_Escape and self._selected is not None:
            self._select(None)
        else:
            event.ignore()

    def focusNextPrevChild(self, forward: bool) -> bool:
        names = [node.name for node in self._data.nodes] if self._data else []
        index = names.index(self._current) + (1 if forward else -1) if self._current in names else 0 if forward else len(names) - 1
        if 0 <= index < len(names):
            self._goTo(names[index])
            return True
        self._current = None
        self.update()
        return self._leaveFocus(forward)

    def focusInEvent(self, event: Any) -> None:
        if self._current is None and self._selected:
            self._current = self._selected
        self.update()

    def onFontChanged(self) -> None:
        self._scene = None

    def _under(self, position: Any) -> tuple[str | None, GraphEdge | None]:
        scene = self.placed()
        if scene is None:
            return None, None
        x, y = float(position.x()), float(position.y())
        node = scene.nodeAt(x, y)
        if node:
            return node, None
        focus = frozenset([self._selected]) if self._selected else None
        return None, scene.edgeAt(x, y, focus) or scene.edgeAt(x, y)

    def _tell(self, position: Any) -> None:
        tip = self._hoverEdge.tip if self._hoverEdge else ""
        if self._hoverNode and self._data:
            tip = next(node.tip for node in self._data.nodes if node.name == self._hoverNode)
        self.showTip(position.x(), position.y(), tip)

    def _select(self, name: str | None) -> None:
        self.selected = name
        for callback in list(self.onSelected):
            callback(name)

    def _choose(self, name: str) -> None:
        self._current = name
        self._select(name)
        for callback in list(self.onNodeClicked):
            callback(name)

    def _walk(self, dx: int, dy: int) -> None:
        """To the nearest node in a direction; at first to the selected or the first one."""
        nodes = self._scene.nodes if self._scene else {}
        if self._current not in nodes:
            self._goTo(self._selected or next(iter(nodes)))
            return
        here = nodes[self._current]
        best, found = math.inf, None
        for name, place in nodes.items():
            x, y = place.x - here.x, place.y - here.y
            along, beside = x * dx + y * dy, abs(x * dy) + abs(y * dx)
            if along > 1 and along + 2 * beside < best:
                best, found = along + 2 * beside, name
        if found:
            self._goTo(found)

    def _goTo(self, name: str) -> None:
        self._current = name
        scene = self.placed()
        if scene and name in scene.nodes:
            place = scene.nodes[name]
            self.tellCurrent(place.x, place.y + place.radius, place.node.tip)
        self.update()

    def _leaveFocus(self, forward: bool) -> bool:
        """Focus to the next widget that takes Tab, as Qt would do: the base class' own function cannot be called in PythonQt."""
        widget = self
        for _step in range(10000):
            widget = widget.nextInFocusChain() if forward else widget.previousInFocusChain()
            if widget is None or widget is self or widget == self:
                return False
            if widget.window() == self.window() and widget.visible and widget.enabled and takesTab(widget):
                widget.setFocus(qt.Qt.TabFocusReason if forward else qt.Qt.BacktabFocusReason)
                return True
        return False


def takesTab(widget: Any) -> bool:
    """Whether Tab stops at a widget."""
    return bool(flagValue(widget.focusPolicy) & flagValue(qt.Qt.TabFocus))
