"""What the bars of the slices show, as plain data: no Qt, no arrays, nothing to compute."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SliceBar:
    """A slice.

    Attributes:
        number: on the model grid.
        up, down: what stands above the line and below it, both ≥ 0, in the unit of the whole drawing.
        tip: what hovering tells, several lines.
    """

    number: int
    up: float
    down: float
    tip: str


@dataclass(frozen=True)
class SliceStrip:
    """The slices along one axis, from the left of the strip to its right.

    Attributes:
        plane: ``sagittal``, ``coronal`` or ``axial``; ``title`` is what people read.
        ends: letters of the directions at the left and the right end.
        bars: one a slice.
    """

    plane: str
    title: str
    ends: tuple[str, str]
    bars: tuple[SliceBar, ...]


@dataclass(frozen=True)
class SliceBarsData:
    """All strips, drawn to one scale.

    Attributes:
        strips: from top to bottom; none along an axis where nothing is known.
        most: the largest number above a line, and below one.
        mostText: the same as short texts; the second is empty where nothing lies below.
        signed: whether what stands above supports and what stands below opposes; else bars have no sign.
        caption: what a bar is, one sentence.
        key: words for above and below, where ``signed``.
    """

    strips: tuple[SliceStrip, ...]
    most: tuple[float, float]
    mostText: tuple[str, str]
    signed: bool
    caption: str
    key: tuple[str, str]
