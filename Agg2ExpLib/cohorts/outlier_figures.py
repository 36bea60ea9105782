"""Figures of outliers: scores of all patients, scores against Dice, and the strangest beside the most ordinary patients."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..runs.results import CT_FILE, SEGMENTATION_FILE, Results
from ..views.plain_text import plain_text
from .figures import COHORT_COLORS, FAINT, INK, LINE, box, heading, plain_axes, wrapped
from .forest import Anomalies
from .groups import Column
from .matrices import CohortMatrices

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_PATIENTS = 60


@plain_text
def score_figure(found: Anomalies, cohort: CohortMatrices) -> Figure:
    """Heat map of anomaly scores, the strangest patient on top; patients beyond the first sixty are left out."""
    from matplotlib.figure import Figure

    order = found.order[:_MOST_PATIENTS]
    values = np.concatenate([found.average[order, None], found.scores[order]], axis=1)
    down, across = values.shape
    width, height = 1.9 + 0.5 * across, 2.9 + 0.235 * down
    figure = Figure(figsize=(max(width, 8), height), facecolor="white")
    width = figure.get_figwidth()
    axes = figure.add_axes((1.35 / width, 1.75 / height, 0.5 * across / width, 0.235 * down / height))
    image = axes.imshow(values, cmap="YlOrRd", vmin=0.35, vmax=0.75, aspect="auto")
    for line in range(down):
        for column in range(across):
            value = values[line, column]
            text = f"{value:.2f}" if np.isfinite(value) else "–"
            dark = np.isfinite(value) and value > 0.62
            axes.text(column, line, text, ha="center", va="center", size=7.5, color="white" if dark else INK)
    axes.axvline(0.5, color="white", linewidth=5)
    axes.set_xticks(range(across), ["Average", *(cohort.title(name) for name in found.rows)])
    for tick in axes.get_xticklabels():
        tick.set(rotation=45, ha="right", rotation_mode="anchor", size=9, color=INK)
    axes.set_yticks(range(down), [found.patients[index] for index in order], size=8.5, color=INK)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = figure.add_axes((1.35 / width, 1 - 0.92 / height, 2.2 / width, 0.1 / height))
    figure.colorbar(image, cax=bar, orientation="horizontal")
    bar.tick_params(labelsize=7.5, length=2, pad=1, labelcolor=FAINT)
    note = f", the {_MOST_PATIENTS} strangest of {len(found.patients)}" if len(found.patients) > _MOST_PATIENTS else ""
    heading(figure, "How strange is each patient", f"Anomaly score of each label's row (isolation forest); 0.5 is ordinary{note}.")
    return figure


@plain_text
def dice_figure(found: Anomalies, average_dice: np.ndarray, strange: np.ndarray, words: str) -> Figure:
    """Average anomaly score against mean Dice, one point a patient; the strangest and the worst carry their names."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 5.4), facecolor="white")
    axes = figure.add_axes((0.11, 0.12, 0.85, 0.70))
    axes.scatter(
        found.average[~strange], average_dice[~strange], s=34, color=COHORT_COLORS[0], alpha=0.75, linewidth=0, label="ordinary"
    )
    axes.scatter(found.average[strange], average_dice[strange], s=38, color="#c82828", alpha=0.9, linewidth=0, label="outlier")
    known = np.isfinite(average_dice)
    worst = [index for index in np.argsort(np.where(known, average_dice, np.inf))[:3] if known[index]]
    middle = np.nanmean(axes.get_xlim())
    for index in dict.fromkeys([*found.order[:3], *worst]):
        if known[index]:
            left = found.average[index] > middle
            axes.annotate(
                found.patients[index],
                (found.average[index], average_dice[index]),
                xytext=(-6 if left else 6, 4),
                textcoords="offset points",
                size=8.5,
                color=INK,
                ha="right" if left else "left",
            )
    axes.grid(color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, labelsize=9, labelcolor=INK)
    axes.set_xlabel("average anomaly score (stranger →)", size=9.5, color=FAINT)
    axes.set_ylabel("mean Dice", size=9.5, color=FAINT)
    axes.legend(frameon=False, fontsize=9, loc="lower left")
    heading(figure, "Strange attributions and quality of the segmentation", words)
    return figure


@plain_text
def group_figure(found: Anomalies, columns: Sequence[Column]) -> Figure | None:
    """Box plots of the average score by group, a panel for each column of groups; None where there is none."""
    from matplotlib.figure import Figure

    shown = [column for column in columns if column.values is None and 2 <= len(set(filter(None, column.groups))) <= 8]
    if not shown:
        return None
    counts = [len(set(filter(None, column.groups))) for column in shown]
    height = 1.15 + sum(0.62 + 0.42 * count for count in counts)
    figure = Figure(figsize=(8.2, height), facecolor="white")
    top = 1.05
    for column, count in zip(shown, counts, strict=True):
        axes = figure.add_axes((0.22, 1 - (top + 0.42 * count) / height, 0.74, 0.42 * count / height))
        groups = sorted(set(filter(None, column.groups)))
        for line, name in enumerate(groups):
            box(axes, found.average[np.array(column.groups) == name], line, 0.6, COHORT_COLORS[line % 4])
        plain_axes(axes, [f"{name} ({column.groups.count(name)})" for name in groups])
        axes.set_title(column.name, size=10, weight="bold", loc="left", color=INK, pad=2)
        top += 0.62 + 0.42 * count
    heading(figure, "Anomaly score by group", "Average anomaly score; one point a patient; box: quartiles.")
    return figure


