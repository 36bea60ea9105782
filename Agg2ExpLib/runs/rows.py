"""The matrix in the making: what each group of noise samples and the final maps leave in the regions."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..attribution.method import Estimate, Method
from ..roi_importance.matrix import ImportanceMatrix, Regions, RegionSums, batch_means_error, importance_matrix


@dataclass
class Rows:
    """Sums over regions, gathered while a method runs.

    Attributes:
        regions: the columns.
        groups: per label the row of each group of samples, for the Monte-Carlo error.
        group_samples: samples of a full group.
        final: per label the sums of its final map.
    """

    regions: Regions
    groups: dict[str, list[np.ndarray]] = field(default_factory=dict)
    group_samples: int = 0
    final: dict[str, RegionSums] = field(default_factory=dict)

    def add_group(self, estimate: Estimate) -> None:
        """Take in a group of samples.

        Raises:
            FloatingPointError: its maps are not finite.
        """
        self.group_samples = self.group_samples or estimate.group_samples
        for name in estimate.names:
            sums = self.regions.sums(estimate.group_mean(name))
            if not np.isfinite(sums.total):
                raise FloatingPointError(f"the gradient of '{name}' is not finite")
            # A smaller last group has a row of its own kind, so it is left out of the spread.
            if estimate.group_samples == self.group_samples:
                self.groups.setdefault(name, []).append(sums.mass)

    def restart(self) -> None:
        """Forget the groups: a run begins again in another precision."""
        self.groups.clear()
        self.group_samples = 0

    def matrix(self, method: Method) -> ImportanceMatrix:
        """The matrix of the final maps."""
        count = len(self.regions.columns)
        if method.spread_is_error:
            errors = {name: batch_means_error(self.groups[name], self.group_samples, method.samples) for name in self.final}
        else:
            errors = {name: np.full(count, np.nan if method.random else 0.0) for name in self.final}
        return importance_matrix(self.regions, self.final, errors)
