"""Where curves along λ stand on a canvas: no Qt, so that it can be tested by its numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from .CurveData import CurveData
from .GraphGeometry import wrapped

Measure = Callable[[str, int, bool], tuple[float, float]]  # text, pixel size, bold → width, height

_MARGIN, _TALL = 6.0, 110.0


@dataclass(frozen=True)
class CurveScene:
    """Sizes in pixels, y down.

    The points stand at equal distances, as on the slider below, since λ may grow by factors.

    Attributes:
        width: of the canvas; ``height``: what all of it needs.
        smallSize: pixel size of the texts; ``lineHeight`` of theirs.
        left, right, top, bottom: ends of the axes.
        count: points.
        low, high: values at the bottom and the top.
        ticks: value and text of each mark of the axis of values.
        ends: texts at the left and right end of the axis of λ.
        caption: lines below.
    """

    width: float
    height: float
    smallSize: int
    lineHeight: float
    left: float
    right: float
    top: float
    bottom: float
    count: int
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    ends: tuple[str, str]
    caption: tuple[str, ...]

    def x(self, point: int) -> float:
        """Where a point stands."""
        return self.left + (self.right - self.left) * (point / (self.count - 1) if self.count > 1 else 0.5)

    def y(self, value: float) -> float:
        """How high a value stands."""
        return self.bottom - (self.bottom - self.top) * (value - self.low) / (self.high - self.low)

    def pointAt(self, x: float, y: float) -> int | None:
        """The point nearest to a place within the axes."""
        if not (self.left - 8 <= x <= self.right + 8 and self.top - 4 <= y <= self.bottom + 4) or not self.count:
            return None
        step = (self.right - self.left) / max(1, self.count - 1)
        return min(max(round((x - self.left) / step) if step else 0, 0), self.count - 1)


def placeCurves(data: CurveData, width: float, fontSize: int, measure: Measure) -> CurveScene:
    """Place curves.

    Args:
        data: what to draw.
        width: of the canvas in pixels.
        fontSize: pixel size of the window's usual text.
        measure: width and height of a text.
    """
    smallSize = max(8, round(fontSize * 0.84))
    line = measure("Ag", smallSize, False)[1]
    room = (data.high - data.low) or 1.0
    low, high = data.low - 0.06 * room, data.high + 0.06 * room
    ticks = tuple((value, f"{value:g}{data.unit}") for value in _round(data.low, data.high))
    widest = max((measure(text, smallSize, False)[0] for _value, text in ticks), default=0.0)
    left, top = _MARGIN + widest + 6, _MARGIN
    bottom = top + _TALL
    caption = tuple(wrapped(data.caption, width - 2 * _MARGIN, 3, lambda part: measure(part, smallSize, False)[0]))
    return CurveScene(
        width=width,
        height=bottom + 4 + line * (1 + len(caption)) + _MARGIN,
        smallSize=smallSize,
        lineHeight=line,
        left=left,
        right=max(left + 40, width - _MARGIN - 6),
        top=top,
        bottom=bottom,
        count=len(data.amounts),
        low=low,
        high=high,
        ticks=ticks,
        ends=(f"λ {_number(data.amounts[0])}", _number(data.amounts[-1])) if data.amounts else ("", ""),
        caption=caption,
    )


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")


def _round(low: float, high: float) -> list[float]:
    """Three to six round numbers between two."""
    span = (high - low) or 1.0
    step = 10.0 ** math.floor(math.log10(span / 3))
    step = next((step * factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 5), 10 * step)
    first = math.ceil(low / step - 1e-9)
    return [round(step * number, 10) for number in range(first, math.floor(high / step + 1e-9) + 1)]
