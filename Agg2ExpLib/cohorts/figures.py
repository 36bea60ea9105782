"""Figures of a cohort: distributions, context shares, pairwise histograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..models.labels import BACKGROUND, CLASS_GROUP, PATHOLOGY_GROUP, group_color
from ..views.plain_text import plain_text
from .matrices import CohortMatrices

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, LINE = "#1d2126", "#6b7178", "#d9dde1"
COHORT_COLORS = ("#2f6db3", "#d9822b", "#4f9d69", "#8a63b8")
Named = Sequence[tuple[str, CohortMatrices]]


@plain_text
def distribution_figure(cohort: CohortMatrices, title: str = "", regions: int = 6) -> Figure:
    """Box plots: for each explained label the shares of the regions it leans on most, one point a patient.

    Args:
        cohort: the patients.
        title: name of the cohort.
        regions: shown for each label, the largest medians without the background; the label itself is always among them.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    rows = cohort.foreground
    across = min(3, max(1, len(rows)))
    down = -(-len(rows) // across)
    height = 0.95 + 2.25 * down
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08, rect=(0, 0, 1, 1 - 0.75 / height))
    figure = Figure(figsize=(4.6 * across + 0.3, height), facecolor="white", layout=layout)
    grid = figure.subplots(down, across, squeeze=False)
    for axes, row in zip(grid.ravel(), rows, strict=False):
        _boxes_of_label(axes, cohort, row, regions)
    for axes in grid.ravel()[len(rows) :]:
        axes.set_axis_off()
    heading(
        figure,
        "What each label leans on" + (f" · {title}" if title else ""),
        f"Share of the label's attribution in a region, % (largest medians, without background). One point a patient, "
        f"{len(cohort.patients)} in all; box: quartiles; bold: the label itself.",
    )
    return figure


