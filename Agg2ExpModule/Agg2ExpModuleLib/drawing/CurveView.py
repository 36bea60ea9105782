"""Curves along λ as a widget: a click goes to a point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from .CurveData import CurveData
from .CurveGeometry import CurveScene, placeCurves
from .CurvePainter import CurvePainter
from .FittedView import FittedView
from .PanelColors import PanelColors
from .QtParts import textMeasure


class CurveView(FittedView, qt.QWidget):
    """Curves, as high as they need to be; the slider beside it is what the keyboard uses.

    Usage::

        view = CurveView(parent)
        view.onPoint.append(lambda index: ...)
        view.setCurves(data)
        view.current = 3
    """

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.onPoint: list[Callable[[int], None]] = []
        self.emptyText = ""
        self._current: int | None = None
        self.setUpFitted(_("Volumes of the labels along the counterfactual"))
        self.focusPolicy = qt.Qt.NoFocus

    def setCurves(self, data: CurveData | None) -> None:
        """Show curves, or nothing."""
        self.setData(data)

    def curves(self) -> CurveData | None:
        """What is shown."""
        return self._data

    @property
    def current(self) -> int | None:
        """The point that is shown in the views."""
        return self._current

    @current.setter
    def current(self, point: int | None) -> None:
        if point != self._current:
            self._current = point
            self.update()

    def placeAt(self, width: float) -> CurveScene:
        """Place the data in this width."""
        return placeCurves(self._data, width, self.fontSize(), textMeasure(self.font))

    def drawOn(self, painter: Any, scene: CurveScene, colors: PanelColors) -> None:
        """Draw the data."""
        CurvePainter(painter, self._data, scene, colors, self.font).draw(float(self.height), self._current, self._hover)

    def placeUnder(self, scene: CurveScene, x: float, y: float) -> int | None:
        """The point under the mouse."""
        return scene.pointAt(x, y)

    def tipOf(self, place: int) -> str:
        """What is told of a point."""
        return str(self._data.tips[place])

    def press(self, place: int) -> None:
        """A point was clicked."""
        for callback in list(self.onPoint):
            callback(place)