@plain_text
def patients_figure(found: Anomalies, cohort: CohortMatrices, count: int = 3) -> Figure | None:
    """The strangest and the most ordinary patients side by side, coronal and axial through their strangest label.

    The CT in a soft-tissue window, the label outlined in yellow, where the map was kept its strongest 5 % in red (supporting) and
    blue (opposing). None where fewer than two patients' volumes can be read.
    """
    from matplotlib.figure import Figure

    reachable = [
        index for index in found.order if _reachable(cohort.folders.get(found.patients[index])) and found.average[index] > 0
    ]
    if len(reachable) < 2:
        return None
    count = min(count, len(reachable) // 2)
    chosen = [*reachable[:count], *reachable[::-1][:count][::-1]]
    width = 2.5 * len(chosen) + 0.3
    figure = Figure(figsize=(max(width, 7.5), 6.8), facecolor="white")
    grid = figure.subplots(2, len(chosen), squeeze=False)
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.775, wspace=0.03, hspace=0.03)
    for column, index in enumerate(chosen):
        label = found.rows[int(np.nanargmax(found.scores[index]))]
        for axes, picture in zip(grid[:, column], _slices(Results.open(cohort.folders[found.patients[index]]), label), strict=True):
            _show(axes, picture)
        kind = "strange" if column < count else "ordinary"
        score = found.scores[index, found.rows.index(label)]
        grid[0, column].set_title(
            f"{found.patients[index]}\n{kind}, average {found.average[index]:.2f}\n{wrapped(cohort.title(label), 24)} {score:.2f}",
            size=9,
            color="#a32020" if column < count else INK,
            pad=4,
        )
    heading(
        figure,
        "The strangest and the most ordinary patients",
        "Through the strangest label of each (yellow outline); patient's right on the left. Red supports, blue opposes.",
    )
    return figure


def _reachable(folder: Path | None) -> bool:
    return folder is not None and (folder / CT_FILE).is_file() and (folder / SEGMENTATION_FILE).is_file()


def _slices(results: Results, label: str) -> list[dict[str, Any]]:
    """Coronal and axial slice through the label's largest cross-section; arrays ``[across, up]`` with the patient's right first."""
    ct, affine = _canonical(results.ct())
    segmentation, _ = _canonical(results.segmentation())
    index = next((one.index for one in results.labels if one.name == label), None)  # a classifier's class has no voxels
    mask = np.equal(segmentation, index) if index is not None else np.zeros(segmentation.shape, dtype=bool)
    overlay = None
    if label in results.explained:
        from ..runs.results import attribution_path

        if attribution_path(results.folder, label).is_file():
            overlay, _ = _canonical(results.attribution(label))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    limit = float(np.quantile(np.abs(overlay), 0.95)) if overlay is not None else 0.0
    pictures = []
    for axis in (1, 2):
        area = (mask if index is not None or overlay is None else np.abs(overlay)).sum(axis=tuple({0, 1, 2} - {axis}))
        at = int(area.argmax()) if area.any() else mask.shape[axis] // 2

        def cut(array: np.ndarray, axis: int = axis, at: int = at) -> np.ndarray:
            return np.take(array, at, axis=axis)[::-1]

        up = spacing[2 if axis == 1 else 1]
        picture = {"ct": cut(ct), "mask": cut(mask), "aspect": up / spacing[0], "limit": limit}
        pictures.append({**picture, "map": None if overlay is None else cut(np.asarray(overlay))})
    return pictures


def _canonical(volume: Any) -> tuple[np.ndarray, np.ndarray]:
    """A volume with its axes along right, anterior, superior."""
    import nibabel

    image = nibabel.as_closest_canonical(nibabel.Nifti1Image(np.asarray(volume.array), volume.affine))
    return np.asanyarray(image.dataobj), image.affine


def _show(axes: Any, picture: dict[str, Any]) -> None:
    axes.imshow(
        picture["ct"].T, cmap="gray", vmin=-450, vmax=350, origin="lower", aspect=picture["aspect"], interpolation="bilinear"
    )
    if picture["map"] is not None and picture["limit"] > 0:
        values = picture["map"].astype(np.float64)
        top = max(float(np.abs(values).max()), picture["limit"])
        color = np.where(values[..., None] > 0, (0.85, 0.1, 0.1), (0.1, 0.25, 0.9))
        alpha = np.where(np.abs(values) < picture["limit"], 0, 0.25 + 0.55 * np.sqrt(np.abs(values) / top))
        shown = np.concatenate([color, alpha[..., None]], axis=2)
        axes.imshow(shown.transpose(1, 0, 2), origin="lower", aspect=picture["aspect"], interpolation="nearest")
    if picture["mask"].any():
        axes.contour(picture["mask"].T.astype(float), [0.5], colors=["#ffea1a"], linewidths=1.0)
    axes.set_axis_off()
