"""Draws a placed box plot with a QPainter."""

from __future__ import annotations

from typing import Any

import qt

from .BoxPlotData import BoxPlotData, BoxRow
from .BoxPlotGeometry import MARK, BoxScene
from .PanelColors import Color, PanelColors, mixed
from .QtParts import colorOf, fontOf, noPen, penOf, textMeasure

_DOT = 4.0  # pixels, radius of the patient's mark
_BOX, _PATIENT, _ABOVE, _BELOW = range(4)  # entries of the key


class BoxPlotPainter:
    """Draws one box plot.

    Args:
        painter: an active QPainter.
        data: what to draw.
        scene: where.
        colors: of the theme.
        font: of the window.
    """

    def __init__(self, painter: Any, data: BoxPlotData, scene: BoxScene, colors: PanelColors, font: Any) -> None:
        self._painter = painter
        self._data = data
        self._scene = scene
        self._colors = colors
        self._font = font
        self._measure = textMeasure(font)

    def draw(self, height: float, hover: int | None = None, current: int | None = None) -> None:
        """Everything, on a ground of this height; ``hover`` and ``current`` are rows under the mouse and the keyboard."""
        painter, scene = self._painter, self._scene
        painter.setRenderHint(qt.QPainter.Antialiasing, True)
        painter.setRenderHint(qt.QPainter.TextAntialiasing, True)
        painter.fillRect(qt.QRectF(0, 0, scene.width, max(height, scene.height)), colorOf(self._colors.paper))
        for index, line in enumerate(scene.caption):
            self._text(line, 6, 4 + scene.lineHeight * (index + 0.8), scene.smallSize, False, self._colors.faint, -1)
        self._axis()
        for index, row in enumerate(self._data.rows):
            self._row(index, row, index in (hover, current))
        if current is not None:
            painter.setBrush(qt.QBrush())
            painter.setPen(penOf(self._colors.accent, 1.5))
            painter.drawRect(qt.QRectF(1, scene.top + scene.tall * current, scene.width - 2, scene.tall))
        self._key()

    def _axis(self) -> None:
        painter, scene = self._painter, self._scene
        for value, text in scene.ticks:
            x = scene.x(value)
            painter.setPen(penOf(self._colors.line, 1.0))
            painter.drawLine(qt.QPointF(x, scene.top), qt.QPointF(x, scene.bottom + 3))
            self._text(text, x, scene.bottom + 4 + 0.8 * scene.lineHeight, scene.smallSize, False, self._colors.faint, 0)

    def _row(self, index: int, row: BoxRow, marked: bool) -> None:
        painter, scene = self._painter, self._scene
        middle, half = scene.middle(index), 0.28 * scene.tall
        if marked:
            ground = mixed(self._colors.paper, self._colors.accent, 0.13)
            painter.fillRect(qt.QRectF(0, scene.top + scene.tall * index, scene.width, scene.tall), colorOf(ground))
        painter.setPen(noPen())
        painter.setBrush(qt.QBrush(colorOf(self._colors.shown(row.region.color))))
        painter.drawRect(qt.QRectF(scene.left - 6, middle - scene.tall / 2 + 1, 2.5, scene.tall - 2))
        baseline = middle + 0.36 * scene.textSize
        ink = self._colors.faint if row.region.background else self._colors.ink
        self._text(scene.titles[index], scene.left - 10, baseline, scene.textSize, bool(row.side), ink, 1)
        self._box(scene.x(row.low), scene.x(row.lower), scene.x(row.median), scene.x(row.upper), scene.x(row.high), middle, half)
        self._mark(scene.x(row.value), middle, row.side)
        ink = self._colors.signed(row.side) if row.side else self._colors.ink
        self._text(row.text, scene.width - 6, baseline, scene.textSize, bool(row.side), ink, 1)

    def _box(self, low: float, lower: float, median: float, upper: float, high: float, y: float, half: float) -> None:
        painter = self._painter
        edge = mixed(self._colors.ink, self._colors.paper, 0.45)
        painter.setPen(penOf(edge, 1.2))
        painter.drawLine(qt.QPointF(low, y), qt.QPointF(high, y))
        for end in (low, high):
            painter.drawLine(qt.QPointF(end, y - 0.6 * half), qt.QPointF(end, y + 0.6 * half))
        painter.setBrush(qt.QBrush(colorOf(mixed(self._colors.paper, self._colors.ink, 0.16))))
        painter.drawRect(qt.QRectF(lower, y - half, max(1.0, upper - lower), 2 * half))
        painter.setPen(penOf(self._colors.ink, 1.6))
        painter.drawLine(qt.QPointF(median, y - half), qt.QPointF(median, y + half))

    def _mark(self, x: float, y: float, side: int) -> None:
        """A dot; beyond the range a triangle that points to that side, so that its shape tells without its colour."""
        painter = self._painter
        painter.setPen(penOf(self._colors.paper, 1.2))
        if not side:
            painter.setBrush(qt.QBrush(colorOf(self._colors.accent)))
            painter.drawEllipse(qt.QRectF(x - _DOT, y - _DOT, 2 * _DOT, 2 * _DOT))
            return
        size = 1.5 * _DOT
        path = qt.QPainterPath(qt.QPointF(x + side * size, y))
        path.lineTo(qt.QPointF(x - side * 0.7 * size, y - size))
        path.lineTo(qt.QPointF(x - side * 0.7 * size, y + size))
        path.closeSubpath()
        painter.setBrush(qt.QBrush(colorOf(self._colors.signed(side))))
        painter.drawPath(path)

    def _key(self) -> None:
        for index, text, x, y in self._scene.key:
            if index == _BOX:
                self._box(x, x + 3, x + 6, x + 9, x + 13, y, 4.0)
            else:
                self._mark(x + 7, y, {_PATIENT: 0, _ABOVE: 1, _BELOW: -1}[index])
            self._text(text, x + MARK, y + 0.36 * self._scene.smallSize, self._scene.smallSize, False, self._colors.faint, -1)

    def _text(self, text: str, x: float, y: float, size: int, bold: bool, color: Color, side: int) -> None:
        """On the baseline ``y``; ``x`` is the text's left end (side -1), middle (0) or right end (1)."""
        width = self._measure(text, size, bold)[0]
        self._painter.setFont(fontOf(self._font, size, bold))
        self._painter.setPen(penOf(color))
        self._painter.drawText(qt.QPointF(x - width * (side + 1) / 2, y), text)
