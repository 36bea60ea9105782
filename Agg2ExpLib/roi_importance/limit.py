"""What equation 7 gives for ever more noise samples, told from few: the ``limit`` of the importance and its error.

See docs/method.md#the-limit.

A map ``ē`` that is a mean over noisy samples is the map ``g`` of endless samples plus noise of variance ``v`` in every voxel. Over
a region, with the map split into groups of samples, two sums err to opposite sides by the same amount at first order in ``v``:

- ``upper = Σ |ē₋ⱼ|``, the absolute values of the mean without group j: too large, since the absolute value of noise is not zero;
- ``lower = Σ sign(ē₋ⱼ) · eⱼ``, group j weighed by the signs that the other groups give: too small, since some signs are wrong;

both averaged over j. For a region whose ``g`` is normal with variance ``ω²``, ``upper = √(2/π) √(ω² + v)`` and
``lower = √(2/π) ω² / √(ω² + v)`` per voxel, so that their geometric mean is ``√(2/π) ω``, the limit itself, with any noise. For any
other density of ``g`` that is smooth around 0, the errors of order ``v`` cancel. Of the noise nothing is assumed but that groups
are independent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .matrix import ImportanceMatrix, Regions

_SLAB = 8  # slices of the first axis that are worked on at a time
# Share of half the distance between the two sums that the error of the limit covers beside the spread: chosen on a small window
# (64 × 32 × 32, pairs), where what was left of the bias is below it in about two of three entries; independent copies need more.
BIAS_SHARE = 0.2


@dataclass(frozen=True)
class GroupSums:
    """What one label's groups of samples leave in each region; see the module's head.

    Attributes:
        weights: share of the samples that each group has, ``[groups]``.
        net: ``Σ eⱼ``, signed, ``[groups, columns]``.
        upper: ``Σ |ē₋ⱼ|`` of the mean of all other groups, ``[groups, columns]``.
        lower: ``Σ sign(ē₋ⱼ) · eⱼ``, ``[groups, columns]``.
    """

    weights: np.ndarray
    net: np.ndarray
    upper: np.ndarray
    lower: np.ndarray


@dataclass(frozen=True)
class LimitRow:
    """One label's importance as it would be for endless samples; every array is ``[columns]``.

    Attributes:
        limit: equation 7 of the limit; sums to 1 over the model's own labels; NaN where nothing rises above the noise.
        error: of ``limit``, spread and remaining bias: ``limit ± 1.96 · error`` is a 95 % interval, for few groups too.
        positive: part of ``limit`` that comes from positive attribution.
        negative: part from negative attribution; the two add up to ``limit``.
        sums: ``Σ |g|`` over each region.
        standard_error: of the mass of the map of all samples, spread alone (delete-one-group jackknife).
    """

    limit: np.ndarray
    error: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    sums: np.ndarray
    standard_error: np.ndarray


def group_sums(regions: Regions, groups: Sequence[np.ndarray], samples: Sequence[int]) -> GroupSums:
    """The sums that the limit is made of.

    Args:
        regions: the columns.
        groups: signed map ``[x, y, z]`` of each group's own samples, at least two; any floating type.
        samples: in each group.

    Raises:
        ValueError: fewer than two groups.
    """
    if len(groups) < 2 or len(groups) != len(samples):
        raise ValueError("a limit needs two groups of samples or more")
    weights = np.asarray(samples, dtype=np.float64) / sum(samples)
    found = np.zeros((3, len(groups), len(regions.columns)))
    count = len(regions.names)
    for start in range(0, groups[0].shape[0], _SLAB):
        index = regions.segmentation[start : start + _SLAB].ravel()
        values = [np.asarray(group[start : start + _SLAB], dtype=np.float32).ravel() for group in groups]
        for kind, number, value in _voxel_values(values, weights):
            found[kind, number, :count] += np.bincount(index, value, minlength=count)
    for column, (_, index) in enumerate(regions.extra, start=count):
        values = [np.asarray(group.reshape(-1)[index], dtype=np.float32) for group in groups]
        for kind, number, value in _voxel_values(values, weights):
            found[kind, number, column] = value.sum(dtype=np.float64)
    return GroupSums(weights, *found)


def _voxel_values(values: Sequence[np.ndarray], weights: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    """What is summed over regions: (which of the three sums, group, values ``[voxels]``)."""
    mean = np.zeros_like(values[0])
    for value, weight in zip(values, weights, strict=True):
        mean += np.float32(weight) * value
    for number, (value, weight) in enumerate(zip(values, weights, strict=True)):
        others = mean - np.float32(weight) * value
        yield 0, number, value
        yield 1, number, np.abs(others) / np.float32(1 - weight)
        yield 2, number, np.sign(others) * value


def limit_row(sums: GroupSums, own: int, mass: np.ndarray | None = None) -> LimitRow:
    """The limit of one row with its error.

    Args:
        sums: of the label's groups.
        own: how many of the columns, from the first, are the model's labels.
        mass: equation 7 of the map of all samples, ``[columns]``; without it the jackknife takes the mean of the rows without one
            group in its place.
    """
    weights = sums.weights[:, None]
    upper, lower, net = ((weights * part).sum(axis=0) for part in (sums.upper, sums.lower, sums.net))
    absolute = np.sqrt(upper * np.maximum(lower, 0))
    absolute = np.where(lower > 0, np.maximum(absolute, np.abs(net)), absolute)
    total = absolute[:own].sum()
    rows = sums.upper / sums.upper[:, :own].sum(axis=1, keepdims=True)
    standard_error = jackknife(rows, sums.weights, mass)
    whole = lower[:own].sum()
    if not (total > 0 and whole > 0):
        nothing = np.full(absolute.shape, np.nan)
        return LimitRow(nothing, nothing, nothing, nothing, absolute, standard_error)
    limit = absolute / total
    positive = np.clip((absolute + net) / 2, 0, absolute) / total
    bracket = np.abs(upper / upper[:own].sum() - lower / whole) / 2
    error = np.hypot(student(len(sums.weights)) * _spread(sums, limit, own), BIAS_SHARE * bracket)
    return LimitRow(limit, error, positive, limit - positive, absolute, standard_error)


def _spread(sums: GroupSums, limit: np.ndarray, own: int) -> np.ndarray:
    """Standard deviation of the limit between repetitions, ``[columns]``.

    To first order a group moves the limit by what its map adds to the numerator, with the signs held that the other groups give,
    less the limit's share of what it adds to the denominator. This is the delete-one-group jackknife, linear in what is left out;
    the weights are those of groups of unequal size.
    """
    weights = sums.weights[:, None]
    whole = sums.lower[:, :own].sum(axis=1, keepdims=True)
    moved = (sums.lower - limit * whole) / (weights * whole).sum()
    apart = moved - (weights * moved).sum(axis=0)
    spread: np.ndarray = np.sqrt((weights * apart**2).sum(axis=0) / (len(weights) - 1))
    return spread


def student(groups: int) -> float:
    """What a standard error from so few groups must be multiplied with so that ± 1.96 of it hold 95 %: Student's t ÷ 1.96."""
    from scipy.special import ndtri, stdtrit

    return float(stdtrit(groups - 1, 0.975) / ndtri(0.975))


