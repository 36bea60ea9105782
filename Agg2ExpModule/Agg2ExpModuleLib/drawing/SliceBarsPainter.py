"""Draws placed bars of slices with a QPainter: on the screen and into pictures alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import qt

from .PanelColors import Color, PanelColors, mixed
from .QtParts import colorOf, fontOf, noPen, penOf, textMeasure
from .SliceBarsData import SliceBarsData
from .SliceBarsGeometry import SliceBarsScene

Place = tuple[int, int]  # strip, place in it


class SliceBarsPainter:
    """Draws one set of strips.

    Args:
        painter: an active QPainter.
        data: what to draw.
        scene: where.
        colors: of the theme.
        font: of the window.
    """

    def __init__(self, painter: Any, data: SliceBarsData, scene: SliceBarsScene, colors: PanelColors, font: Any) -> None:
        self._painter, self._data, self._scene, self._colors, self._font = painter, data, scene, colors, font
        self._measure = textMeasure(font)

    def draw(
        self,
        height: float,
        marked: Mapping[str, int],
        top: frozenset[tuple[str, int]] = frozenset(),
        hover: Place | None = None,
        current: Place | None = None,
    ) -> None:
        """Everything, on a ground of this height.

        Args:
            height: of the ground.
            marked: plane to place of the slice that the views show.
            top: plane and place of the slices that are listed as the most important.
            hover, current: bar under the mouse, and the one the keyboard went to.
        """
        painter, scene = self._painter, self._scene
        painter.setRenderHint(qt.QPainter.Antialiasing, True)
        painter.setRenderHint(qt.QPainter.TextAntialiasing, True)
        painter.fillRect(qt.QRectF(0, 0, scene.width, max(height, scene.height)), colorOf(self._colors.paper))
        for index, strip in enumerate(self._data.strips):
            self._ground(index)
            for under in (hover, current):
                if under is not None and under[0] == index:
                    self._column(under)
            self._bars(index)
            for plane, place in top:
                if plane == strip.plane:
                    self._dot(index, place)
            if strip.plane in marked:
                self._here(index, marked[strip.plane])
        self._below()

    def _ground(self, index: int) -> None:
        painter, scene, strip = self._painter, self._scene, self._data.strips[index]
        top = scene.tops[index]
        ground = qt.QRectF(scene.left, top, scene.right - scene.left, scene.tall)
        painter.fillRect(ground, colorOf(mixed(self._colors.paper, self._colors.ink, 0.04)))
        middle = top + scene.tall / 2
        self._text(strip.title, 6, middle + 0.36 * scene.textSize, scene.textSize, True, self._colors.ink, -1)
        for letter, x, side in ((strip.ends[0], scene.left - 4, 1), (strip.ends[1], scene.right + 3, -1)):
            self._text(letter, x, middle + 0.36 * scene.smallSize, scene.smallSize, False, self._colors.faint, side)

    def _bars(self, index: int) -> None:
        painter, scene, bars = self._painter, self._scene, self._data.strips[index].bars
        up, down = self._data.most
        line = scene.tops[index] + scene.zero
        above = scene.zero / up if up > 0 else 0.0  # pixels of the number 1, alike on both sides
        below = (scene.tall - scene.zero) / down if down > 0 else 0.0
        painter.setPen(noPen())
        for left, width, first, end in scene.columns(index):
            thin = width - (1.0 if width >= 4 else 0.0)
            part = bars[first:end]
            high, low = max(bar.up for bar in part) * above, max(bar.down for bar in part) * below
            painter.fillRect(qt.QRectF(left, line - high, thin, high), colorOf(self._color(1)))
            painter.fillRect(qt.QRectF(left, line, thin, low), colorOf(self._color(-1)))
        painter.setPen(penOf(self._colors.faint, 1.0))
        painter.drawLine(qt.QPointF(scene.left, line), qt.QPointF(scene.right, line))

    def _color(self, sign: int) -> Color:
        return self._colors.bar(sign if self._data.signed else 0)

    def _column(self, place: Place) -> None:
        scene = self._scene
        left, right = scene.x(*place)
        wide = max(3.0, right - left)
        rect = qt.QRectF((left + right - wide) / 2, scene.tops[place[0]], wide, scene.tall)
        self._painter.fillRect(rect, colorOf(mixed(self._colors.paper, self._colors.accent, 0.3)))

    def _here(self, index: int, place: int) -> None:
        """The slice that the views show: a line through the strip, and a triangle above it."""
        painter, scene = self._painter, self._scene
        x, top = sum(scene.x(index, place)) / 2, scene.tops[index]
        painter.setPen(penOf(self._colors.ink, 1.5))
        painter.drawLine(qt.QPointF(x, top), qt.QPointF(x, top + scene.tall))
        painter.setPen(noPen())
        painter.setBrush(qt.QBrush(colorOf(self._colors.ink)))
        path = qt.QPainterPath(qt.QPointF(x, top))
        path.lineTo(qt.QPointF(x - 4, top - 6))
        path.lineTo(qt.QPointF(x + 4, top - 6))
        path.closeSubpath()
        painter.drawPath(path)

    def _dot(self, index: int, place: int) -> None:
        """One of the most important slices: a ring below its bar."""
        painter, scene = self._painter, self._scene
        x, y = sum(scene.x(index, place)) / 2, scene.tops[index] + scene.tall + 3.5
        painter.setPen(noPen())
        painter.setBrush(qt.QBrush(colorOf(self._colors.ink)))
        painter.drawEllipse(qt.QRectF(x - 1.8, y - 1.8, 3.6, 3.6))

    def _below(self) -> None:
        """What the colours mean, how much the largest bars are, and what a bar is."""
        painter, scene, data = self._painter, self._scene, self._data
        y = scene.tops[-1] + scene.tall + 8 + 0.8 * scene.lineHeight
        if data.signed:
            x = 6.0
            for sign, word, most in ((1, data.key[0], data.mostText[0]), (-1, data.key[1], data.mostText[1])):
                painter.fillRect(qt.QRectF(x, y - 0.62 * scene.smallSize, 9, 9), colorOf(self._color(sign)))
                text = f"{word} {most}".strip()
                self._text(text, x + 13, y, scene.smallSize, False, self._colors.faint, -1)
                x += 13 + self._measure(text, scene.smallSize, False)[0] + 14
            y += scene.lineHeight
        for line in scene.caption:
            self._text(line, 6, y, scene.smallSize, False, self._colors.faint, -1)
            y += scene.lineHeight

    def _text(self, text: str, x: float, y: float, size: int, bold: bool, color: Color, side: int) -> None:
        """On the baseline ``y``; ``x`` is the text's left end (side -1), middle (0) or right end (1)."""
        width = self._measure(text, size, bold)[0]
        self._painter.setFont(fontOf(self._font, size, bold))
        self._painter.setPen(penOf(color))
        self._painter.drawText(qt.QPointF(x - width * (side + 1) / 2, y), text)
