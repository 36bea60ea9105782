"""What is known of strange patients."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .forest import Anomalies, Reference
from .matrices import CohortMatrices
from .significance import Test

AVERAGE = "average"  # the subject of a test on the average over labels


@dataclass
class Outliers:
    """What was found; tables, figures and report are made from it.

    Attributes:
        cohort: the patients that were scored.
        reference: whom they were compared with.
        found: scores and ranks.
        strange: bool ``[patients]``, the outliers.
        correlations: tests of score against Dice.
        groups: tests of score against what is known of the patients.
        notices: what a reader should know.
    """

    cohort: CohortMatrices
    reference: Reference
    found: Anomalies
    strange: np.ndarray
    correlations: list[Test] = field(default_factory=list)
    groups: list[Test] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def mean_dice(self) -> np.ndarray:
        """Mean Dice of each patient over the scored labels, ``[patients]``; NaN where not known."""
        rows = [self.cohort.rows.index(name) for name in self.found.rows if name in self.cohort.rows]
        dice = np.where(self.cohort.present[:, rows], self.cohort.dice[:, rows], np.nan)
        count = np.isfinite(dice).sum(axis=1)
        return np.divide(np.nansum(dice, axis=1), count, out=np.full(len(dice), np.nan), where=count > 0)
