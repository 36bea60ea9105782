"""Curves along λ as a widget: a click goes to a point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from .CurveData import CurveData
from .CurveGeometry import CurveScene, placeCurves
from .CurvePainter import CurvePainter
from .DrawnView import DrawnView
from .PanelColors import PanelColors
from .QtParts import positionOf, textMeasure

_LEAST_HEIGHT = 90


class CurveView(DrawnView, qt.QWidget):
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
        self._data: CurveData | None = None
        self._scene: CurveScene | None = None
        self._hover: int | None = None
        self._current: int | None = None
        self.setUpDrawing(_("Volumes of the labels along the counterfactual"), _LEAST_HEIGHT)
        self.focusPolicy = qt.Qt.NoFocus

    def setCurves(self, data: CurveData | None) -> None:
        """Show curves, or nothing."""
        self._data, self._scene, self._hover = data, None, None
        self._fitHeight()
        self.update()

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

    def placed(self) -> CurveScene | None:
        """Where everything stands now, in the widget's pixels; None without data."""
        if self._data is None:
            self._scene = None
        elif self._scene is None or self._scene.width != float(self.width):
            self._scene = placeCurves(self._data, float(self.width), self.fontSize(), textMeasure(self.font))
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
            colors, scene = PanelColors.ofWidget(self), self.placed()
            if scene is None or self._data is None:
                self.drawHint(painter, colors)
            else:
                CurvePainter(painter, self._data, scene, colors, self.font).draw(float(self.height), self._current, self._hover)
        finally:
            painter.end()

    def mouseMoveEvent(self, event: Any) -> None:
        position = positionOf(event)
        self._hover = self._under(position)
        self.cursor = qt.QCursor(qt.Qt.ArrowCursor if self._hover is None else qt.Qt.PointingHandCursor)
        self.showTip(position.x(), position.y(), self._data.tips[self._hover] if self._hover is not None else "")
        self.update()

    def leaveEvent(self, event: Any) -> None:
        self._hover = None
        qt.QToolTip.hideText()
        self.update()

    def mousePressEvent(self, event: Any) -> None:
        point = self._under(positionOf(event))
        if event.button() != qt.Qt.LeftButton or point is None:
            event.ignore()
            return
        for callback in list(self.onPoint):
            callback(point)

    def _under(self, position: Any) -> int | None:
        scene = self.placed()
        return scene.pointAt(float(position.x()), float(position.y())) if scene is not None else None

    def _fitHeight(self) -> None:
        scene = self.placed()
        height = _LEAST_HEIGHT if scene is None else round(scene.height + 0.5)
        if self.minimumHeight != height:
            self.minimumHeight = height
            self.updateGeometry()