def jackknife(without: np.ndarray, weights: np.ndarray, whole: np.ndarray | None = None) -> np.ndarray:
    """Standard error of a statistic from its values without one group each (delete-a-group jackknife for unequal groups).

    Source: Busing, Meijer & van der Leeden 1999, doi:10.1023/A:1008800423698; the usual jackknife where groups are equal.

    Args:
        without: the statistic from all groups but one, ``[groups, …]``.
        weights: share of the samples that each group has, ``[groups]``.
        whole: the statistic of all samples, ``[…]``; the mean of ``without`` by default, which serves for equal groups.
    """
    if whole is None:
        whole = without.mean(axis=0)
    inverse = (1 / weights).reshape(-1, *[1] * (without.ndim - 1))
    pseudo = inverse * whole - (inverse - 1) * without
    corrected = len(weights) * whole - ((1 - 1 / inverse) * without).sum(axis=0)
    error: np.ndarray = np.sqrt(((pseudo - corrected) ** 2 / (inverse - 1)).mean(axis=0))
    return error


def without_sampling(matrix: ImportanceMatrix) -> ImportanceMatrix:
    """The matrix of a method that takes no samples: its limits are what it has."""
    return replace(
        matrix,
        limit=matrix.mass,
        limit_error=np.zeros(matrix.mass.shape),
        positive_limit=matrix.positive_mass,
        negative_limit=matrix.negative_mass,
        mean_limit=matrix.mean,
        enrichment_limit=matrix.enrichment,
    )


def with_limits(matrix: ImportanceMatrix, rows: Mapping[str, LimitRow]) -> ImportanceMatrix:
    """The matrix with the limits of these rows; those of the others stay as they are."""
    arrays = {
        name: getattr(matrix, name).copy()
        for name in ("limit", "limit_error", "positive_limit", "negative_limit", "mean_limit", "enrichment_limit")
    }
    voxels = np.where(matrix.roi_voxels > 0, matrix.roi_voxels, np.nan)
    own = [index for index, column in enumerate(matrix.columns) if column not in matrix.extra]
    share = voxels / matrix.roi_voxels[own].sum()
    for name, row in rows.items():
        index = matrix.rows.index(name)
        arrays["limit"][index], arrays["limit_error"][index] = row.limit, row.error
        arrays["positive_limit"][index], arrays["negative_limit"][index] = row.positive, row.negative
        known = np.where(np.isfinite(row.limit), row.sums, np.nan)
        arrays["mean_limit"][index], arrays["enrichment_limit"][index] = known / voxels, row.limit / share
    return replace(matrix, **arrays)
