"""The box plot of one label's row as a widget: where this patient lies among others; answers to mouse and keyboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from .BoxPlotData import BoxPlotData
from .BoxPlotGeometry import BoxScene, placeBoxes
from .BoxPlotPainter import BoxPlotPainter
from .FittedView import FittedView
from .PanelColors import PanelColors
from .QtParts import textMeasure


class BoxPlotView(FittedView, qt.QWidget):
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
        self._current: int | None = None
        self.setUpFitted(_("This patient among the cohort"))

    def setBoxes(self, data: BoxPlotData | None) -> None:
        """Show a label's row, or with None the hint."""
        if data is None or self._data is None or data.label != self._data.label:
            self._current = None
        self.setData(data)

    def boxes(self) -> BoxPlotData | None:
        """What is shown."""
        return self._data

    def placeAt(self, width: float) -> BoxScene:
        """Place the data in this width."""
        return placeBoxes(self._data, width, self.fontSize(), textMeasure(self.font))

    def drawOn(self, painter: Any, scene: BoxScene, colors: PanelColors) -> None:
        """Draw the data."""
        current = self._current if self.focus else None
        BoxPlotPainter(painter, self._data, scene, colors, self.font).draw(float(self.height), self._hover, current)

    def placeUnder(self, scene: BoxScene, x: float, y: float) -> int | None:
        """The row under a point."""
        return scene.rowAt(x, y)

    def tipOf(self, place: int) -> str:
        """What is told of a row."""
        return str(self._data.rows[place].tip)

    def press(self, place: int) -> None:
        """A row was clicked."""
        self._current = place
        self._choose(place)

    # Qt calls this; the name is Qt's.

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

    def _choose(self, row: int) -> None:
        name = self._data.rows[row].region.name
        for callback in list(self.onRegionClicked):
            callback(name)
