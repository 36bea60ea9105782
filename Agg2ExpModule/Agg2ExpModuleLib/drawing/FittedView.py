"""What the drawings share that are as high as they need to be, and in which single places can be pointed at."""

from __future__ import annotations

from typing import Any

import qt

from .DrawnView import DrawnView
from .PanelColors import PanelColors
from .QtParts import positionOf

_LEAST_HEIGHT = 90


class FittedView(DrawnView):
    """Mixed into a ``qt.QWidget``, before it. The views say where things stand, how they are drawn, and what lies under a point.

    Attributes:
        _data: what is drawn; None for the hint.
        _hover: the place under the mouse.
    """

    _data: Any
    _scene: Any
    _hover: Any
    # of the QWidget
    minimumHeight: Any
    cursor: Any
    focus: Any
    updateGeometry: Any

    def setUpFitted(self, name: str) -> None:
        """Begin without data; ``name`` is for screen readers."""
        self._data = self._scene = self._hover = None
        self.setUpDrawing(name, _LEAST_HEIGHT)

    def setData(self, data: Any) -> None:
        """Draw something else, or with None the hint."""
        self._data, self._scene, self._hover = data, None, None
        self._fitHeight()
        self.update()

    def placed(self) -> Any:
        """Where everything stands now, in the widget's pixels; None without data."""
        if self._data is None:
            self._scene = None
        elif self._scene is None or self._scene.width != float(self.width):
            self._scene = self.placeAt(float(self.width))
        return self._scene

    def placeAt(self, width: float) -> Any:
        """Place the data in this width."""
        raise NotImplementedError

    def drawOn(self, painter: Any, scene: Any, colors: PanelColors) -> None:
        """Draw the data."""
        raise NotImplementedError

    def placeUnder(self, scene: Any, x: float, y: float) -> Any:
        """The place under a point; None where there is none."""
        raise NotImplementedError

    def tipOf(self, place: Any) -> str:
        """What is told of a place."""
        raise NotImplementedError

    def press(self, place: Any) -> None:
        """A place was clicked."""
        raise NotImplementedError

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
            if scene is None:
                self.drawHint(painter, colors)
            else:
                self.drawOn(painter, scene, colors)
        finally:
            painter.end()

    def mouseMoveEvent(self, event: Any) -> None:
        position = positionOf(event)
        self._hover = self._under(position)
        self.cursor = qt.QCursor(qt.Qt.ArrowCursor if self._hover is None else qt.Qt.PointingHandCursor)
        self.showTip(position.x(), position.y(), self.tipOf(self._hover) if self._hover is not None else "")
        self.update()

    def leaveEvent(self, event: Any) -> None:
        self._hover = None
        qt.QToolTip.hideText()
        self.update()

    def mousePressEvent(self, event: Any) -> None:
        place = self._under(positionOf(event))
        if event.button() != qt.Qt.LeftButton or place is None:
            event.ignore()
            return
        self.press(place)

    def _under(self, position: Any) -> Any:
        scene = self.placed()
        return self.placeUnder(scene, float(position.x()), float(position.y())) if scene is not None else None

    def _fitHeight(self) -> None:
        scene = self.placed()
        height = _LEAST_HEIGHT if scene is None else round(scene.height + 0.5)
        if self.minimumHeight != height:
            self.minimumHeight = height
            self.updateGeometry()
