"""A changed CT beside the CT as it is, with the outlines of labels that changed, in three planes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..models.labels import Color, title_of
from .plain_text import plain_text
from .planes import draw_plane, middle_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INK, _PAPER, _REGION = "#e8eaed", "#101214", "#ffffff"
_PLANES = ("axial", "coronal", "sagittal")


@plain_text
def what_if_figure(
    before_hu: np.ndarray,
    after_hu: np.ndarray,
    region: np.ndarray,
    outlines: Mapping[str, tuple[np.ndarray, np.ndarray, Color]],
    spacing: Sequence[float],
    title: str,
    words: Sequence[str] = (),
    window: tuple[float, float] = (-160.0, 240.0),
    left_out: int = 0,
) -> Figure:
    """The CT as it is (above, with what the model drew) and changed (below, with what it draws now; dotted: before).

    Args:
        before_hu, after_hu: ``[x, y, z]`` on RAS axes.
        region: boolean mask of what was changed, dashed white.
        outlines: by label: mask before, mask after, colour.
        spacing: edges of a voxel in mm.
        title: what was changed.
        words: a line for each label, below.
        window: HU shown black and white.
        left_out: labels that change, too, but are not outlined.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    at = middle_of(region if region.any() else np.ones(region.shape, bool))  # a shift by 0.1 HU changes no stored voxel
    sizes = [before_hu.shape[axis] * spacing[axis] for axis in (0, 0, 1)]
    tallest = max(before_hu.shape[axis] * spacing[axis] for axis in (1, 2))
    height = 2 * 12 * tallest / sum(sizes) + 1.2 + 0.22 * len(words)
    figure = Figure(figsize=(12, height), facecolor=_PAPER, layout="constrained")
    grid = figure.add_gridspec(2, 3, width_ratios=sizes)
    for row, hu in enumerate((before_hu, after_hu)):
        for column, name in enumerate(_PLANES):
            axes = figure.add_subplot(grid[row, column])
            lines = [(region, _REGION, "dashed", 0.8)]
            for before, after, color in outlines.values():
                ink = "#{:02x}{:02x}{:02x}".format(*color)
                lines.append((before, ink, "solid" if row == 0 else "dotted", 1.4 if row == 0 else 1.0))
                if row == 1:
                    lines.append((after, ink, "solid", 1.4))
            draw_plane(axes, name, hu, spacing, at, window, lines)
            if column == 0:
                text = "CT as it is" if row == 0 else "changed CT"
                axes.text(0.02, 0.02, text, transform=axes.transAxes, color=_INK, fontsize=9, ha="left", va="bottom")
    handles = [Line2D([], [], color=_REGION, linestyle="dashed", label="changed region")]
    handles += [
        Line2D([], [], color="#{:02x}{:02x}{:02x}".format(*color), label=title_of(name)) for name, (_, _, color) in outlines.items()
    ]
    if outlines:
        handles.append(Line2D([], [], color=_INK, linestyle="dotted", label="outline before"))
    if left_out:
        handles.append(Line2D([], [], linestyle="none", label=f"{left_out} more change less: see the table"))
    figure.legend(
        handles=handles, loc="outside lower center", ncols=min(len(handles), 5), labelcolor=_INK, facecolor=_PAPER, edgecolor=_PAPER
    )
    figure.suptitle("\n".join([title, *words]), color=_INK, fontsize=9, family="monospace")
    return figure
