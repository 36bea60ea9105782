"""Where the heat map's titles and cells stand on a canvas of a given size: no Qt, so that it can be tested by its numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from .GraphData import MatrixData

Measure = Callable[[str, int, bool], tuple[float, float]]  # text, pixel size, bold → width, height

TILT = 52.0  # degrees by which column titles rise
_GAP = 7.0  # pixels before a block of other columns


@dataclass(frozen=True)
class MatrixScene:
    """Sizes in pixels, y down; cell places are those before scrolling, relative to the window onto the cells.

    Attributes:
        width: of the canvas, as ``height``.
        textSize: pixel size of titles; ``cellSize`` of the numbers.
        left: width of the row titles; ``top``: height of the column titles; ``bottom``: height of scale and caption.
        xs: left edge of each column, ``ys`` upper edge of each row; ``cell``: width and height of a cell.
        content: width and height of all cells with the overhang of the last column's title.
        rowTitles: as shown, shortened where needed.
        columnTitles: as shown.
    """

    width: float
    height: float
    textSize: int
    cellSize: int
    left: float
    top: float
    bottom: float
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    cell: tuple[float, float]
    content: tuple[float, float]
    rowTitles: tuple[str, ...]
    columnTitles: tuple[str, ...]

    @property
    def window(self) -> tuple[float, float]:
        """Width and height of the window onto the cells."""
        return max(10.0, self.width - self.left), max(10.0, self.height - self.top - self.bottom)

    @property
    def scrollable(self) -> tuple[float, float]:
        """How far the cells can be scrolled to the left and upwards."""
        across, down = (size - window for size, window in zip(self.content, self.window, strict=True))
        return across if across > 0.5 else 0.0, down if down > 0.5 else 0.0

    def cellAt(self, x: float, y: float, scroll: tuple[float, float]) -> tuple[int | None, int | None]:
        """Row and column at a point of the canvas: either is None in the titles, both outside."""
        row = column = None
        if y >= self.top and y <= self.height - self.bottom:
            row = next((index for index, start in enumerate(self.ys) if 0 <= y - self.top + scroll[1] - start < self.cell[1]), None)
        if x >= self.left:
            inside = x - self.left + scroll[0]
            if y < self.top:  # column titles lean to the right
                inside -= (self.top - y) / math.tan(math.radians(TILT))
            column = next((index for index, start in enumerate(self.xs) if 0 <= inside - start < self.cell[0]), None)
        return row, column

    def scrollTo(self, row: int, column: int, scroll: tuple[float, float]) -> tuple[float, float]:
        """The least scrolling that shows a cell whole."""
        shown = []
        for start, size, window, most, now in zip(
            (self.xs[column], self.ys[row]), self.cell, self.window, self.scrollable, scroll, strict=True
        ):
            shown.append(min(most, max(0.0, min(start, max(now, start + size - window)))))
        return shown[0], shown[1]


def placeMatrix(data: MatrixData, width: float, height: float, fontSize: int, measure: Measure) -> MatrixScene:
    """Place a heat map.

    Args:
        data: the matrix.
        width: of the canvas in pixels, as ``height``.
        fontSize: pixel size of the window's usual text.
        measure: width and height of a text.
    """
    grown = min(1.0, max(0.0, (width - 340) / 560))
    textSize, cellSize = max(8, round(fontSize * (0.84 + 0.16 * grown))), max(8, round(fontSize * (0.78 + 0.16 * grown)))
    rowTitles = tuple(row.title if grown > 0.5 else row.shortTitle for row in data.rows)
    columnTitles = tuple(column.title if grown > 0.5 else column.shortTitle for column in data.columns)
    line = measure("Ag", textSize, False)[1]
    longestRow = max((measure(title, textSize, True)[0] for title in rowTitles), default=0.0)
    longestColumn = max((measure(title, textSize, True)[0] for title in columnTitles), default=0.0)
    left = min(longestRow + 14, 0.42 * width)
    rise, lean = math.sin(math.radians(TILT)), math.cos(math.radians(TILT))
    top = longestColumn * rise + line * lean + 8
    bottom = 2 * measure("Ag", cellSize, False)[1] + 20
    count = max(1, len(data.columns))
    blocks = [index for index in range(1, len(data.columns)) if _block(data, index) != _block(data, index - 1)]
    overhang = max(10.0, longestColumn * lean - 4)
    widest = max((measure(cell.text, cellSize, False)[0] for row in data.cells for cell in row), default=0.0)
    room = (width - left - overhang - _GAP * len(blocks) - 1) / count
    wide = min(max(widest + 7, room), 64.0)
    tall = min(max(line + 5, (height - top - bottom) / max(1, len(data.rows))), line + 14)
    xs, x = [], 0.0
    for index in range(len(data.columns)):
        x += _GAP if index in blocks else 0.0
        xs.append(x)
        x += wide
    ys = [index * tall for index in range(len(data.rows))]
    return MatrixScene(
        width=width,
        height=height,
        textSize=textSize,
        cellSize=cellSize,
        left=left,
        top=top,
        bottom=bottom,
        xs=tuple(xs),
        ys=tuple(ys),
        cell=(wide, tall),
        content=(x + overhang, tall * len(data.rows)),
        rowTitles=rowTitles,
        columnTitles=columnTitles,
    )


def _block(data: MatrixData, column: int) -> tuple[bool, bool]:
    header = data.columns[column]
    return header.extra, header.background
