"""A cohort in words, for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..labels import BACKGROUND
from .figures import context_order

if TYPE_CHECKING:
    from .summarise import Summary


def summary_in_words(summary: Summary, count: int = 3) -> str:
    """For every label the regions with the largest mean share, with confidence intervals."""
    overall = summary.overall
    patients = len(summary.cohort.patients)
    lines = [f"{summary.name}: {patients} patient{'s' * (patients > 1)}, {len(summary.cohort.foreground)} labels"]
    width = max(len(name) for name in overall.rows)
    for name in context_order(summary.cohort):
        row = overall.rows.index(name)
        columns = [c for c, region in enumerate(overall.columns) if region != BACKGROUND and np.isfinite(overall.mass[row, c])]
        columns.sort(key=lambda column: (-overall.mass[row, column], column))
        parts = []
        for column in columns[:count]:
            low, high = overall.low[row, column], overall.high[row, column]
            interval = f" ({100 * low:.1f}–{100 * high:.1f})" if np.isfinite(low) else ""
            region = "itself" if overall.columns[column] == name else overall.columns[column]
            parts.append(f"{region} {100 * overall.mass[row, column]:.1f}{interval} %")
        lines.append(f"  {name:{width}}  leans on  {', '.join(parts)}")
    return "\n".join(lines)
