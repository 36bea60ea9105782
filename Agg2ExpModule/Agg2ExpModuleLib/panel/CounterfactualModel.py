"""From the numbers of a counterfactual to what the panel shows: the line of a frame, the table of labels, the curves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from Agg2ExpLib.models.labels import title_of

from ..drawing.CurveData import Curve, CurveData

if TYPE_CHECKING:
    from ..scene.Counterfactuals import Way

_MINUS, _SPACE = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}"
_MODEL = (92, 96, 108)


@dataclass(frozen=True)
class VolumeRow:
    """A label's volume: at λ = 0, now, and how much it has changed, in per cent (None from nothing)."""

    name: str
    title: str
    before: float
    now: float
    change: float | None


class CounterfactualModel:
    """A counterfactual in words and curves.

    Args:
        way: of the scene.
    """

    def __init__(self, way: Way) -> None:
        self.way = way

    def line(self, index: int) -> str:
        """What a frame is, in one line."""
        way, step = self.way, self.way.steps[index]
        if index == way.start:
            parts = [_("λ = 0: the CT as the autoencoder gives it back")]
        else:
            parts = [_("λ = {amount}: the CT changed by {change:.1f} %").format(amount=_signed(step.amount, 3), change=step.change)]
        if step.probability is not None:
            parts.append(_("probability {value:.3f}").format(value=step.probability))
        own = next((row for row in self.rows(index) if row.name == way.target), None)
        if own is not None:
            change = f" ({_signed(own.change, 3)}{_SPACE}%)" if own.change else ""
            parts.append(f"{own.title} {own.now:.1f}{_SPACE}ml{change}")
        return " · ".join(parts)

    def summary(self) -> str:
        """What the two ends are, in a sentence each."""
        way, start = self.way, self.way.start
        told = []
        for index in dict.fromkeys((0, len(way.steps) - 1)):
            if index != start:
                direction = _("Less") if index < start else _("More")
                own = next((row for row in self.rows(index) if row.name == way.target), None)
                step, before = way.steps[index], way.steps[start]
                text = _("{direction}: the CT changes by {change:.1f} %").format(direction=direction, change=step.change)
                if own is not None:
                    text += f", {own.title} {own.before:.0f} → {own.now:.0f}{_SPACE}ml"
                if step.probability is not None and before.probability is not None:
                    text += _(", probability {before:.2f} → {now:.2f}").format(before=before.probability, now=step.probability)
                told.append(f"{text}.")
        return " ".join(told) or _("The model's answer does not move.")

    def rows(self, index: int) -> list[VolumeRow]:
        """Every label that is drawn on the way: the one asked about first, then those that change most over all of it."""
        way = self.way
        before, now = way.steps[way.start].volumes, way.steps[index].volumes
        found = []
        for label in way.labels[1:]:
            values = [step.volumes.get(label.name, 0.0) for step in way.steps]
            if max(values) > 0:
                start, here = before.get(label.name, 0.0), now.get(label.name, 0.0)
                change = 100 * (here / start - 1) if start > 0 else None
                row = VolumeRow(label.name, label.title, start, here, change)
                found.append((label.name != way.target, -(max(values) - min(values)), row))
        return [row for _other, _span, row in sorted(found, key=lambda one: one[:2])]

    def curves(self) -> CurveData:
        """Volumes of the labels relative to λ = 0; of a class its probability."""
        way = self.way
        before = way.steps[way.start].volumes
        main: list[Curve] = []
        others: list[Curve] = []
        for label in way.labels[1:]:
            start = before.get(label.name, 0.0)
            if label.name in way.changing and start > 0:
                values = tuple(100 * step.volumes.get(label.name, math.nan) / start for step in way.steps)
                own = label.name == way.target
                (main if own else others).append(Curve(label.name, label.title, label.color, values, own))
        if not main:  # a class, or a label that is not drawn at the start
            values = tuple(math.nan if step.probability is None else 100 * step.probability for step in way.steps)
            main.append(Curve("", title_of(way.target), _MODEL, values, True))
            caption = _("Thick: probability of {name}. Thin: volumes of labels, 100 % at λ = 0.")
        else:
            caption = _("Thick: volume of {name}, 100 % at λ = 0. Thin: other labels.")
        every = [value for curve in (*main, *others) for value in curve.values if math.isfinite(value)]
        low, high = min(every, default=0.0), max(every, default=1.0)
        if main[0].name == "":
            low, high = min(low, 0.0), max(high, 100.0)
        return CurveData(
            amounts=tuple(step.amount for step in way.steps),
            curves=(*others, *main),
            caption=caption.format(name=_lowered(title_of(way.target))),
            low=low,
            high=high if high > low else low + 1,
            unit=f"{_SPACE}%",
            tips=tuple(self._tip(index) for index in range(len(way.steps))),
        )

    def _tip(self, index: int) -> str:
        lines = self.line(index).split(" · ")
        for row in self.rows(index)[:6]:
            if row.name != self.way.target and row.change:
                lines.append(f"{row.title} {row.now:.1f}{_SPACE}ml ({_signed(row.change, 3)}{_SPACE}%)")
        return "\n".join(lines)


def changeText(change: float | None) -> str:
    """A change in per cent."""
    return "" if change is None else f"{_signed(change, 3)}{_SPACE}%" if abs(change) >= 0.05 else f"0{_SPACE}%"


def _signed(value: float | None, digits: int) -> str:
    if value is None:
        return ""
    text = f"{abs(value):.0f}" if abs(value) >= 100 else f"{abs(value):.{digits}g}"
    return f"{_MINUS if value < 0 else '+'}{text}"


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
