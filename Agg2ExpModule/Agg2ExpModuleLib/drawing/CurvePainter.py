"""Draws placed curves with a QPainter."""

from __future__ import annotations

import itertools
import math
from typing import Any

import qt

from .CurveData import CurveData
from .CurveGeometry import CurveScene
from .PanelColors import Color, PanelColors, mixed
from .QtParts import colorOf, fontOf, noPen, penOf, textMeasure


class CurvePainter:
    """Draws one set of curves.

    Args:
        painter: an active QPainter.
        data: what to draw.
        scene: where.
        colors: of the theme.
        font: of the window.
    """

    def __init__(self, painter: Any, data: CurveData, scene: CurveScene, colors: PanelColors, font: Any) -> None:
        self._painter, self._data, self._scene, self._colors, self._font = painter, data, scene, colors, font
        self._measure = textMeasure(font)

    def draw(self, height: float, current: int | None, hover: int | None = None) -> None:
        """Everything, on a ground of this height; ``current`` is the point that is shown."""
        painter, scene = self._painter, self._scene
        painter.setRenderHint(qt.QPainter.Antialiasing, True)
        painter.fillRect(qt.QRectF(0, 0, scene.width, max(height, scene.height)), colorOf(self._colors.paper))
        for value, text in scene.ticks:
            y = scene.y(value)
            painter.setPen(penOf(self._colors.faint if value == 0 else self._colors.line, 1.0))
            painter.drawLine(qt.QPointF(scene.left, y), qt.QPointF(scene.right, y))
            self._text(text, scene.left - 5, y + 0.36 * scene.smallSize, self._colors.faint, 1)
        for point, color, thickness in ((hover, self._colors.accent, 1.0), (current, self._colors.ink, 1.5)):
            if point is not None:
                painter.setPen(penOf(color, thickness))
                painter.drawLine(qt.QPointF(scene.x(point), scene.top), qt.QPointF(scene.x(point), scene.bottom))
        start = next((index for index, amount in enumerate(self._data.amounts) if amount == 0), None)
        if start is not None:
            self._text("0", scene.x(start), scene.bottom + 4 + 0.8 * scene.lineHeight, self._colors.faint, 0)
        for curve in self._data.curves:
            color = (
                self._colors.shown(curve.color) if curve.main else mixed(self._colors.shown(curve.color), self._colors.paper, 0.45)
            )
            self._curve(curve.values, color, 2.4 if curve.main else 1.2, current)
        below = scene.bottom + 4 + 0.8 * scene.lineHeight
        self._text(scene.ends[0], scene.left, below, self._colors.faint, -1)
        self._text(scene.ends[1], scene.right, below, self._colors.faint, 1)
        for index, line in enumerate(scene.caption):
            self._text(line, 6, below + scene.lineHeight * (index + 1), self._colors.faint, -1)

    def _curve(self, values: tuple[float, ...], color: Color, thickness: float, current: int | None) -> None:
        painter, scene = self._painter, self._scene
        places = [(scene.x(index), scene.y(value)) if math.isfinite(value) else None for index, value in enumerate(values)]
        painter.setBrush(qt.QBrush())
        painter.setPen(penOf(color, thickness))
        for one, other in itertools.pairwise(places):
            if one is not None and other is not None:
                painter.drawLine(qt.QPointF(*one), qt.QPointF(*other))
        at = places[current] if current is not None and current < len(places) else None
        if at is not None:
            painter.setPen(noPen())
            painter.setBrush(qt.QBrush(colorOf(color)))
            radius = 1.4 * thickness + 1
            painter.drawEllipse(qt.QRectF(at[0] - radius, at[1] - radius, 2 * radius, 2 * radius))

    def _text(self, text: str, x: float, y: float, color: Color, side: int) -> None:
        """On the baseline ``y``; ``x`` is the text's left end (side -1), middle (0) or right end (1)."""
        size = self._scene.smallSize
        width = self._measure(text, size, False)[0]
        self._painter.setFont(fontOf(self._font, size, False))
        self._painter.setPen(penOf(color))
        self._painter.drawText(qt.QPointF(x - width * (side + 1) / 2, y), text)
