"""Tests between groups of patients, and their correction for testing many labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MIN_GROUP = 2


@dataclass(frozen=True)
class Test:
    """One test.

    Attributes:
        subject: what was tested, e.g. a label or a column.
        name: of the test.
        n: patients.
        statistic: of the test: U, ρ, H, χ² or the odds ratio.
        p: two-sided; NaN where undefined.
        detail: group sizes and medians in words.
        p_adjusted: after Benjamini–Hochberg over the tests made together.
    """

    subject: str
    name: str
    n: int
    statistic: float
    p: float
    detail: str = ""
    p_adjusted: float = float("nan")


def adjusted(tests: Sequence[Test]) -> list[Test]:
    """The tests with Benjamini–Hochberg's correction over those that are defined."""
    from dataclasses import replace

    from scipy.stats import false_discovery_control

    p = np.array([test.p for test in tests], dtype=np.float64)
    defined = np.isfinite(p)
    corrected = np.full(len(p), np.nan)
    if defined.any():
        corrected[defined] = false_discovery_control(p[defined])
    return [replace(test, p_adjusted=float(value)) for test, value in zip(tests, corrected, strict=True)]


def compare_two(subject: str, one: np.ndarray, other: np.ndarray, names: tuple[str, str]) -> Test:
    """Mann–Whitney U of two groups of values (NaN left out); undefined for a group of fewer than two."""
    from scipy.stats import mannwhitneyu

    one, other = one[np.isfinite(one)], other[np.isfinite(other)]
    detail = "; ".join(
        f"{name}: {len(values)}, median {np.median(values):.4g}" if len(values) else f"{name}: 0"
        for name, values in zip(names, (one, other), strict=True)
    )
    count = len(one) + len(other)
    if min(len(one), len(other)) < MIN_GROUP:
        return Test(subject, "Mann-Whitney U", count, float("nan"), float("nan"), detail)
    result = mannwhitneyu(one, other)
    return Test(subject, "Mann-Whitney U", count, float(result.statistic), float(result.pvalue), detail)


def rank_correlation(subject: str, one: np.ndarray, other: np.ndarray) -> Test:
    """Spearman's rank correlation of pairs of values; undefined for fewer than three pairs or a constant side."""
    from scipy.stats import spearmanr

    both = np.isfinite(one) & np.isfinite(other)
    one, other = one[both], other[both]
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        why = "fewer than three patients" if len(one) < 3 else "all values are equal"
        return Test(subject, "Spearman", len(one), float("nan"), float("nan"), f"undefined: {why}")
    result = spearmanr(one, other)
    return Test(subject, "Spearman", len(one), float(result.statistic), float(result.pvalue))
