"""What the curves along λ show, as plain data: no Qt, no arrays, nothing to compute."""

from __future__ import annotations

from dataclasses import dataclass

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Curve:
    """One quantity along λ.

    Attributes:
        name: of a label; empty for what the model says.
        title: what people read.
        color: 0..255.
        values: one a point; NaN where there is none.
        main: whether it is what was asked about.
    """

    name: str
    title: str
    color: Color
    values: tuple[float, ...]
    main: bool


@dataclass(frozen=True)
class CurveData:
    """All curves over the same points.

    Attributes:
        amounts: λ of each point, growing.
        curves: the main one last, so that it is drawn over the others.
        caption: what is drawn, one sentence.
        low, high: ends of the axis of values; ``unit`` follows their numbers.
        tips: what hovering over each point tells, several lines.
    """

    amounts: tuple[float, ...]
    curves: tuple[Curve, ...]
    caption: str
    low: float
    high: float
    unit: str
    tips: tuple[str, ...]
