"""How much each slice matters for a class, as a strip of bars along each axis of the patient; answers to mouse and keyboard."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from .FittedView import FittedView
from .PanelColors import PanelColors
from .QtParts import textMeasure
from .SliceBarsData import SliceBarsData
from .SliceBarsGeometry import SliceBarsScene, placeSliceBars
from .SliceBarsPainter import Place, SliceBarsPainter


class SliceBarsView(FittedView, qt.QWidget):
    """Three strips, as high as they need to be.

    Usage::

        view = SliceBarsView(parent)
        view.onSliceClicked.append(lambda plane, number: ...)
        view.setBars(model.bars("effusion", "contribution"))
        view.mark({"axial": 17})    # the slice that the views show

    Left and right go from bar to bar, up and down from strip to strip.
    """

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.onSliceClicked: list[Callable[[str, int], None]] = []
        self.emptyText = _("The slices appear here after a classifier\nwas explained.")
        self._marked: dict[str, int] = {}
        self._top: frozenset[tuple[str, int]] = frozenset()
        self._current: Place | None = None
        self.setUpFitted(_("Importance of slices"))

    def setBars(self, data: SliceBarsData | None) -> None:
        """Show the slices of a class, or with None the hint."""
        if _slices(data) != _slices(self._data):
            self._current = None
        self._marked = {}
        self.setData(data)

    def bars(self) -> SliceBarsData | None:
        """What is shown."""
        return self._data

    def mark(self, numbers: dict[str, int]) -> None:
        """Mark the slices that the views show: number on the model grid by plane."""
        places = {plane: place for plane, number in numbers.items() if (place := self._place(plane, number)) is not None}
        if places != self._marked:
            self._marked = places
            self.update()

    def marked(self) -> dict[str, int]:
        """Numbers of the marked slices."""
        strips = {strip.plane: strip for strip in self._data.strips} if self._data is not None else {}
        return {plane: strips[plane].bars[place].number for plane, place in self._marked.items()}

    def setTop(self, slices: Iterable[tuple[str, int]]) -> None:
        """Mark the most important slices: plane and number."""
        found = [(plane, self._place(plane, number)) for plane, number in slices]
        self._top = frozenset((plane, place) for plane, place in found if place is not None)
        self.update()

    def placeAt(self, width: float) -> SliceBarsScene:
        """Place the data in this width."""
        return placeSliceBars(self._data, width, self.fontSize(), textMeasure(self.font))

    def drawOn(self, painter: Any, scene: SliceBarsScene, colors: PanelColors) -> None:
        """Draw the data."""
        current = self._current if self.focus else None
        drawing = SliceBarsPainter(painter, self._data, scene, colors, self.font)
        drawing.draw(float(self.height), self._marked, self._top, self._hover, current)

    def placeUnder(self, scene: SliceBarsScene, x: float, y: float) -> Place | None:
        """The bar under a point."""
        return scene.barAt(x, y)

    def tipOf(self, place: Place) -> str:
        """What is told of a bar."""
        return str(self._data.strips[place[0]].bars[place[1]].tip)

    def press(self, place: Place) -> None:
        """A bar was clicked."""
        self._current = place
        self._choose(place)

    def render(self, path: str | Path, width: int = 800, scale: float = 2.0, colors: PanelColors | None = None) -> None:
        """Write a PNG picture.

        Raises:
            OSError: the file cannot be written.
        """
        data = self._data
        if data is None:
            return
        scene = self.placeAt(float(width))

        def draw(painter: Any, chosen: PanelColors) -> None:
            SliceBarsPainter(painter, data, scene, chosen, self.font).draw(scene.height, {}, self._top)

        self.savePicture(path, width, round(scene.height), scale, colors, draw)

    # Qt calls this; the name is Qt's.

    def keyPressEvent(self, event: Any) -> None:
        key, qtKeys = event.key(), qt.Qt
        moves = {
            qtKeys.Key_Left: (0, -1),
            qtKeys.Key_Right: (0, 1),
            qtKeys.Key_Up: (-1, 0),
            qtKeys.Key_Down: (1, 0),
            qtKeys.Key_Home: (0, -100000),
            qtKeys.Key_End: (0, 100000),
        }
        if key in moves and self._data is not None:
            self._go(*moves[key])
        elif key in (qtKeys.Key_Return, qtKeys.Key_Enter, qtKeys.Key_Space) and self._current is not None:
            self._choose(self._current)
        else:
            event.ignore()

    def _go(self, strips: int, bars: int) -> None:
        """Move the keyboard's mark; another strip is entered at the slice that its view shows."""
        every = self._data.strips
        if not every:
            return
        if self._current is None:
            strip = 0
            place = self._marked.get(every[strip].plane, 0)
        else:
            before, place = self._current
            strip = min(max(before + strips, 0), len(every) - 1)
            if strip != before:
                place = self._marked.get(every[strip].plane, 0)
            place = min(max(place + bars, 0), len(every[strip].bars) - 1)
        self._current = (strip, place)
        scene = self.placed()
        self.tellCurrent(scene.x(strip, place)[1], scene.tops[strip] + scene.tall, self.tipOf(self._current))
        self.update()

    def _tip(self, place: Place) -> str:
        return str(self._data.strips[place[0]].bars[place[1]].tip)

    def _place(self, plane: str, number: int) -> int | None:
        """Where a slice stands in the strip of its plane."""
        for strip in self._data.strips if self._data is not None else ():
            if strip.plane == plane:
                return next((at for at, bar in enumerate(strip.bars) if bar.number == number), None)
        return None

    def _choose(self, place: Place) -> None:
        strip = self._data.strips[place[0]]
        for callback in list(self.onSliceClicked):
            callback(strip.plane, strip.bars[place[1]].number)


def _slices(data: SliceBarsData | None) -> list[tuple[str, int]]:
    """Planes with their numbers of slices."""
    return [(strip.plane, len(strip.bars)) for strip in data.strips] if data is not None else []
