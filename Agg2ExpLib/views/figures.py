"""Rendered slices as figures a radiologist can read: orientation letters, slice position, label name and colour legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .mrml_colors import ENTRIES, Sign, signed_colors
from .plain_text import plain_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .slice_views import Picture

DPI = 100
_GAP, _HEADER, _CAPTION, _FOOTER = 14, 46, 26, 92  # pixels
_DARK, _TEXT, _FAINT = "#0d0f12", "#f2f2f2", "#a8adb5"
_YELLOW = "#ffee33"


@dataclass(frozen=True)
class Legend:
    """What the colours of an overlay mean.

    Attributes:
        threshold: weaker values are hidden, in the map's units.
        window: full colour from this value on.
        k: transparent half-width of the colour table (see :mod:`Agg2ExpLib.views.mrml_colors`).
        percentile: percentile of ``|value|`` that ``threshold`` is.
        sign: which values are shown.
        outline: what the yellow line is; empty where there is none.
    """

    threshold: float
    window: float
    k: int
    percentile: float
    sign: Sign
    outline: str


def save_views(
    path: Path, pictures: Sequence[tuple[str, Picture]], title: str, patient: str, legend: Legend | Sequence[str]
) -> None:
    """Write slices side by side with all annotations as PNG, beside and renamed.

    Args:
        path: the PNG file.
        pictures: ``(orientation, picture)`` from left to right.
        title: the label as people read it.
        patient: patient id.
        legend: meaning of the colours, or lines to write where there is no overlay.
    """
    from .plots import save_figure

    save_figure(compose_views(pictures, title, patient, legend), path, dpi=DPI)


@plain_text
def compose_views(pictures: Sequence[tuple[str, Picture]], title: str, patient: str, legend: Legend | Sequence[str]) -> Figure:
    """The figure of :func:`save_views`; every slice keeps its pixels."""
    from matplotlib.figure import Figure

    widths = [picture.pixels.shape[1] for _, picture in pictures]
    tallest = max(picture.pixels.shape[0] for _, picture in pictures)
    width = max(sum(widths) + _GAP * (len(pictures) + 1), 560)
    narrow = width < 1000
    footer = _FOOTER + (40 if narrow else 0)
    height = _HEADER + _CAPTION + tallest + footer
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=_DARK)
    figure.text(_GAP / width, 1 - _HEADER / 2 / height, title, color=_TEXT, size=15, weight="bold", va="center")
    figure.text(1 - _GAP / width, 1 - _HEADER / 2 / height, _shortened(patient, 40), color=_FAINT, size=10, va="center", ha="right")
    left = (width - sum(widths) - _GAP * (len(pictures) - 1)) // 2
    for orientation, picture in pictures:
        rows, columns = picture.pixels.shape[:2]
        bottom = footer + (tallest - rows) // 2
        axes = figure.add_axes((left / width, bottom / height, columns / width, rows / height))
        axes.set_axis_off()
        axes.imshow(picture.pixels, interpolation="nearest", aspect="auto")
        _annotate(axes, picture)
        caption = f"{orientation.capitalize()}   {picture.position[0]} {picture.position[1]:.1f} mm"
        figure.text((left + columns / 2) / width, (footer + tallest + 8) / height, caption, color=_TEXT, size=10, ha="center")
        left += columns + _GAP
    if isinstance(legend, Legend):
        _draw_legend(figure, legend, width, height, narrow)
    else:
        for index, line in enumerate(legend):
            words = _shortened(line, round(width / 5.8))
            figure.text(0.5, (footer - 30 - 22 * index) / height, words, color=_TEXT, size=9.5, ha="center", va="center")
    return figure


def _annotate(axes: Axes, picture: Picture) -> None:
    from matplotlib import patheffects

    style: dict[str, Any] = {
        "color": "#ffffff",
        "size": 13,
        "weight": "bold",
        "transform": axes.transAxes,
        "path_effects": [patheffects.withStroke(linewidth=2.5, foreground="#000000")],
    }
    left, right, top, bottom = picture.edges
    rows, columns = picture.pixels.shape[:2]
    axes.text(7 / columns, 0.5, left, ha="left", va="center", **style)
    axes.text(1 - 7 / columns, 0.5, right, ha="right", va="center", **style)
    axes.text(0.5, 1 - 6 / rows, top, ha="center", va="top", **style)
    axes.text(0.5, 6 / rows, bottom, ha="center", va="bottom", **style)
    _scale_bar(axes, picture)


def _scale_bar(axes: Axes, picture: Picture) -> None:
    """Five centimetres, lower left."""
    from matplotlib import patheffects

    rows, columns = picture.pixels.shape[:2]
    length = 50 / picture.millimetres
    if length > 0.4 * columns:
        return
    x, y = 12, rows - 14
    border = [patheffects.withStroke(linewidth=4, foreground="#000000")]
    axes.plot([x, x + length], [y, y], color="#ffffff", linewidth=1.8, solid_capstyle="butt", path_effects=border)
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.text(x + length / 2, y - 6, "5 cm", color="#ffffff", size=8, ha="center", va="bottom", path_effects=border)


def _draw_legend(figure: Figure, legend: Legend, width: int, height: int, narrow: bool) -> None:
    table = signed_colors(legend.k, legend.sign)[: ENTRIES - 1]
    hidden = table[:, 3] == 0
    table[hidden, :3] = (0.16, 0.17, 0.19)
    table[:, 3] = 1
    bar_width, bar_height = 380, 14
    left = (width - bar_width) // 2 if narrow else _GAP + 84
    bottom = (_FOOTER + 40 - 38) if narrow else _FOOTER - 48
    axes = figure.add_axes((left / width, bottom / height, bar_width / width, bar_height / height))
    axes.imshow(table[None], aspect="auto", extent=(-legend.window, legend.window, 0, 1), interpolation="nearest")
    axes.set_yticks([])
    marks = [-legend.window, -legend.threshold, legend.threshold, legend.window]
    if legend.threshold / legend.window < 0.22:  # the inner numbers would touch
        axes.set_xticks(marks, [_number(marks[0]), "", f"±{_number(legend.threshold)}", _number(marks[3])])
        axes.get_xticklabels()[2].set_x(0)
        ticks = axes.get_xticklabels()
        ticks[2].set_horizontalalignment("center")
    else:
        axes.set_xticks(marks, [_number(mark) for mark in marks])
    axes.tick_params(colors=_TEXT, labelsize=8.5, length=4, pad=2)
    for spine in axes.spines.values():
        spine.set_color("#555a61")
    middle = (bottom + bar_height / 2) / height
    figure.text((left - 10) / width, middle, "opposes", color="#7fd0ff", size=11, weight="bold", ha="right", va="center")
    figure.text((left + bar_width + 10) / width, middle, "supports", color="#ff7a5c", size=11, weight="bold", va="center")
    shown = {"both": "", "supporting": " supporting", "opposing": " opposing"}[legend.sign]
    lines = [
        f"Shown: strongest {100 - legend.percentile:g} % of all voxels,{shown} |attribution| ≥ {_number(legend.threshold)}; "
        f"full colour from {_number(legend.window)} on.",
        f"Red supports, blue opposes the model's score for this label. Yellow line: {legend.outline}."
        if legend.outline
        else "Red supports, blue opposes the classifier's score for this class.",
    ]
    if narrow:
        for index, line in enumerate(lines):
            figure.text(0.5, (40 - 20 * index) / height, line, color=_FAINT, size=8, ha="center", va="center")
    else:
        start = (left + bar_width + 110) / width
        for index, line in enumerate(lines):
            figure.text(start, (bottom + 17 - 22 * index) / height, line, color=_FAINT, size=9.5, va="center")


def _number(value: float) -> str:
    """A short number for people: ``0.012``, ``3.1e-04`` as ``3.1·10⁻⁴``."""
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.3g}".replace("-", "−")
    mantissa, exponent = f"{value:.1e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa}·10{raised}".replace("-", "−")


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def smaller(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Pixels ``[rows, columns, 3]`` averaged over blocks: smooth lines from a larger rendering."""
    rows, columns = pixels.shape[0] // factor, pixels.shape[1] // factor
    blocks = pixels[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor, 3)
    return np.round(blocks.mean(axis=(1, 3))).astype(np.uint8)
