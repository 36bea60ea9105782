"""The matrix in the making: what each group of noise samples and the final maps leave in the regions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from ..attribution.method import Estimate, Method
from ..attribution.smoothgrad import FIRST_SAMPLES
from ..roi_importance.groups import GroupMaps
from ..roi_importance.kept_noise import KeptNoise
from ..roi_importance.limit import GroupSums, LimitRow, group_sums, limit_row, with_limits, without_sampling
from ..roi_importance.matrix import ImportanceMatrix, Regions, RegionSums, importance_matrix


@dataclass
class Rows:
    """Sums over regions, gathered while a method runs.

    Attributes:
        regions: the columns.
        groups: per label the maps of its groups of samples, for the limit of the importance and the errors.
        final: per label the sums of its final map.
        noise: per label what is kept of its samples, for regions that are added later.
        samples: per label those taken.
        errors: per label its largest error then, in percentage points.
    """

    regions: Regions
    groups: dict[str, GroupMaps] = field(default_factory=dict)
    final: dict[str, RegionSums] = field(default_factory=dict)
    noise: dict[str, KeptNoise] = field(default_factory=dict)
    samples: dict[str, int] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    _next: dict[str, int] = field(default_factory=dict)
    _limits: dict[str, LimitRow] = field(default_factory=dict)

    def add_group(self, estimate: Estimate, method: Method) -> None:
        """Take in a group of samples.

        Raises:
            FloatingPointError: its maps are not finite.
        """
        for name in estimate.names:
            values = estimate.group_mean(name)
            if not np.isfinite(values).all():
                raise FloatingPointError(f"the gradient of '{name}' is not finite")
            self.samples[name] = estimate.samples
            if method.spread_is_error:
                self.groups.setdefault(name, GroupMaps()).add(values, estimate.group_samples)

    def needed(self, estimate: Estimate, tolerance: float) -> dict[str, float]:
        """Samples that labels are expected to need for an error of their limits below so many percentage points.

        Only now and then is there something to tell, since every look costs a little, and a look too many would stop at an error
        that is small by luck.
        """
        told = {}
        for name in estimate.names:
            if estimate.samples < self._next.get(name, FIRST_SAMPLES):
                continue
            row = self.limit(name)
            error = 100 * float(row.error.max()) if row is not None else np.nan
            self.errors[name] = error
            factor = max((error / tolerance) ** 2, 1.0) if np.isfinite(error) else 4.0
            done = np.isfinite(error) and error <= tolerance
            told[name] = estimate.samples * factor + (0 if done else 1)
            self._next[name] = math.ceil(1.25 * estimate.samples)
        return told

    def restart(self) -> None:
        """Forget the groups: a run begins again in another precision."""
        for kept in (self.groups, self.samples, self.errors, self._next):
            kept.clear()

    def finish(self, name: str, attribution: np.ndarray, method: Method) -> RegionSums:
        """Take in a label's final map ``[x, y, z]``, unless it is zero everywhere, and let go of its groups.

        Returns:
            Its sums over the regions.
        """
        sums = self.regions.sums(attribution)
        kept = self.groups.pop(name, None)
        if sums.total == 0:
            return sums
        self.final[name] = sums
        if kept is not None and (found := self._sums(kept)) is not None:
            self._limits[name] = limit_row(found[1], len(self.regions.names), sums.mass)
            if method.tells_limit:
                self.noise[name] = KeptNoise.of(found[0], kept.samples, attribution, self.regions, found[1])
        return sums

    def limit(self, name: str) -> LimitRow | None:
        """What an unfinished label's row would be for endless samples; None before there are two groups."""
        kept = self.groups.get(name)
        found = self._sums(kept) if kept is not None else None
        return limit_row(found[1], len(self.regions.names)) if found is not None else None

    def _sums(self, kept: GroupMaps) -> tuple[list[np.ndarray], GroupSums] | None:
        """The maps of the groups and their sums, where there are two or more."""
        if len(kept.samples) < 2:
            return None
        maps = [kept.map(number) for number in range(len(kept.samples))]
        return maps, group_sums(self.regions, maps, kept.samples)

    def matrix(self, method: Method) -> ImportanceMatrix:
        """The matrix of the final maps."""
        if not method.random:
            nothing = np.zeros(len(self.regions.columns))
            return without_sampling(importance_matrix(self.regions, self.final, dict.fromkeys(self.final, nothing)))
        errors = {name: row.standard_error for name, row in self._limits.items()}
        matrix = importance_matrix(self.regions, self.final, errors)
        return with_limits(matrix, self._limits) if method.tells_limit else matrix