@plain_text
def context_figure(cohorts: Named) -> Figure:
    """For each label the share of attribution inside its own segment, cohorts side by side; labels with most context come first.

    Args:
        cohorts: name and patients of one or more cohorts.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    first = cohorts[0][1]
    names = context_order(first)
    height = 1.15 + (0.30 + 0.14 * (len(cohorts) - 1)) * len(names) + 0.6
    figure = Figure(figsize=(9.8, height), facecolor="white")
    axes = figure.add_axes((0.225, 0.58 / height, 0.64, 1 - (1.15 + 0.58) / height))
    thick = 0.62 / len(cohorts)
    means: dict[int, list[str]] = {}
    for index, (_, cohort) in enumerate(cohorts):
        inside = 100 * cohort.inside()
        for line, name in enumerate(names):
            if name not in cohort.rows:
                means.setdefault(line, []).append("–")
                continue
            values = inside[:, cohort.rows.index(name)]
            values = values[np.isfinite(values)]
            at = line + (index - (len(cohorts) - 1) / 2) * thick
            box(axes, values, at, thick * 0.86, COHORT_COLORS[index % len(COHORT_COLORS)])
            means.setdefault(line, []).append(f"{100 - values.mean():.1f}" if values.size else "–")
            if index == len(cohorts) - 1:
                text = " / ".join(means[line]) + " %"
                axes.text(1.015, line, text, transform=axes.get_yaxis_transform(), size=9, color=INK, va="center")
    axes.text(1.015, -0.95, "mean context", transform=axes.get_yaxis_transform(), size=8, color=FAINT, va="center")
    plain_axes(axes, [first.title(name) for name in names])
    axes.set_xlim(left=0)
    axes.set_xlabel("share of the attribution inside the label's own segment, % — the rest is context", size=9, color=FAINT)
    if len(cohorts) > 1:
        handles = [
            Line2D([], [], marker="s", linestyle="", markersize=9, color=COHORT_COLORS[i % 4], label=f"{name} ({len(c.patients)})")
            for i, (name, c) in enumerate(cohorts)
        ]
        figure.legend(handles=handles, loc="upper right", ncols=len(handles), frameon=False, fontsize=9.5)
    title = cohorts[0][0] if len(cohorts) == 1 else ""
    heading(
        figure,
        "Context of each label" + (f" · {title}" if title else ""),
        "Labels that lean most on their surroundings come first. One point a patient; box: quartiles.",
    )
    return figure


def context_order(cohort: CohortMatrices) -> list[str]:
    """Explained labels without the background, the one with the largest mean context (smallest ``E[a, a]``) first.

    The classes of a classifier are no labels and have no context.
    """
    inside = cohort.inside()
    labels = [row for row in cohort.foreground if cohort.rows[row] in cohort.columns]
    mean = {cohort.rows[row]: float(np.nanmean(inside[:, row])) for row in labels}
    return sorted(mean, key=lambda name: (mean[name], name))


@plain_text
def histogram_figure(cohorts: Named, labels: Sequence[str]) -> Figure:
    """Pairwise histograms: how the share ``E[a, b]`` spreads over patients, for every pair of a group of labels.

    Args:
        cohorts: name and patients of one or more cohorts.
        labels: the group; each must be explained.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    first, count = cohorts[0][1], len(labels)
    size = max(1.35, min(1.9, 11 / count))
    width, height = 1.5 + size * count, 1.75 + 0.8 * size * count
    figure = Figure(figsize=(max(width, 7.6), height), facecolor="white")
    width = figure.get_figwidth()
    grid = figure.subplots(count, count, squeeze=False)
    figure.subplots_adjust(1.45 / width, 0.55 / height, 1 - 0.15 / width, 1 - 1.25 / height, wspace=0.16, hspace=0.34)
    for i, label in enumerate(labels):
        for j, region in enumerate(labels):
            axes = grid[i, j]
            shares = [100 * c.mass[:, c.rows.index(label), c.columns.index(region)] for _, c in cohorts if label in c.rows]
            shares = [values[np.isfinite(values)] for values in shares]
            bins = np.histogram_bin_edges(np.concatenate(shares), 12 if len(shares) == 1 else 9)
            for index, values in enumerate(shares):
                weights = np.full(len(values), 100 / max(len(values), 1))
                color = COHORT_COLORS[index % 4] if len(shares) > 1 or label != region else "#1f4a7d"
                axes.hist(values, bins, weights=weights, color=color, alpha=0.85 if len(shares) == 1 else 0.55)
                if values.size:
                    axes.axvline(values.mean(), color=color, linewidth=1.2, linestyle=(0, (3, 2)))
            _small_axes(axes)
            if label == region:
                axes.set_facecolor("#eef3f9")
            if i == 0:
                axes.set_title(wrapped(first.title(region)), size=8.5, color=INK, pad=4)
            if j == 0:
                axes.set_ylabel(wrapped(first.title(label)), size=8.5, color=INK, rotation=0, ha="right", va="center", labelpad=8)
    figure.text(0.5 * (1.45 / width + 1), 0.14 / height, "share of the row's attribution, %", size=8.5, color=FAINT, ha="center")
    if len(cohorts) > 1:
        handles = [Patch(color=COHORT_COLORS[i % 4], alpha=0.55, label=name) for i, (name, _) in enumerate(cohorts)]
        figure.legend(handles=handles, loc="upper right", ncols=len(handles), frameon=False, fontsize=9.5)
    heading(
        figure,
        "Pairwise importance",
        "Row: explained label. Column: region. Bars: share of the patients; dashed: mean.",
    )
    return figure


def histogram_labels(cohort: CohortMatrices) -> list[str]:
    """The group of labels that is shown when none is asked for: the lung lobes where there are two or more, else the first five."""
    names = [cohort.rows[row] for row in cohort.foreground if cohort.rows[row] in cohort.columns]
    lungs = [name for name in names if name.startswith("lung")]
    return lungs if len(lungs) > 1 else names[:5]


