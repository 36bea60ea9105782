"""Where the box plot's rows, axis and key stand on a canvas of a given width: no Qt, so that it can be tested by its numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from .BoxPlotData import BoxPlotData
from .GraphGeometry import wrapped

Measure = Callable[[str, int, bool], tuple[float, float]]  # text, pixel size, bold → width, height

MARK = 18.0  # pixels of a mark in the key with its gap
_TICKS = (0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class BoxScene:
    """Sizes in pixels, y down.

    The axis goes with the square root: a label's own segment has many times the share of the others, which stay readable.

    Attributes:
        width: of the canvas; ``height``: what all of it needs.
        textSize: pixel size of titles; ``smallSize`` of axis and key.
        left, right: ends of the axis.
        top: upper edge of the first row; ``tall``: height of a row.
        most: the value at the right end.
        titles: of the rows, shortened where needed.
        ticks: value and text of each mark of the axis.
        caption: lines above the rows.
        key: number of the entry (as in the data), text, x, and y of its middle.
        lineHeight: of small text.
    """

    width: float
    height: float
    textSize: int
    smallSize: int
    left: float
    right: float
    top: float
    tall: float
    most: float
    titles: tuple[str, ...]
    ticks: tuple[tuple[float, str], ...]
    caption: tuple[str, ...]
    key: tuple[tuple[int, str, float, float], ...]
    lineHeight: float

    def x(self, value: float) -> float:
        """Where a value stands."""
        return self.left + (self.right - self.left) * math.sqrt(min(1.0, max(0.0, value) / self.most))

    def middle(self, row: int) -> float:
        """Where a row's box stands."""
        return self.top + self.tall * (row + 0.5)

    @property
    def bottom(self) -> float:
        """Lower edge of the last row."""
        return self.top + self.tall * len(self.titles)

    def rowAt(self, x: float, y: float) -> int | None:
        """The row at a point."""
        row = math.floor((y - self.top) / self.tall)
        return row if 0 <= row < len(self.titles) and 0 <= x <= self.width else None


def placeBoxes(data: BoxPlotData, width: float, fontSize: int, measure: Measure) -> BoxScene:
    """Place a box plot.

    Args:
        data: the row of a label.
        width: of the canvas in pixels.
        fontSize: pixel size of the window's usual text.
        measure: width and height of a text.
    """
    textSize, smallSize = max(8, round(fontSize * 0.92)), max(8, round(fontSize * 0.84))
    line = measure("Ag", smallSize, False)[1]
    margin = 6.0
    wide = width > 480
    titles = [row.region.title if wide else row.region.shortTitle for row in data.rows]
    longest = max((measure(title, textSize, True)[0] for title in titles), default=0.0)
    left = margin + min(longest, 0.42 * width) + 12
    titles = [wrapped(title, left - margin - 10, 1, lambda part: measure(part, textSize, True)[0])[0] for title in titles]
    texts = max((measure(row.text, textSize, True)[0] for row in data.rows), default=0.0)
    right = max(left + 40, width - margin - texts - 10)
    most = 1.02 * max((max(row.high, row.value) for row in data.rows), default=1.0) or 1.0
    caption = tuple(wrapped(data.caption, width - 2 * margin, 2, lambda part: measure(part, smallSize, False)[0]))
    top = margin + line * len(caption) + 5
    tall = measure("Ag", textSize, True)[1] + 4
    ticks: list[tuple[float, str]] = []
    reached = -math.inf
    for value in _TICKS:
        text = f"{100 * value:g}" + ("\N{NO-BREAK SPACE}%" if value == 0 else "")
        half = measure(text, smallSize, False)[0] / 2
        x = left + (right - left) * math.sqrt(value / most)
        if value <= most and x - half > reached + 5 and x + half < width:
            ticks.append((value, text))
            reached = x + half
    below = top + tall * len(titles) + 6 + line + 6
    key: list[tuple[int, str, float, float]] = []
    x, y = margin, below + line / 2
    for index, text in enumerate(data.key):
        size = MARK + measure(text, smallSize, False)[0]
        if x > margin and x + size > width - margin:
            x, y = margin, y + line + 2
        key.append((index, text, x, y))
        x += size + 12
    height = y + line / 2 + margin
    return BoxScene(
        width=width,
        height=height,
        textSize=textSize,
        smallSize=smallSize,
        left=left,
        right=right,
        top=top,
        tall=tall,
        most=most,
        titles=tuple(titles),
        ticks=tuple(ticks),
        caption=caption,
        key=tuple(key),
        lineHeight=line,
    )
