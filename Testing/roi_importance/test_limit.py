"""The limit of the importance against fields whose answer is known, and its error against how far off it is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from Agg2ExpLib.roi_importance.groups import GroupMaps
from Agg2ExpLib.roi_importance.limit import group_sums, jackknife, limit_row, student
from Agg2ExpLib.roi_importance.matrix import Regions

NAMES = ("background", "a", "b", "c")
SHAPE = (24, 20, 22)
OWN = len(NAMES)


def make_regions(seed=0, shape=SHAPE, extra=()):
    rng = np.random.default_rng(seed)
    return Regions(rng.choice(OWN, shape, p=(0.7, 0.15, 0.1, 0.05)).astype(np.uint8), NAMES, extra)


def noisy_field(regions, groups, noise, seed, scale=(0.3, 1.0, 3.0, 2.0)):
    """A normal field of known scale in each region, and maps of it with noise as strong everywhere: the truth and the groups."""
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal(regions.segmentation.shape) * np.take(scale, regions.segmentation)
    return truth, [truth + noise * groups**0.5 * rng.standard_normal(truth.shape) for _ in range(groups)]


def row_of(regions, maps, samples=None):
    mass = regions.sums(np.average(maps, axis=0, weights=samples)).mass
    return limit_row(group_sums(regions, maps, samples or [2] * len(maps)), OWN, mass), mass


@pytest.mark.parametrize("noise", [0.3, 1.0, 2.0])
def test_known_expectation_of_a_normal_field(noise):
    """E|g| of a normal g is √(2/π) ω: the limit finds it through noise that puts equation 7 far off."""
    regions = make_regions(shape=(64, 60, 62))
    scale = np.array((0.3, 1.0, 3.0, 2.0))
    exact = scale * np.bincount(regions.segmentation.ravel())
    exact /= exact.sum()
    _, maps = noisy_field(regions, 8, noise, seed=3)
    row, mass = row_of(regions, maps)
    folded = np.sqrt(scale**2 + noise**2) * np.bincount(regions.segmentation.ravel())
    np.testing.assert_allclose(mass, folded / folded.sum(), atol=0.005)  # the bias is what theory says
    assert np.abs(row.limit - exact).max() < 0.2 * np.abs(mass - exact).max() + 0.002
    assert (np.abs(row.limit - exact) < 3 * row.error).all()


@pytest.mark.parametrize("groups", [2, 3, 5, 8])
def test_interval_covers_the_limit(groups):
    covered, plain = [], []
    regions = make_regions(shape=(12, 12, 14))
    for seed in range(60):
        truth, maps = noisy_field(regions, groups, 0.8, seed)
        exact = regions.sums(truth).mass
        row, mass = row_of(regions, maps)
        covered.append(np.abs(row.limit - exact) <= 1.96 * row.error)
        plain.append(np.abs(mass - exact) <= 1.96 * row.standard_error)
    assert 0.9 <= np.mean(covered) <= 0.995
    assert np.mean(plain) < 0.5


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(2, 8), st.floats(0.05, 4), st.sampled_from((1e-6, 1.0, 1e7)))
def test_a_row_is_a_share(seed, groups, noise, unit):
    """Whatever the maps: shares, in any unit, in any order of groups, that come apart by sign."""
    lesion = np.random.default_rng(seed).random((9, 7, 10)) > 0.7
    regions = make_regions(seed, (9, 7, 10), [("lesion", lesion), ("all", np.ones((9, 7, 10), bool))])
    _, maps = noisy_field(regions, groups, noise, seed)
    row, _ = row_of(regions, [unit * values for values in maps])
    if np.isnan(row.limit).any():
        assert np.isnan(row.limit).all()
        return
    assert row.limit[:OWN].sum() == pytest.approx(1, abs=1e-9)
    for part in (row.limit, row.positive, row.negative, row.error, row.standard_error):
        assert (part >= -1e-12).all()
    np.testing.assert_allclose(row.positive + row.negative, row.limit, atol=1e-12)
    again, _ = row_of(regions, maps[::-1])
    np.testing.assert_allclose(row.limit, again.limit, rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(row.error, again.error, rtol=2e-2, atol=1e-6)


def test_extra_region_is_worth_what_a_label_of_the_same_voxels_is():
    plain = make_regions()
    regions = Regions(plain.segmentation, NAMES, [("drawn", plain.segmentation == 2), ("none", np.zeros(SHAPE, bool))])
    _, maps = noisy_field(regions, 5, 1.0, seed=1)
    row, _ = row_of(regions, maps)
    for part in (row.limit, row.error, row.positive, row.sums, row.standard_error):
        assert part[OWN] == pytest.approx(part[2], rel=1e-5)
        assert part[OWN + 1] == 0


def test_without_noise_the_limit_is_the_mass():
    regions = make_regions()
    truth, _ = noisy_field(regions, 2, 0, seed=5)
    row, mass = row_of(regions, [truth] * 4)
    np.testing.assert_allclose(row.limit, mass, rtol=1e-5)
    np.testing.assert_allclose(row.sums, regions.sums(truth).positive + regions.sums(truth).negative, rtol=1e-5)
    np.testing.assert_allclose(row.positive * regions.sums(truth).total, regions.sums(truth).positive, rtol=1e-4)
    assert row.error.max() < 1e-6
    assert row.standard_error.max() < 1e-6


def test_maps_of_one_sign_need_no_correction():
    """Means of squares and variances have no bias in their sums, so that nothing may be corrected."""
    regions = make_regions()
    rng = np.random.default_rng(2)
    maps = [rng.exponential(1.0, SHAPE) for _ in range(6)]
    row, mass = row_of(regions, maps)
    np.testing.assert_allclose(row.limit, mass, rtol=1e-5)
    assert (row.error > 0).all()
    np.testing.assert_allclose(row.negative, 0, atol=1e-6)


def test_nothing_but_noise_has_a_wide_error_or_no_limit():
    regions = make_regions()
    for seed in range(10):
        _, maps = noisy_field(regions, 4, 1.0, seed, scale=(0, 0, 0, 0))
        row, _ = row_of(regions, maps)
        assert np.isnan(row.limit).all() or row.error.max() > 0.03


def test_groups_of_unequal_size():
    """The last group of a run may be smaller; the truth stays within the interval, and the mean is that of all samples."""
    regions = make_regions()
    rng = np.random.default_rng(80)
    truth, _ = noisy_field(regions, 2, 0, seed=8)
    samples = [4, 4, 4, 4, 2]
    maps = [truth + 4 / count**0.5 * rng.standard_normal(SHAPE) for count in samples]
    row, mass = row_of(regions, maps, samples)
    exact = regions.sums(truth).mass
    assert np.abs(row.limit - exact).max() < 0.25 * np.abs(mass - exact).max()
    assert (np.abs(row.limit - exact) < 3 * row.error).all()


def test_one_group_has_no_limit():
    with pytest.raises(ValueError, match="two groups"):
        group_sums(make_regions(), [np.ones(SHAPE)], [4])


@given(st.integers(2, 9), st.integers(0, 1000))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_jackknife_of_a_mean_is_the_textbook_error(groups, seed):
    values = np.random.default_rng(seed).standard_normal((groups, 3))
    without = (values.sum(axis=0) - values) / (groups - 1)
    expected = values.std(axis=0, ddof=1) / groups**0.5
    weights = np.full(groups, 1 / groups)
    np.testing.assert_allclose(jackknife(without, weights), expected, atol=1e-12)
    np.testing.assert_allclose(jackknife(without, weights, values.mean(axis=0)), expected, atol=1e-12)


def test_jackknife_of_unequal_groups_estimates_the_error_of_the_weighted_mean():
    rng = np.random.default_rng(4)
    sizes = np.array([4, 4, 4, 4, 2, 1])
    weights = sizes / sizes.sum()
    values = rng.standard_normal((4000, 6)) / sizes**0.5
    whole = values @ weights
    without = (whole[:, None] - values * weights) / (1 - weights)
    found = jackknife(without.T, weights, whole)
    assert np.sqrt((found**2).mean()) == pytest.approx(whole.std(), rel=0.05)


def test_student_is_wide_for_few_groups():
    assert student(2) == pytest.approx(12.706 / 1.96, rel=1e-3)
    assert student(8) == pytest.approx(2.3646 / 1.96, rel=1e-3)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 16, 17, 23, 40])
def test_group_maps_keep_few_and_lose_nothing(count):
    rng = np.random.default_rng(count)
    parts = [rng.standard_normal((5, 6, 7)).astype(np.float32) * 1e5 for _ in range(count)]
    kept = GroupMaps(most=8)
    for number, part in enumerate(parts):
        kept.add(part, 2)
        assert len(kept.maps) <= 8
        assert sum(kept.samples) == 2 * (number + 1)
    size = kept.samples[0]
    assert all(samples == size for samples in kept.samples[:-1])
    if count > 8:
        assert len(kept.maps) > 4
    start = 0
    for number, samples in enumerate(kept.samples):
        expected = np.mean(parts[start : start + samples // 2], axis=0)
        np.testing.assert_allclose(kept.map(number), expected, atol=2e-3 * np.abs(expected).max())
        start += samples // 2
