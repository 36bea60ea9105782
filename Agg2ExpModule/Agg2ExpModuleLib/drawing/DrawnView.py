"""What the widgets share that draw themselves: font, theme, tips, the hint while they are empty, pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from .PanelColors import PanelColors
from .QtParts import penOf, textMeasure


class DrawnView:
    """Mixed into a ``qt.QWidget``, before it, so that Qt finds these functions by their names.

    Attributes:
        emptyText: hint in place of the drawing while there is nothing to draw.
    """

    emptyText: str
    # of the QWidget
    font: Any
    rect: Any
    width: Any
    height: Any
    visible: Any
    accessibleDescription: Any
    mapToGlobal: Any
    update: Any

    def setUpDrawing(self, name: str, minimumHeight: int) -> None:
        """Take mouse and keyboard; ``name`` is for screen readers."""
        self.mouseTracking = True
        self.focusPolicy = qt.Qt.StrongFocus
        self.minimumHeight = minimumHeight
        self.sizePolicy = qt.QSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Expanding)
        self.accessibleName = name

    def fontSize(self) -> int:
        """Pixel size of the window's usual text."""
        return int(qt.QFontInfo(self.font).pixelSize())

    def onFontChanged(self) -> None:
        """Everything has to be placed anew."""
        raise NotImplementedError

    def showTip(self, x: float, y: float, tip: str) -> None:
        """Tell what is at a point of the widget; without a text nothing."""
        if tip:
            qt.QToolTip.showText(self.mapToGlobal(qt.QPoint(round(x), round(y))), tip, self)
        else:
            qt.QToolTip.hideText()

    def tellCurrent(self, x: float, y: float, tip: str) -> None:
        """Tell what the keyboard has gone to, on the screen and to screen readers."""
        self.accessibleDescription = tip
        if self.visible:
            self.showTip(x, y, tip)

    def drawHint(self, painter: Any, colors: PanelColors) -> None:
        """:attr:`emptyText` in the middle of an empty ground, on as many lines as it has."""
        painter.fillRect(self.rect, qt.QColor(*colors.paper))
        painter.setPen(penOf(colors.faint))
        measure, lines = textMeasure(self.font), self.emptyText.split("\n")
        for index, line in enumerate(lines):
            width, height = measure(line, self.fontSize(), False)
            y = self.height / 2 + height * (index - (len(lines) - 1) / 2)
            painter.drawText(qt.QPointF((self.width - width) / 2, y), line)

    def savePicture(
        self, path: str | Path, width: int, height: int, scale: float, colors: PanelColors | None, draw: Callable[[Any, Any], None]
    ) -> None:
        """Write a PNG picture; ``draw`` is given the painter and the colours, those of a light ground by default.

        Raises:
            OSError: the file cannot be written.
        """
        pixmap = qt.QPixmap(round(width * scale), round(height * scale))
        painter = qt.QPainter(pixmap)
        painter.scale(scale, scale)
        draw(painter, colors or PanelColors.of((255, 255, 255), (29, 33, 38), (48, 110, 200)))
        painter.end()
        if not pixmap.save(str(path), "PNG"):
            raise OSError(_("Cannot write {path}: choose another folder.").format(path=path))

    # Qt calls these; the names are Qt's.

    def focusInEvent(self, event: Any) -> None:
        self.update()

    def focusOutEvent(self, event: Any) -> None:
        self.update()

    def changeEvent(self, event: Any) -> None:
        if event.type() == qt.QEvent.FontChange:
            self.onFontChanged()
        if event.type() in (qt.QEvent.FontChange, qt.QEvent.PaletteChange, qt.QEvent.StyleChange):
            self.update()
