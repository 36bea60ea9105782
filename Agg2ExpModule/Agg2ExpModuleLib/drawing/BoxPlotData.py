"""What the box plot of a label shows, as plain data: no Qt, no arrays, nothing to compute."""

from __future__ import annotations

from dataclasses import dataclass

from .GraphData import MatrixHeader


@dataclass(frozen=True)
class BoxRow:
    """A region; all numbers are shares of the label's attribution, 0..1.

    Attributes:
        region: its title and colour.
        value: the patient's.
        low, high: 95 % of the reference lie between.
        lower, median, upper: quartiles of the reference.
        side: -1 where the patient lies below the reference's range, 1 above, 0 within.
        own: whether the region is the label itself.
        text: the patient's value in few characters.
        tip: what hovering tells, several lines.
    """

    region: MatrixHeader
    value: float
    low: float
    lower: float
    median: float
    upper: float
    high: float
    side: int
    own: bool
    text: str
    tip: str


@dataclass(frozen=True)
class BoxPlotData:
    """The row of one label.

    Attributes:
        label: its name.
        rows: from top to bottom.
        caption: what a number is.
        key: what box, dot and the marks of values above and below the range are, in this order.
    """

    label: str
    rows: tuple[BoxRow, ...]
    caption: str
    key: tuple[str, str, str, str]