def box(axes: Axes, values: np.ndarray, at: float, thick: float, color: str) -> None:
    """A horizontal box (quartiles, whiskers to 1.5 of their distance) with all points."""
    values = values[np.isfinite(values)]
    if not values.size:
        return
    style = {"color": color, "linewidth": 1.0}
    axes.boxplot(
        [values],
        positions=[at],
        widths=[thick],
        orientation="horizontal",
        manage_ticks=False,
        showfliers=False,
        patch_artist=True,
        boxprops={"facecolor": (*_rgb(color), 0.22), "edgecolor": color, "linewidth": 1.0},
        whiskerprops=style,
        capprops=style,
        medianprops={"color": color, "linewidth": 2.0},
    )
    spread = ((np.arange(values.size) * 0.618034) % 1 - 0.5) * 0.55 * thick  # even, and the same every time
    axes.scatter(values, at + spread, s=7, color=color, alpha=0.55, linewidth=0, zorder=3)


def plain_axes(axes: Axes, names: Sequence[str]) -> None:
    """Names down the left side, a light grid, nothing else."""
    axes.set_yticks(range(len(names)), names, size=9, color=INK)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(length=0, labelsize=9, labelcolor=INK)
    axes.grid(axis="x", color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def heading(figure: Figure, title: str, note: str) -> None:
    """Title and a line of explanation at the top left."""
    height, width = figure.get_figheight(), figure.get_figwidth()
    figure.text(0.2 / width, 1 - 0.3 / height, title, size=13, weight="bold", color=INK, va="center")
    figure.text(0.2 / width, 1 - 0.57 / height, note, size=9, color=FAINT, va="center")


def wrapped(title: str, longest: int = 14) -> str:
    """A title broken into lines."""
    import textwrap

    return "\n".join(textwrap.wrap(title, longest)) or title


def region_color(cohort: CohortMatrices, name: str) -> str:
    """Colour of a region's system as ``#rrggbb``."""
    otherwise = PATHOLOGY_GROUP if name in cohort.columns else CLASS_GROUP
    group = next((label.group for label in cohort.labels if label.name == name), otherwise)
    red, green, blue = group_color(group)
    return f"#{red:02x}{green:02x}{blue:02x}"


def _boxes_of_label(axes: Axes, cohort: CohortMatrices, row: int, regions: int) -> None:
    name = cohort.rows[row]
    shares = 100 * cohort.mass[:, row]
    columns = [index for index, column in enumerate(cohort.columns) if column != BACKGROUND and np.isfinite(shares[:, index]).any()]
    columns.sort(key=lambda index: (-np.nanmedian(shares[:, index]), index))
    shown, own = columns[:regions], cohort.columns.index(name) if name in cohort.columns else None
    if own is not None and own not in shown:
        shown = [*shown[: regions - 1], own]
    for line, column in enumerate(shown):
        box(axes, shares[:, column], line, 0.66, region_color(cohort, cohort.columns[column]))
    plain_axes(axes, [cohort.title(cohort.columns[column]) for column in shown])
    axes.set_yticks(range(len(shown)))
    if own is not None:
        axes.get_yticklabels()[shown.index(own)].set_fontweight("bold")
    axes.set_xlim(left=0)
    count = int(cohort.present[:, row].sum())
    missing = f"  ({count} patients)" if count < len(cohort.patients) else ""
    axes.set_title(cohort.title(name) + missing, size=10, weight="bold", color=INK, loc="left", pad=3)


def _small_axes(axes: Axes) -> None:
    axes.set_yticks([])
    axes.locator_params(axis="x", nbins=3)
    axes.tick_params(length=2, labelsize=7.5, labelcolor=FAINT, color=LINE, pad=1)
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LINE)


def _rgb(color: str) -> tuple[Any, Any, Any]:
    from matplotlib.colors import to_rgb

    return to_rgb(color)
