"""A cohort in words, for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..models.labels import BACKGROUND
from .figures import context_order
from .found_outliers import AVERAGE

if TYPE_CHECKING:
    from .found_outliers import Outliers
    from .summary import Summary


def summary_in_words(summary: Summary, count: int = 3) -> str:
    """For every label the regions with the largest mean share, with confidence intervals."""
    overall = summary.overall
    patients = len(summary.cohort.patients)
    names = context_order(summary.cohort) or [summary.cohort.rows[row] for row in summary.cohort.foreground]
    kind = "labels" if set(names) & set(overall.columns) else "classes"
    lines = [f"{summary.name}: {patients} patient{'s' * (patients > 1)}, {len(summary.cohort.foreground)} {kind}"]
    width = max(len(name) for name in overall.rows)
    for name in names:
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


def outliers_in_words(outliers: Outliers, count: int = 5) -> str:
    """The strangest patients, and what goes with it."""
    found = outliers.found
    lines = [f"{len(found.patients)} patients against {len(outliers.reference.mass)} reference patients"]
    for index in found.order[:count]:
        if np.isfinite(found.average[index]):
            label = found.rows[int(np.nanargmax(found.scores[index]))]
            share = f"stranger than {100 * found.average_rank[index]:.0f} % of the reference"
            lines.append(f"  {found.patients[index]}  {found.average[index]:.3f}  {share}, most in {label}")
    for test in outliers.correlations:
        if test.subject == AVERAGE and np.isfinite(test.p):
            lines.append(f"  average score and mean Dice: Spearman {test.statistic:.2f}, p = {test.p:.2g}, n = {test.n}")
    for test in outliers.groups:
        if np.isfinite(test.p):
            lines.append(f"  {test.subject}: {test.name}, p = {test.p:.2g} (adjusted {test.p_adjusted:.2g}); {test.detail}")
    return "\n".join(lines)
