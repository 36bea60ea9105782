"""From the numbers of a classifier's slices to what the panel shows: bars, their tips, and the list of the most important."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from ..drawing.SliceBarsData import SliceBar, SliceBarsData, SliceStrip

if TYPE_CHECKING:
    import numpy as np

    from Agg2ExpLib.roi_importance.slices import AxisSlices, SliceImportance

CONTRIBUTION, WEIGHT, MASS = "contribution", "weight", "mass"
MEASURES = (CONTRIBUTION, WEIGHT, MASS)
PLANES = ("axial", "coronal", "sagittal")  # from top to bottom
# Letters at the left and right end of a strip: the patient's right is on the left, as in the slice views.
_ENDS = {"axial": ("I", "S"), "coronal": ("P", "A"), "sagittal": ("R", "L")}
_LETTERS = {"axial": ("S", "I"), "coronal": ("A", "P"), "sagittal": ("R", "L")}  # of coordinates above and below 0
_TOP = 12
_SPACE, _MINUS = "\N{NO-BREAK SPACE}", "\N{MINUS SIGN}"


@dataclass(frozen=True)
class TopSlice:
    """One of the most important slices.

    Attributes:
        plane, number: which.
        title: of the plane.
        place: where, as people read it.
        value: by which it is listed, as text.
        tip: everything about it.
    """

    plane: str
    number: int
    title: str
    place: str
    value: str
    tip: str


class SlicesModel:
    """The slices of one set of results.

    Args:
        slices: of an explained classifier.
    """

    def __init__(self, slices: SliceImportance) -> None:
        self.slices = slices

    def measures(self) -> tuple[str, ...]:
        """What is known; only networks that pool slices tell weights and contributions."""
        known = any(math.isfinite(float(axis.weight[0])) for axis in self.slices.axes)
        return MEASURES if known else (MASS,)

    def bars(self, name: str, measure: str) -> SliceBarsData:
        """The strips of a class."""
        axes = {axis.plane: axis for axis in self.slices.axes}
        sides = {plane: self._sides(axes[plane], name, measure) for plane in PLANES}
        known = [plane for plane in PLANES if all(math.isfinite(up) for up, _down in sides[plane])]
        ups = [value for pairs in sides.values() for value, _down in pairs if math.isfinite(value)]
        downs = [value for pairs in sides.values() for _up, value in pairs if math.isfinite(value)]
        most = max(ups, default=0.0), max(downs, default=0.0)
        texts = tuple(_number(value, measure, sign) if value > 0 else "" for value, sign in zip(most, (1, -1), strict=True))
        signed = measure != WEIGHT
        return SliceBarsData(
            strips=tuple(self._strip(axes[plane], sides[plane], name) for plane in known),
            most=most,
            mostText=(texts[0], texts[1]),
            signed=signed,
            caption=self._caption(measure, texts[0])
            + ("" if len(known) == len(PLANES) else _("; the network has no other slices")),
            key=(_("supports the class"), _("opposes it")) if signed else ("", ""),
        )

    def top(self, name: str, measure: str) -> list[TopSlice]:
        """The most important slices of a class, those beside one that is listed left out."""
        found = []
        for plane, number in self.slices.peaks(name, measure, _TOP):
            axis = self.slices.along(plane)
            row = self.slices.classes.index(name)
            value = float(axis.weight[number] if measure == WEIGHT else getattr(axis, measure)[row, number])
            sign = 0 if measure != CONTRIBUTION else 1 if value > 0 else -1
            found.append(
                TopSlice(
                    plane,
                    number,
                    title(plane),
                    placeText(plane, float(axis.position_mm[number])),
                    _number(abs(value), measure, sign),
                    self.tip(plane, number, name),
                )
            )
        return found

    def tip(self, plane: str, number: int, name: str) -> str:
        """All numbers of a slice."""
        axis, row = self.slices.along(plane), self.slices.classes.index(name)
        lines = [
            _("{plane} slice {number}, {place}").format(
                plane=title(plane), number=number, place=placeText(plane, float(axis.position_mm[number]))
            )
        ]
        weight, contribution = float(axis.weight[number]), float(axis.contribution[row, number])
        if math.isfinite(weight):
            lines.append(_("Has {weight} of the network's weight.").format(weight=_number(weight, WEIGHT, 0)))
        if math.isfinite(contribution):
            sign = 1 if contribution > 0 else -1
            lines.append(_("Adds {value} to the logit of the class.").format(value=_number(abs(contribution), CONTRIBUTION, sign)))
        mass, net = float(axis.mass[row, number]), float(axis.net[row, number])
        netText = _number(abs(net), MASS, 1 if net > 0 else -1)
        lines.append(_("Holds {mass} of the attribution, net {net}.").format(mass=_number(mass, MASS, 0), net=netText))
        return "\n".join(lines)

    def nearest(self, plane: str, position: float) -> int:
        """Number of the slice nearest to a coordinate along its axis, mm."""
        import numpy as np

        return int(np.abs(self.slices.along(plane).position_mm - position).argmin())

    def _sides(self, axis: AxisSlices, name: str, measure: str) -> list[tuple[float, float]]:
        """What of each slice stands above and below the line."""
        row = self.slices.classes.index(name)
        if measure == WEIGHT:
            return [(float(value), 0.0) for value in axis.weight]
        if measure == CONTRIBUTION:
            return [_above(value) for value in _floats(axis.contribution[row])]
        pairs = zip(_floats(axis.mass[row]), _floats(axis.net[row]), strict=True)
        return [((mass + net) / 2, (mass - net) / 2) for mass, net in pairs]

    def _strip(self, axis: AxisSlices, sides: list[tuple[float, float]], name: str) -> SliceStrip:
        order = sorted(range(len(sides)), key=lambda number: float(axis.position_mm[number]), reverse=axis.plane == "sagittal")
        bars = tuple(SliceBar(number, *sides[number], self.tip(axis.plane, number, name)) for number in order)
        return SliceStrip(axis.plane, title(axis.plane), _ENDS[axis.plane], bars)

    @staticmethod
    def _caption(measure: str, most: str) -> str:
        if measure == WEIGHT:
            return _("Where the network looked: each slice's weight (attention), at most {most}").format(most=most)
        if measure == CONTRIBUTION:
            return _("What each slice adds to the logit of the class (exact)")
        return _("Share of the attribution in each slice: above the line supporting, below opposing")


def title(plane: str) -> str:
    """A plane as people read it."""
    return {"axial": _("Axial"), "coronal": _("Coronal"), "sagittal": _("Sagittal")}[plane]


def measureTitle(measure: str) -> str:
    """What a bar is, in few words."""
    return {
        CONTRIBUTION: _("Contribution to the logit"),
        WEIGHT: _("Weight"),
        MASS: _("Share of attribution"),
    }[measure]


def placeText(plane: str, position: float) -> str:
    """A coordinate across a plane as Slicer's views write it: ``S 112.5 mm``."""
    positive, negative = _LETTERS[plane]
    return f"{positive if position >= 0 else negative}{_SPACE}{abs(position):.1f}{_SPACE}mm"


def _number(value: float, measure: str, sign: int) -> str:
    """A number of a slice with two digits that count; ``sign`` 0 writes none."""
    before = {1: "+", -1: _MINUS, 0: ""}[sign]
    if measure == CONTRIBUTION:
        return f"{before}{value:.2g}" if 0 < value < 0.1 else f"{before}{value:.2f}"
    percent = 100 * value
    return f"{before}{percent:.2g}{_SPACE}%" if 0.001 < percent < 1 else f"{before}{percent:.1f}{_SPACE}%"


def _above(value: float) -> tuple[float, float]:
    """A signed number as what stands above and below the line; not known stays so."""
    return (max(0.0, value), max(0.0, -value)) if math.isfinite(value) else (value, value)


def _floats(values: np.ndarray) -> list[float]:
    return [float(value) for value in values]
