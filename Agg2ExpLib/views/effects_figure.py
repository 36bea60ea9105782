"""What removing each region does to each label, beside what the attributions say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..models.labels import title_of
from .plain_text import plain_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..interventions.effects import Effects
    from ..roi_importance.matrix import ImportanceMatrix


@plain_text
def effects_figure(effects: Effects, matrix: ImportanceMatrix | None = None) -> Figure:
    """Loss of Dice for labels × removed regions and, with a matrix, the importance of the same regions below it.

    Args:
        effects: see :class:`~Agg2ExpLib.interventions.effects.Effects`.
        matrix: importance of the same result; labels that it lacks are left out of its part.
    """
    from matplotlib.figure import Figure

    columns = list(effects.columns)
    parts: list[tuple[str, Sequence[str], np.ndarray]] = [("Dice lost when the region is removed", effects.rows, 1 - effects.dice)]
    if matrix is not None and (shared := [row for row in effects.rows if row in matrix.rows]):
        best, agreement = matrix.best(), effects.agreement(matrix)
        values = np.full((len(shared), len(columns)), np.nan)
        for i, row in enumerate(shared):
            for j, column in enumerate(columns):
                if column in matrix.columns:
                    values[i, j] = best[matrix.rows.index(row), matrix.columns.index(column)]
        words = ", ".join(f"{title_of(row)} {agreement[row]:+.2f}" for row in shared if np.isfinite(agreement.get(row, np.nan)))
        parts.append((f"RoI importance (rank correlation with the change of the logit: {words or 'not told'})", shared, values))
    heights = [len(rows) for _, rows, _ in parts]
    figure = Figure(figsize=(3.5 + 0.55 * len(columns), 3.2 + 0.4 * sum(heights)), layout="constrained")
    grid = figure.add_gridspec(len(parts), 1, height_ratios=heights)
    for number, (title, rows, values) in enumerate(parts):
        axes = figure.add_subplot(grid[number])
        image = axes.imshow(values, cmap="cividis", vmin=0, vmax=max(float(np.nanmax(values, initial=0.0)), 1e-9), aspect="auto")
        axes.set_title(title, fontsize=9, loc="left")
        axes.set_yticks(range(len(rows)), [title_of(row) for row in rows], fontsize=8)
        last = number == len(parts) - 1
        axes.set_xticks(
            range(len(columns)), [title_of(name) for name in columns] if last else [], rotation=45, ha="right", fontsize=8
        )
        for i in range(len(rows)):
            for j in range(len(columns)):
                if np.isfinite(values[i, j]):
                    dark = values[i, j] < 0.5 * float(np.nanmax(values))
                    axes.text(j, i, f"{values[i, j]:.2f}", ha="center", va="center", fontsize=7, color="white" if dark else "black")
        figure.colorbar(image, ax=axes, fraction=0.03)
    return figure
