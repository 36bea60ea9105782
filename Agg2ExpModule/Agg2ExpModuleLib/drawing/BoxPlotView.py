"""The box plot of one label's row as a widget: where this patient lies among others; answers to mouse and keyboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from .BoxPlotData import BoxPlotData
from .BoxPlotGeometry import BoxScene, placeBoxes
from .BoxPlotPainter import BoxPlotPainter
from .DrawnView import DrawnView
from .PanelColors import PanelColors
from .QtParts import positionOf, textMeasure

_LEAST_HEIGHT = 90


class BoxPlotView(DrawnView, qt.QWidget):
    """A box for each region, as high as it needs to be.

    Usage::

        view = BoxPlotView(parent)
        view.onRegionClicked.append(lambda name: ...)
        view.setBoxes(model.boxes("aorta"))
    """

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.onRegionClicked: list[Callable[[str], None]] = []
        self.emptyText = ""
        self._data: BoxPlotData | None = None
        self._scene: BoxScene | None = None
        self._hover: int | None = None
        self._current: int | None = None
        self.setUpDrawing(_("This patient among the cohort"), _LEAST_HEIGHT)

    def setBoxes(self, data: BoxPlotData | None) -> None:
        """Show a label's row, or with None the hint."""
        if data is None or self._data is None or data.label != self._data.label:
            self._current = None
        self._data, self._scene, self._hover = data, None, None
        self._fitHeight()
        self.update()

    def boxes(self) -> BoxPlotData | None:
        """What is shown."""
        return self._data

    def placed(self) -> BoxScene | None:
        """Where everything stands now, in the widget's pixels; None without data."""
        if self._data is None:
            self._scene = None
        elif self._scene is None or self._scene.width != float(self.width):
            self._scene = placeBoxes(self._data, float(self.width), self.fontSize(), textMeasure(self.font))
        return self._scene

    def onFontChanged(self) -> None:
        self._scene = None
        self._fitHeight()

    # Qt calls these; the names are Qt's.

    def sizeHint(self) -> Any:
        return qt.QSize(350, self.minimumHeight)

    def resizeEvent(self, event: Any) -> None:
        self._fitHeight()

    def paintEvent(self, event: Any) -> None:
        painter = qt.QPainter(self)
        try:  # an exception with an active painter would end the application
            colors = PanelColors.ofWidget(self)
            scene = self.placed()
            if scene is None or self._data is None:
                self.drawHint(painter, colors)
            else:
                current = self._current if self.focus else None
                BoxPlotPainter(painter, self._data, scene, colors, self.font).draw(float(self.height), self._hover, current)
        finally:
            painter.end()

    def mouseMoveEvent(self, event: Any) -> None:
        position = positionOf(event)
        self._hover = self._under(position)
        self.cursor = qt.QCursor(qt.Qt.ArrowCursor if self._hover is None else qt.Qt.PointingHandCursor)
        self.showTip(position.x(), position.y(), self._data.rows[self._hover].tip if self._hover is not None else "")
        self.update()

    def leaveEvent(self, event: Any) -> None:
        self._hover = None
        qt.QToolTip.hideText()
        self.update()

    def mousePressEvent(self, event: Any) -> None:
        row = self._under(positionOf(event))
        if event.button() != qt.Qt.LeftButton or row is None:
            event.ignore()
            return
        self._current = row
        self._choose(row)

    def keyPressEvent(self, event: Any) -> None:
        key = event.key()
        steps = {qt.Qt.Key_Up: -1, qt.Qt.Key_Down: 1, qt.Qt.Key_Home: -10000, qt.Qt.Key_End: 10000}
        count = len(self._data.rows) if self._data is not None else 0
        if key in steps and count:
            row = 0 if self._current is None else min(max(self._current + steps[key], 0), count - 1)
            self._current = row
            scene = self.placed()
            self.tellCurrent(scene.left, scene.top + scene.tall * (row + 1), self._data.rows[row].tip)
            self.update()
        elif key in (qt.Qt.Key_Return, qt.Qt.Key_Enter, qt.Qt.Key_Space) and self._current is not None:
            self._choose(self._current)
        else:
            event.ignore()

    def _under(self, position: Any) -> int | None:
        scene = self.placed()
        return scene.rowAt(float(position.x()), float(position.y())) if scene is not None else None

    def _choose(self, row: int) -> None:
        name = self._data.rows[row].region.name
        for callback in list(self.onRegionClicked):
            callback(name)

    def _fitHeight(self) -> None:
        scene = self.placed()
        height = _LEAST_HEIGHT if scene is None else round(scene.height + 0.5)
        if self.minimumHeight != height:
            self.minimumHeight = height
            self.updateGeometry()
