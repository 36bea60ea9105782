"""Draws a placed graph with a QPainter: on the screen and into pictures alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import qt

from .EdgeRoutes import Rect
from .GraphData import GraphEdge
from .GraphGeometry import GraphScene, PlacedEdge, PlacedNode
from .PanelColors import Color, PanelColors, mixed, writing
from .QtParts import colorOf, fontOf, noPen, penOf, textMeasure

_MOST_WEIGHTS = 8  # numbers at edges as long as nothing is selected
_RING = 2.2  # pixels


@dataclass(frozen=True)
class Emphasis:
    """What stands out: the selected node, the node under keyboard or mouse, the edge under the mouse."""

    selected: str | None = None
    current: str | None = None
    edge: GraphEdge | None = None
    focus: bool = False


class GraphPainter:
    """Draws one :class:`~.GraphGeometry.GraphScene`.

    Args:
        painter: an active QPainter whose units are the scene's.
        scene: what to draw.
        colors: of the theme.
        font: of the window.
    """

    def __init__(self, painter: Any, scene: GraphScene, colors: PanelColors, font: Any) -> None:
        self._painter = painter
        self._scene = scene
        self._colors = colors
        self._font = font
        self._measure = textMeasure(font)

    def draw(self, emphasis: Emphasis) -> None:
        """Everything, on a filled ground."""
        painter, scene = self._painter, self._scene
        painter.setRenderHint(qt.QPainter.Antialiasing, True)
        painter.setRenderHint(qt.QPainter.TextAntialiasing, True)
        painter.fillRect(qt.QRectF(0, 0, scene.width, scene.height), colorOf(self._colors.paper))
        strong = self.strongEdges(emphasis.selected)
        involved = {name for edge in strong for name in (edge.source, edge.target)} | {emphasis.selected}
        self._sides()
        for place in scene.edges:
            if place.edge not in strong or emphasis.selected is None:
                self._edge(place, self._alpha(place.edge, emphasis))
        if emphasis.selected is not None:
            for place in scene.edges:
                if place.edge in strong:
                    self._edge(place, 0.95)
        for place in scene.edges:
            if place.edge is emphasis.edge:
                self._edge(place, 1.0, 1.2)
        for name, node in scene.nodes.items():
            faded = emphasis.selected is not None and name not in involved
            self._node(node, 0.32 if faded else 1.0, emphasis)
        self._weights(emphasis, strong)
        self._caption()
        self._legend()

    def strongEdges(self, selected: str | None) -> list[GraphEdge]:
        """Edges that stand out, the strongest first: those into the selected label, or out of it where it is only a region."""
        edges = sorted(self._scene.data.edges, key=lambda edge: -edge.weight)
        if selected is None:
            return edges
        return [edge for edge in edges if edge.target == selected] or [edge for edge in edges if edge.source == selected]

    def _alpha(self, edge: GraphEdge, emphasis: Emphasis) -> float:
        if emphasis.selected is not None:
            return 0.10
        return 0.20 + 0.65 * edge.relative**0.75 + (0.06 if self._colors.dark else 0.0)

    def _edge(self, place: PlacedEdge, alpha: float, wider: float = 0.0) -> None:
        painter = self._painter
        sign = place.edge.sign
        color = self._colors.signed(sign) if sign else self._colors.shown(self._scene.nodes[place.edge.source].node.color)
        width = place.width + wider
        curve = place.curve
        # line and head meet without overlap, since see-through parts would add up
        base = max(0.3, 1 - place.head / curve.length)
        line, back, tip = curve.part(0.0, base), curve.at(base), curve.end
        dx, dy = _unit(tip[0] - back[0], tip[1] - back[1])
        half = 0.30 * place.head + 0.45 * width
        path = qt.QPainterPath(qt.QPointF(*line.start))
        path.quadTo(qt.QPointF(*line.control), qt.QPointF(*line.end))
        painter.strokePath(path, penOf(color, width, alpha, dashed=sign < 0))
        head = qt.QPainterPath(qt.QPointF(*tip))
        head.lineTo(qt.QPointF(back[0] - dy * half, back[1] + dx * half))
        head.lineTo(qt.QPointF(back[0] + dy * half, back[1] - dx * half))
        head.closeSubpath()
        painter.fillPath(head, qt.QBrush(colorOf(color, alpha)))

    def _node(self, place: PlacedNode, alpha: float, emphasis: Emphasis) -> None:
        painter, node = self._painter, place.node
        ground = self._colors.shown(node.color)
        selected, current = emphasis.selected == node.name, emphasis.current == node.name
        face = ground if node.explained else mixed(ground, self._colors.paper, 0.25 if place.linked else 0.55)
        face = mixed(face, self._colors.paper, 1 - alpha)
        x, y, radius = place.x, place.y, place.radius
        painter.setPen(noPen())
        painter.setBrush(qt.QBrush(colorOf(self._colors.paper)))
        self._shape(x, y, radius + (_RING + 1.5 if place.linked else 1.0), node.extra)
        painter.setBrush(qt.QBrush(colorOf(face)))
        self._shape(x, y, radius, node.extra)
        painter.setBrush(qt.QBrush())
        if selected or current:
            halo = self._colors.ink if selected else self._colors.accent
            painter.setPen(penOf(halo, 2.0 if selected else 1.6))
            self._shape(x, y, radius + 2.6, node.extra)
            if selected and current and emphasis.focus:
                painter.setPen(penOf(self._colors.accent, 1.6))
                self._shape(x, y, radius + 5.0, node.extra)
        if node.explained and node.shareText and radius >= 9:
            size = max(7, round(radius * 0.78))
            text = node.shareText.replace("\N{NO-BREAK SPACE}%", "")
            self._text(text, x, y + 0.36 * size, size, True, mixed(writing(ground), self._colors.paper, 1 - alpha), None)
        size = self._scene.textSize
        step = self._measure("Ag", size, False)[1] * 0.92
        left, top, width, _height = place.titleRect
        ink = mixed(self._colors.ink if place.linked else self._colors.faint, self._colors.paper, 1 - max(alpha, 0.45))
        for index, line in enumerate(place.lines):
            self._text(line, left + width / 2, top + step * (index + 0.80), size, selected, ink, self._colors.paper)

    def _shape(self, x: float, y: float, radius: float, square: bool) -> None:
        rect = qt.QRectF(x - radius, y - radius, 2 * radius, 2 * radius)
        if square:
            self._painter.drawRoundedRect(rect, 0.35 * radius, 0.35 * radius)
        else:
            self._painter.drawEllipse(rect)

    def _weights(self, emphasis: Emphasis, strong: list[GraphEdge]) -> None:
        if emphasis.selected is None:
            strong = [edge for edge in strong if edge.rank == 1 or edge.relative > 0.5]
            strong = strong[: _MOST_WEIGHTS if self._scene.width < 600 else 3 * _MOST_WEIGHTS]
        if emphasis.edge is not None and emphasis.edge not in strong:
            strong = [emphasis.edge, *strong]
        for edge, (left, top, width, height) in self._scene.weights(strong, self._measure):
            ink = self._colors.ink
            self._plate((left - 1, top + 1, width + 2, height - 2))
            size = self._scene.smallSize
            self._text(edge.text, left + width / 2, top + height / 2 + 0.36 * size, size, True, ink, self._colors.paper)

    def _plate(self, rect: Rect) -> None:
        self._painter.setPen(noPen())
        self._painter.setBrush(qt.QBrush(colorOf(self._colors.paper, 0.72)))
        self._painter.drawRoundedRect(qt.QRectF(*rect), 3, 3)

    def _sides(self) -> None:
        size = self._scene.textSize + 2
        for text, x, y in self._scene.sideMarks():
            self._text(text, x, y + 0.36 * size, size, True, mixed(self._colors.faint, self._colors.paper, 0.35), None)

    def _caption(self) -> None:
        size, step = self._scene.smallSize, self._scene.lineHeight
        for index, line in enumerate(self._scene.caption):
            width = self._measure(line, size, False)[0]
            self._text(line, 8 + width / 2, 6 + step * (index + 0.8), size, False, self._colors.faint, None)

    def _legend(self) -> None:
        painter, size = self._painter, self._scene.smallSize
        extra = {node.color for node in self._scene.data.nodes if node.extra}
        for entry in self._scene.legend:
            width = self._measure(entry.text, size, False)[0]
            if entry.color is None:
                self._wedge(entry.x, entry.y, entry.sign)
                start = entry.x + 30
            else:
                painter.setPen(noPen())
                painter.setBrush(qt.QBrush(colorOf(self._colors.shown(entry.color))))
                self._shape(entry.x + 5, entry.y, 4.5, entry.color in extra)
                start = entry.x + 14
            self._text(entry.text, start + width / 2, entry.y + 0.36 * size, size, False, self._colors.faint, None)

    def _wedge(self, x: float, y: float, sign: int) -> None:
        """Key of line widths, the strongest edge; or with a sign how such arrows are drawn."""
        thickness = 2.5 if sign else max((place.width for place in self._scene.edges), default=1.0)
        color = self._colors.signed(sign) if sign else self._colors.faint
        self._painter.setPen(penOf(color, thickness, 1.0 if sign else 0.8, dashed=sign < 0))
        self._painter.drawLine(qt.QPointF(x, y), qt.QPointF(x + 24, y))

    def _text(self, text: str, x: float, y: float, size: int, bold: bool, color: Color, halo: Color | None) -> None:
        """Centred at ``x`` on the baseline ``y``; ``halo`` is a soft edge that keeps it readable above lines."""
        font = fontOf(self._font, size, bold)
        place = qt.QPointF(x - self._measure(text, size, bold)[0] / 2, y)
        if halo is not None:
            path = qt.QPainterPath()
            path.addText(place, font, text)
            pen = penOf(halo, 3.0, 0.85)
            pen.setJoinStyle(qt.Qt.RoundJoin)
            self._painter.strokePath(path, pen)
        self._painter.setFont(font)
        self._painter.setPen(penOf(color))
        self._painter.drawText(place, text)


def _unit(x: float, y: float) -> tuple[float, float]:
    length = math.hypot(x, y) or 1.0
    return x / length, y / length
