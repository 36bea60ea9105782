"""A map over the CT in three planes by matplotlib alone, for notebooks; the patient's right is on the left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from .plain_text import plain_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

# Axes of a plane across and up (the one across runs backwards), and the letters at left, right, bottom and top.
_PLANES = {
    "axial": (0, 1, "RLPA"),
    "coronal": (0, 2, "RLIS"),
    "sagittal": (1, 2, "APIS"),
}
_CONTOUR, _INK, _PAPER = "#ffd84d", "#e8eaed", "#101214"


@plain_text
def planes_figure(
    hu: np.ndarray,
    attribution: np.ndarray,
    outline: np.ndarray | None = None,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    at: Sequence[int] | None = None,
    percentile: float = 95.0,
    window: tuple[float, float] = (-160.0, 240.0),
    title: str = "",
) -> Figure:
    """Axial, coronal and sagittal slices with the strongest voxels in red (supporting) and blue (opposing).

    Args:
        hu: CT ``[x, y, z]`` on RAS axes.
        attribution: signed map on the same grid.
        outline: boolean mask that is outlined.
        spacing: edges of a voxel in mm.
        at: voxel ``(x, y, z)`` that the planes meet in; by default the middle of the outline, else of the strongest voxels.
        percentile: of ``|attribution|`` that is shown from.
        window: HU shown black and white.
        title: of the figure.

    Raises:
        InputError: a place outside the volume, or a percentile outside 0 to 100.
    """
    from matplotlib.figure import Figure

    if not 0 <= percentile < 100:
        raise InputError(f"The ⟨percentile⟩ must be at least 0 and less than 100, not {percentile:g}.")
    strength = np.abs(attribution)
    threshold = float(np.percentile(strength, percentile))
    if at is None:
        at = middle_of(outline if outline is not None and outline.any() else strength >= threshold)
    if len(at) != 3 or any(not 0 <= place < size for place, size in zip(at, hu.shape, strict=True)):
        raise InputError(f"The place {tuple(at)} lies outside the volume of {' × '.join(map(str, hu.shape))} voxels.")
    limit = float(np.percentile(strength[strength > 0], 99.5)) if strength.any() else 1.0
    sizes = [hu.shape[right] * spacing[right] for right, _, _ in _PLANES.values()]
    tallest = max(hu.shape[up] * spacing[up] for _, up, _ in _PLANES.values())
    figure = Figure(figsize=(12, 12 * tallest / sum(sizes) + 1.1), facecolor=_PAPER, layout="constrained")
    grid = figure.add_gridspec(1, 3, width_ratios=sizes)
    for column, name in enumerate(_PLANES):
        axes = figure.add_subplot(grid[column])
        image = _draw(axes, name, hu, attribution, outline, spacing, at, threshold, limit, window)
    bar = figure.colorbar(image, ax=figure.axes, orientation="horizontal", fraction=0.04, pad=0.02, aspect=60)
    bar.set_label(f"attribution: red supports, blue opposes (strongest {100 - percentile:g} % of voxels)", color=_INK, fontsize=9)
    bar.ax.tick_params(colors=_INK, labelsize=8)
    figure.suptitle(title, color=_INK, fontsize=11)
    return figure


def _along(mask: np.ndarray, axis: int) -> np.ndarray:
    """Voxels of a mask in each slice across an axis."""
    return mask.sum(axis=tuple(other for other in range(3) if other != axis))


def plane_of(array: np.ndarray, name: str, at: Sequence[int]) -> np.ndarray:
    """One slice ``[row, column]`` as it is drawn, the first row at the bottom: the patient's right, or front, on the left."""
    right, up, _ = _PLANES[name]
    across = 3 - right - up
    found: np.ndarray = np.flip(np.take(array, at[across], axis=across), axis=0).T
    return found


def middle_of(mask: np.ndarray) -> list[int]:
    """The voxel in the middle of a mask that is not empty."""
    return [round(float(np.average(np.arange(size), weights=_along(mask, axis)))) for axis, size in enumerate(mask.shape)]


def draw_plane(
    axes: Axes,
    name: str,
    hu: np.ndarray,
    spacing: Sequence[float],
    at: Sequence[int],
    window: tuple[float, float],
    outlines: Sequence[tuple[np.ndarray, str, str, float]] = (),
) -> None:
    """One slice of the CT with its letters and outlines.

    Args:
        axes: to draw in.
        name: ``axial``, ``coronal`` or ``sagittal``.
        hu: CT ``[x, y, z]`` on RAS axes.
        spacing: edges of a voxel in mm.
        at: voxel that the planes meet in.
        window: HU shown black and white.
        outlines: boolean mask, colour, line style and width of each.
    """
    letters, extent = _PLANES[name][2], _extent(name, hu, spacing)
    axes.imshow(plane_of(hu, name, at), cmap="gray", vmin=window[0], vmax=window[1], origin="lower", extent=extent)
    for mask, color, style, width in outlines:
        if (inside := plane_of(mask, name, at)).any():
            axes.contour(inside, levels=[0.5], colors=color, linewidths=width, linestyles=style, origin="lower", extent=extent)
    places = ((0.02, 0.5), (0.98, 0.5), (0.5, 0.02), (0.5, 0.98))
    for letter, (x, y) in zip(letters, places, strict=True):
        axes.text(
            x,
            y,
            letter,
            transform=axes.transAxes,
            color=_INK,
            fontsize=9,
            ha={0.02: "left", 0.98: "right"}.get(x, "center"),
            va={0.02: "bottom", 0.98: "top"}.get(y, "center"),
        )
    axes.set_axis_off()
    axes.text(0.02, 0.98, name, transform=axes.transAxes, color=_INK, fontsize=9, ha="left", va="top")


def _extent(name: str, hu: np.ndarray, spacing: Sequence[float]) -> tuple[float, float, float, float]:
    """Edges of a plane in mm: left, right, bottom, top."""
    right, up, _ = _PLANES[name]
    return 0.0, hu.shape[right] * spacing[right], 0.0, hu.shape[up] * spacing[up]


def _draw(
    axes: Axes,
    name: str,
    hu: np.ndarray,
    attribution: np.ndarray,
    outline: np.ndarray | None,
    spacing: Sequence[float],
    at: Sequence[int],
    threshold: float,
    limit: float,
    window: tuple[float, float],
) -> ScalarMappable:
    draw_plane(axes, name, hu, spacing, at, window, [(outline, _CONTOUR, "solid", 1.0)] if outline is not None else ())
    values = plane_of(attribution, name, at)
    shown = np.ma.masked_where((np.abs(values) < threshold) | (values == 0), values)
    extent = _extent(name, hu, spacing)
    return axes.imshow(shown, cmap="RdBu_r", vmin=-limit, vmax=limit, alpha=0.75, origin="lower", extent=extent)
