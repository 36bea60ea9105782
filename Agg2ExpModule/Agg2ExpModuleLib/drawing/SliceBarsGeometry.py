"""Where the bars of the slices stand on a canvas of a given width: no Qt, so that it can be tested by its numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from .GraphGeometry import wrapped
from .SliceBarsData import SliceBarsData

Measure = Callable[[str, int, bool], tuple[float, float]]  # text, pixel size, bold → width, height

_MARGIN = 6.0
_TALL, _GAP = 46.0, 10.0  # of a strip, and between two
_TRIANGLE = 7.0  # room above a strip for the mark of the current slice


@dataclass(frozen=True)
class SliceBarsScene:
    """Sizes in pixels, y down.

    Attributes:
        width: of the canvas; ``height``: what all of it needs.
        textSize: pixel size of titles; ``smallSize`` of numbers and caption; ``lineHeight`` of small text.
        left, right: ends of the strips.
        tops: upper edge of each strip.
        tall: height of a strip; ``zero``: how far below its upper edge its line is.
        counts: slices of each strip.
        caption: lines below.
    """

    width: float
    height: float
    textSize: int
    smallSize: int
    lineHeight: float
    left: float
    right: float
    tops: tuple[float, ...]
    tall: float
    zero: float
    counts: tuple[int, ...]
    caption: tuple[str, ...]

    def x(self, strip: int, place: int) -> tuple[float, float]:
        """Left and right edge of the bar at a place of a strip."""
        step = (self.right - self.left) / max(1, self.counts[strip])
        return self.left + step * place, self.left + step * (place + 1)

    def barAt(self, x: float, y: float) -> tuple[int, int] | None:
        """Strip and place of the bar whose column is at a point."""
        for strip, top in enumerate(self.tops):
            if top - _TRIANGLE <= y <= top + self.tall and self.counts[strip] and self.left <= x <= self.right:
                place = math.floor((x - self.left) / (self.right - self.left) * self.counts[strip])
                return strip, min(place, self.counts[strip] - 1)
        return None

    def columns(self, strip: int) -> list[tuple[float, float, int, int]]:
        """Left edge, width, and first and behind the last place of what is drawn as one bar, a pixel wide.

        Where slices are narrower than a pixel, those in it are drawn as the largest of them.
        """
        count, span = self.counts[strip], self.right - self.left
        together = max(1, math.ceil(count / span))
        ranges = ((first, min(first + together, count)) for first in range(0, count, together))
        return [(self.left + span * first / count, span * (end - first) / count, first, end) for first, end in ranges]


def placeSliceBars(data: SliceBarsData, width: float, fontSize: int, measure: Measure) -> SliceBarsScene:
    """Place the strips.

    Args:
        data: of a class.
        width: of the canvas in pixels.
        fontSize: pixel size of the window's usual text.
        measure: width and height of a text.
    """
    textSize, smallSize = max(8, round(fontSize * 0.92)), max(8, round(fontSize * 0.84))
    line = measure("Ag", smallSize, False)[1]
    titles = max((measure(strip.title, textSize, True)[0] for strip in data.strips), default=0.0)
    letters = max((measure(letter, smallSize, False)[0] for strip in data.strips for letter in strip.ends), default=0.0)
    left = _MARGIN + min(titles, 0.3 * width) + letters + 14
    right = max(left + 40, width - _MARGIN - letters - 5)
    up, down = data.most
    zero = _TALL * (up / (up + down) if up + down > 0 else 1.0)
    tops = tuple(_MARGIN + _TRIANGLE + index * (_TALL + _GAP) for index in range(len(data.strips)))
    caption = tuple(wrapped(data.caption, width - 2 * _MARGIN, 2, lambda part: measure(part, smallSize, False)[0]))
    below = _MARGIN + _TRIANGLE + len(data.strips) * (_TALL + _GAP) - _GAP + 6
    keyLines = 1 if data.signed else 0
    height = below + line * (len(caption) + keyLines) + _MARGIN
    return SliceBarsScene(
        width=width,
        height=height,
        textSize=textSize,
        smallSize=smallSize,
        lineHeight=line,
        left=left,
        right=right,
        tops=tops,
        tall=_TALL,
        zero=zero,
        counts=tuple(len(strip.bars) for strip in data.strips),
        caption=caption,
    )
