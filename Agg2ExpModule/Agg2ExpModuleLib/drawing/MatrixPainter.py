"""Draws a placed heat map with a QPainter: on the screen and into pictures alike."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import qt

from .GraphData import MatrixData
from .GraphGeometry import wrapped
from .MatrixGeometry import TILT, MatrixScene
from .PanelColors import Color, PanelColors, mixed, writing
from .QtParts import colorOf, fontOf, noPen, penOf, textMeasure

Cell = tuple[int | None, int | None]


class MatrixPainter:
    """Draws one matrix.

    Args:
        painter: an active QPainter whose units are the scene's.
        data: what to draw.
        scene: where.
        colors: of the theme.
        font: of the window.
        scroll: pixels by which the cells are moved to the left and upwards.
    """

    def __init__(
        self, painter: Any, data: MatrixData, scene: MatrixScene, colors: PanelColors, font: Any, scroll: tuple[float, float]
    ) -> None:
        self._painter = painter
        self._data = data
        self._scene = scene
        self._colors = colors
        self._font = font
        self._scroll = scroll
        self._measure = textMeasure(font)

    def draw(self, selected: str | None, hover: Cell, current: Cell | None) -> None:
        """Everything, on a filled ground; ``current`` is the cell with the keyboard's focus."""
        painter, scene = self._painter, self._scene
        painter.setRenderHint(qt.QPainter.Antialiasing, True)
        painter.setRenderHint(qt.QPainter.TextAntialiasing, True)
        painter.fillRect(qt.QRectF(0, 0, scene.width, scene.height), colorOf(self._colors.paper))
        wide, tall = scene.window
        marked = current or hover
        painter.save()
        painter.setClipRect(qt.QRectF(scene.left, scene.top, wide, tall))
        painter.translate(scene.left - self._scroll[0], scene.top - self._scroll[1])
        self._cells(selected, hover, current)
        painter.restore()
        painter.save()
        painter.setClipRect(qt.QRectF(scene.left, 0, wide, scene.top))
        self._columnTitles(marked[1])
        painter.restore()
        painter.save()
        painter.setClipRect(qt.QRectF(0, scene.top, scene.left, tall))
        self._rowTitles(selected, marked[0])
        painter.restore()
        self._scale()

    def _cells(self, selected: str | None, hover: Cell, current: Cell | None) -> None:
        painter, scene = self._painter, self._scene
        wide, tall = scene.cell
        for row, y in enumerate(scene.ys):
            for column, x in enumerate(scene.xs):
                cell = self._data.cells[row][column]
                rect = qt.QRectF(x + 0.5, y + 0.5, wide - 1, tall - 1)
                if cell.strength is None:
                    ground, ink = mixed(self._colors.paper, self._colors.ink, 0.03), self._colors.faint
                elif self._data.signed:
                    ground = self._colors.diverging(cell.sign * cell.strength)
                    ink = writing(ground)
                else:
                    grey = self._data.columns[column].background
                    ground = self._colors.gray(cell.strength) if grey else self._colors.heat(cell.strength)
                    ink = writing(ground)
                painter.fillRect(rect, colorOf(ground))
                self._text(cell.text, x + wide / 2, y + tall / 2 + 0.36 * scene.cellSize, scene.cellSize, cell.own, ink, 0)
                if cell.own:
                    self._frame(x, y, wide, tall, self._colors.ink, 1.0)
        right = scene.xs[-1] + wide if scene.xs else 0.0
        for row, header in enumerate(self._data.rows):
            if header.name == selected:
                self._frame(-1, scene.ys[row], right + 1, tall, self._colors.accent, 2.0)
        for cellPlace, thickness in ((hover, 1.5), (current, 2.0)):
            if cellPlace and cellPlace[0] is not None and cellPlace[1] is not None:
                self._frame(scene.xs[cellPlace[1]], scene.ys[cellPlace[0]], wide, tall, self._colors.accent, thickness)

    def _frame(self, x: float, y: float, wide: float, tall: float, color: Color, thickness: float) -> None:
        self._painter.setBrush(qt.QBrush())
        self._painter.setPen(penOf(color, thickness))
        inset = thickness / 2
        self._painter.drawRoundedRect(qt.QRectF(x + inset, y + inset, wide - 2 * inset, tall - 2 * inset), 1.5, 1.5)

    def _columnTitles(self, marked: int | None) -> None:
        painter, scene = self._painter, self._scene
        for column, x in enumerate(scene.xs):
            header = self._data.columns[column]
            painter.save()
            painter.translate(scene.left - self._scroll[0] + x + scene.cell[0] / 2, scene.top - 4)
            painter.setPen(noPen())
            painter.setBrush(qt.QBrush(colorOf(self._colors.shown(header.color))))
            painter.drawRect(qt.QRectF(-scene.cell[0] / 2 + 0.5, 1, scene.cell[0] - 1, 2.5))
            painter.rotate(-TILT)
            bold = column == marked
            ink = self._colors.faint if header.background else self._colors.ink
            self._text(scene.columnTitles[column], 2, 0.36 * scene.textSize - 1, scene.textSize, bold, ink, -1)
            painter.restore()

    def _rowTitles(self, selected: str | None, marked: int | None) -> None:
        painter, scene = self._painter, self._scene
        for row, start in enumerate(scene.ys):
            header = self._data.rows[row]
            middle = scene.top - self._scroll[1] + start + scene.cell[1] / 2
            painter.setPen(noPen())
            painter.setBrush(qt.QBrush(colorOf(self._colors.shown(header.color))))
            painter.drawRect(qt.QRectF(scene.left - 3, middle - scene.cell[1] / 2 + 0.5, 2.5, scene.cell[1] - 1))
            bold = row == marked or header.name == selected
            text = scene.rowTitles[row]
            room = scene.left - 14
            text = wrapped(text, room, 1, partial(self._width, size=scene.textSize, bold=bold))[0]
            ink = self._colors.ink
            self._text(text, scene.left - 8, middle + 0.36 * scene.textSize, scene.textSize, bold, ink, 1)

    def _scale(self) -> None:
        """Bar of colours with its two ends, and what a number is."""
        painter, scene = self._painter, self._scene
        size, line = scene.cellSize, self._measure("Ag", scene.cellSize, False)[1]
        y = scene.height - scene.bottom + 12 + line / 2
        x = 8.0
        ends = ("\N{MINUS SIGN}" + self._data.scale, "+" + self._data.scale) if self._data.signed else ("0", self._data.scale)
        self._text(ends[0], x, y + 0.36 * size, size, False, self._colors.faint, -1)
        x += self._measure(ends[0], size, False)[0] + 5
        steps, wide = 24, 72.0
        for step in range(steps):
            part = (step + 0.5) / steps
            # colours go with the square root of the value
            signed = math.copysign(abs(2 * part - 1) ** 0.5, part - 0.5)
            color = self._colors.diverging(signed) if self._data.signed else self._colors.heat(part**0.5)
            painter.fillRect(qt.QRectF(x + step * wide / steps, y - 4, wide / steps + 0.5, 8), colorOf(color))
        self._frame(x, y - 4, wide, 8, self._colors.line, 0.8)
        x += wide + 5
        self._text(ends[1], x, y + 0.36 * size, size, False, self._colors.faint, -1)
        x += self._measure(ends[1], size, False)[0] + 14
        room = scene.width - x - 8
        lines = wrapped(self._data.caption, room, 2, lambda part: self._measure(part, size, False)[0])
        for index, text in enumerate(lines):
            baseline = y + 0.36 * size + line * (index - (len(lines) - 1) / 2)
            self._text(text, x, baseline, size, False, self._colors.faint, -1)

    def _width(self, text: str, size: int, bold: bool) -> float:
        return float(self._measure(text, size, bold)[0])

    def _text(self, text: str, x: float, y: float, size: int, bold: bool, color: Color, side: int) -> None:
        """On the baseline ``y``; ``x`` is the text's left end (side -1), middle (0) or right end (1)."""
        width = self._measure(text, size, bold)[0]
        self._painter.setFont(fontOf(self._font, size, bold))
        self._painter.setPen(penOf(color))
        self._painter.drawText(qt.QPointF(x - width * (side + 1) / 2, y), text)
