"""Curves of edges that go around discs and titles, and free places for numbers beside them; pixels, y down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

Point = tuple[float, float]
Rect = tuple[float, float, float, float]  # left, top, width, height
Disc = tuple[float, float, float]  # x, y, radius

_BENDS = (0.10, -0.10, 0.18, -0.18, 0.28, -0.28, 0.40, -0.40)  # height of the bow as a part of the distance, as control point / 2
_STEPS = np.linspace(0.0, 1.0, 33)
_PLACES = (0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74)


@dataclass(frozen=True)
class Curve:
    """A quadratic Bézier curve; the arrow's tip is at ``end``."""

    start: Point
    control: Point
    end: Point

    def at(self, t: float) -> Point:
        """The point at ``t`` in 0..1."""
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t * t
        return (
            a * self.start[0] + b * self.control[0] + c * self.end[0],
            a * self.start[1] + b * self.control[1] + c * self.end[1],
        )

    def direction(self, t: float) -> Point:
        """Unit vector along the curve at ``t``."""
        x = (1 - t) * (self.control[0] - self.start[0]) + t * (self.end[0] - self.control[0])
        y = (1 - t) * (self.control[1] - self.start[1]) + t * (self.end[1] - self.control[1])
        length = math.hypot(x, y) or 1.0
        return x / length, y / length

    def part(self, first: float, last: float) -> Curve:
        """The same curve between two values of ``t``."""
        start, end = self.at(first), self.at(last)
        a, b = (1 - first) * (1 - last), first * (1 - last) + last * (1 - first)
        c = first * last
        control = (
            a * self.start[0] + b * self.control[0] + c * self.end[0],
            a * self.start[1] + b * self.control[1] + c * self.end[1],
        )
        return Curve(start, control, end)

    @cached_property
    def points(self) -> np.ndarray:
        """33 points along the curve, ``[33, 2]``."""
        t = _STEPS[:, None]
        start, control, end = (np.array(point) for point in (self.start, self.control, self.end))
        return (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end

    @cached_property
    def length(self) -> float:
        """In pixels, at least 1."""
        return max(1.0, float(np.hypot(*np.diff(self.points, axis=0).T).sum()))

    def distance(self, x: float, y: float) -> float:
        """Of a point from the curve."""
        first, step = self.points[:-1], np.diff(self.points, axis=0)
        along = ((np.array((x, y)) - first) * step).sum(axis=1) / np.maximum((step**2).sum(axis=1), 1e-9)
        nearest = first + np.clip(along, 0, 1)[:, None] * step
        return float(np.hypot(*(nearest - (x, y)).T).min())


def route(source: int, target: int, discs: Sequence[Disc], titles: Sequence[Rect | None], width: float, canvas: Rect) -> Curve:
    """A curve from disc to disc, the one of a few bends that crosses least of the other discs and of the titles.

    Args:
        source: index of the disc it starts at.
        target: index of the disc it ends at.
        discs: all discs.
        titles: rectangle of each disc's title, None where it has none; the curve ends before its own discs' titles.
        width: of the line.
        canvas: what the curve should stay in.
    """
    (x0, y0, radius0), (x1, y1, radius1) = discs[source], discs[target]
    length = math.hypot(x1 - x0, y1 - y0) or 1.0
    others = np.array([disc for index, disc in enumerate(discs) if index not in (source, target)]).reshape(-1, 3)
    boxes = np.array([title for title in titles if title is not None], dtype=np.float64).reshape(-1, 4)
    best, chosen = math.inf, None
    for bend in _BENDS:
        control = ((x0 + x1) / 2 + 2 * bend * (y1 - y0), (y0 + y1) / 2 - 2 * bend * (x1 - x0))
        curve = Curve((x0, y0), control, (x1, y1))
        points = curve.points
        cost = 14 * abs(bend) + (0.6 if bend < 0 else 0.0)
        if len(others):
            gap = np.hypot(points[:, None, 0] - others[:, 0], points[:, None, 1] - others[:, 1]).min(axis=0)
            cost += 5.0 * np.clip(1 - gap / (others[:, 2] + width / 2 + 4), 0, 1).sum()
        if len(boxes):
            x, y = points[3:-3, None, 0], points[3:-3, None, 1]
            inside = (x > boxes[:, 0]) & (x < boxes[:, 0] + boxes[:, 2]) & (y > boxes[:, 1]) & (y < boxes[:, 1] + boxes[:, 3])
            cost += 0.16 * inside.sum()
        left, top, wide, tall = canvas
        out = np.maximum(0, np.maximum(left - points[:, 0], points[:, 0] - left - wide))
        out += np.maximum(0, np.maximum(top - points[:, 1], points[:, 1] - top - tall))
        cost += 0.3 * float(out.max())
        if cost < best:
            best, chosen = cost, curve
    assert chosen is not None
    first = _leaves(chosen, (x0, y0), min(radius0 + 2, 0.4 * length), titles[source])
    last = 1 - _leaves(Curve(chosen.end, chosen.control, chosen.start), (x1, y1), min(radius1 + 3, 0.4 * length), titles[target])
    return chosen.part(first, last)


def weightPlaces(
    curves: Sequence[Curve], sizes: Sequence[tuple[float, float]], taken: Sequence[Rect], lines: Sequence[Curve], canvas: Rect
) -> list[Rect | None]:
    """A free rectangle on each curve for its number, or None; earlier curves choose first.

    Args:
        curves: of the edges with numbers.
        sizes: width and height of each number.
        taken: discs and titles that must stay free.
        lines: all edges; numbers avoid those that are not their own.
        canvas: what numbers must stay in.
    """
    blocked = [*taken]
    left, top, wide, tall = canvas
    result: list[Rect | None] = []
    for curve, (width, height) in zip(curves, sizes, strict=True):
        best, found = math.inf, None
        others = [line.points for line in lines if line is not curve]
        points = np.concatenate(others) if others else np.zeros((0, 2))
        for order, t in enumerate(_PLACES):
            x, y = curve.at(t)
            rect = (x - width / 2, y - height / 2, width, height)
            outside = rect[0] < left or rect[1] < top or rect[0] + width > left + wide or rect[1] + height > top + tall
            if outside or any(overlap(rect, other) for other in blocked):
                continue
            crossed = (np.abs(points[:, 0] - x) < width / 2) & (np.abs(points[:, 1] - y) < height / 2)
            cost = 0.15 * order + int(crossed.sum())
            if cost < best:
                best, found = cost, rect
        if found is not None:
            blocked.append((found[0] - 1, found[1] - 1, width + 2, height + 2))
        result.append(found)
    return result


def overlap(first: Rect, second: Rect) -> bool:
    """Whether two rectangles share any area."""
    return (
        first[0] < second[0] + second[2]
        and second[0] < first[0] + first[2]
        and first[1] < second[1] + second[3]
        and second[1] < first[1] + first[3]
    )


def _leaves(curve: Curve, centre: Point, radius: float, title: Rect | None) -> float:
    """``t`` where a curve that starts in a disc is clear of it and of its title."""
    t = np.linspace(0.0, 0.45, 136)
    x, y = (
        (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end
        for start, control, end in zip(curve.start, curve.control, curve.end, strict=True)
    )
    inside = np.hypot(x - centre[0], y - centre[1]) < radius
    if title is not None:
        left, top, width, height = title
        inside |= (x > left - 2) & (x < left + width + 2) & (y > top) & (y < top + height + 2)
    return float(t[min(int(np.flatnonzero(inside).max(initial=0)) + 1, t.size - 1)])
