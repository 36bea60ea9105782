"""How much each slice matters for a class, along the three axes of the patient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..models.labels import title_of
from .plain_text import plain_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..roi_importance.slices import AxisSlices, SliceImportance

_ORDER = ("axial", "coronal", "sagittal")
# Letters at the low and the high end of an axis, in the patient's coordinates (right, anterior, superior).
_ENDS = {"sagittal": ("L", "R"), "coronal": ("P", "A"), "axial": ("I", "S")}
_SUPPORTS, _OPPOSES, _MASS, _LOOKED = "#c8321e", "#1e5ac8", "#8a8f96", "#1d2126"
_INK, _FAINT = "#1d2126", "#6b7178"


@plain_text
def slice_figure(slices: SliceImportance, name: str, title: str = "") -> Figure:
    """Bars of one class: above what each slice contributed to the logit, with the attention as a line; below the attribution in it.

    Args:
        slices: of a result.
        name: of the class.
        title: patient and probability, say.
    """
    from matplotlib.figure import Figure

    row = slices.classes.index(name)
    figure = Figure(figsize=(13.0, 5.4), facecolor="white")
    figure.text(0.045, 0.955, f"{title_of(name)} · slices" + (f" · {title}" if title else ""), size=13, weight="bold", color=_INK)
    told = "Above: signed contribution of each slice to the logit (bars), attention weight (line). " if _any(slices) else ""
    figure.text(0.045, 0.912, f"{told}Below: share of the absolute attribution in each slice.", size=9, color=_FAINT)
    axes: Any = figure.subplots(2, 3, sharex="col", gridspec_kw={"height_ratios": [1.25, 1.0]})
    figure.subplots_adjust(left=0.06, right=0.96, top=0.83, bottom=0.11, wspace=0.24, hspace=0.12)
    for column, plane in enumerate(_ORDER):
        axis = slices.along(plane)
        axes[0, column].set_title(f"{plane.capitalize()} slices", size=10, color=_INK, pad=6)
        _contributions(axes[0, column], axis, row)
        _masses(axes[1, column], axis, row)
        low, high = _ENDS[plane]
        axes[1, column].set_xlabel(f"{low}        position, mm        {high}", size=9, color=_FAINT)
    return figure


def _any(slices: SliceImportance) -> bool:
    return any(np.isfinite(axis.weight).any() for axis in slices.axes)


def _contributions(axes: Axes, axis: AxisSlices, row: int) -> None:
    values = axis.contribution[row]
    if not np.isfinite(values).any():
        axes.text(
            0.5, 0.5, "the network sees no slices along this axis", transform=axes.transAxes, size=8.5, ha="center", color=_FAINT
        )
        axes.set_yticks([])
        _clean(axes)
        return
    axes.bar(axis.position_mm, values, width=_width(axis), color=[_SUPPORTS if value > 0 else _OPPOSES for value in values])
    axes.axhline(0, color=_FAINT, linewidth=0.6)
    axes.set_ylabel("contribution, logits", size=8.5, color=_FAINT)
    _clean(axes)
    looked = axes.twinx()
    looked.plot(axis.position_mm, 100 * axis.weight, color=_LOOKED, linewidth=1.1)
    looked.set_ylim(0, 115 * float(axis.weight.max()))
    looked.set_ylabel("attention, %", size=8.5, color=_FAINT)
    _clean(looked)


def _masses(axes: Axes, axis: AxisSlices, row: int) -> None:
    values = 100 * axis.mass[row]
    best = int(values.argmax())
    colors = [_MASS] * len(values)
    colors[best] = _LOOKED
    axes.bar(axis.position_mm, values, width=_width(axis), color=colors)
    axes.annotate(
        f"{values[best]:.1f} % at {axis.position_mm[best]:.0f} mm",
        (axis.position_mm[best], values[best]),
        xytext=(0, 3),
        textcoords="offset points",
        size=8,
        color=_INK,
        ha="center",
    )
    axes.set_ylim(0, 1.18 * float(values.max()))
    axes.set_ylabel("attribution, %", size=8.5, color=_FAINT)
    _clean(axes)


def _width(axis: AxisSlices) -> float:
    return 0.85 * abs(float(axis.position_mm[1] - axis.position_mm[0])) if len(axis.position_mm) > 1 else 1.0


def _clean(axes: Axes) -> None:
    axes.tick_params(labelsize=8, length=2, color=_FAINT, labelcolor=_FAINT)
    for spine in axes.spines.values():
        spine.set_color("#d5d8dc")
