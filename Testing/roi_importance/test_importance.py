"""The matrix against its definition, and its error against the spread over seeds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from Agg2ExpLib.roi_importance.limit import group_sums, limit_row
from Agg2ExpLib.roi_importance.matrix import Regions, importance_matrix
from Agg2ExpLib.roi_importance.tables import TIDY_COLUMNS, read_tidy, write_tidy, write_wide

NAMES = ("background", "a", "b", "c")


def make(seed=0, shape=(19, 7, 9), empty=()):
    rng = np.random.default_rng(seed)
    segmentation = rng.integers(0, len(NAMES), shape).astype(np.uint8)
    for value in empty:
        segmentation[segmentation == value] = 0
    maps = {name: rng.standard_normal(shape).astype(np.float32) * 10**index for index, name in enumerate(("a", "c"))}
    lesion = rng.random(shape) > 0.9
    return segmentation, maps, lesion


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.tuples(*[st.integers(1, 40)] * 3))
def test_matches_the_definition(seed, shape):
    segmentation, maps, lesion = make(seed, shape)
    regions = Regions(segmentation, NAMES, [("lesion", lesion)])
    matrix = importance_matrix(regions, {name: regions.sums(values) for name, values in maps.items()})
    assert matrix.rows == ("a", "c")
    assert matrix.columns == (*NAMES, "lesion")
    for i, row in enumerate(matrix.rows):
        e = maps[row].astype(np.float64)
        for j, mask in enumerate([*(segmentation == value for value in range(4)), lesion]):
            total = np.abs(e).sum()
            assert matrix.mass[i, j] == pytest.approx(np.abs(e[mask]).sum() / total, abs=1e-12)
            assert matrix.positive_mass[i, j] == pytest.approx(e[mask & (e > 0)].sum() / total, abs=1e-12)
            assert matrix.negative_mass[i, j] == pytest.approx(-e[mask & (e < 0)].sum() / total, abs=1e-12)
            assert matrix.roi_voxels[j] == mask.sum()
            if mask.any():
                assert matrix.mean[i, j] == pytest.approx(np.abs(e[mask]).mean(), rel=1e-9)
                assert matrix.enrichment[i, j] == pytest.approx(matrix.mass[i, j] / mask.mean(), rel=1e-9)
            else:
                assert np.isnan(matrix.mean[i, j])
                assert np.isnan(matrix.enrichment[i, j])
    np.testing.assert_allclose(matrix.mass[:, :4].sum(axis=1), 1)
    for variant in ("positive", "negative"):
        part = matrix.variant(variant)[:, :4].sum(axis=1)
        assert ((np.abs(part - 1) < 1e-9) | np.isnan(part)).all()


def test_chance_gives_an_enrichment_of_one():
    segmentation, _, _ = make()
    regions = Regions(segmentation, NAMES)
    matrix = importance_matrix(regions, {"a": regions.sums(np.full(segmentation.shape, -3.0))})
    np.testing.assert_allclose(matrix.enrichment, 1)
    np.testing.assert_allclose(matrix.positive_mass, 0, atol=1e-12)
    assert np.isnan(matrix.variant("positive")).all()


def test_strongest_leaves_the_background_out():
    segmentation = np.array([0, 0, 1, 2, 3], dtype=np.uint8).reshape(5, 1, 1)
    regions = Regions(segmentation, NAMES)
    matrix = importance_matrix(regions, {"a": regions.sums(np.array([9, 9, 1, 3, -2.0]).reshape(5, 1, 1))})
    assert [name for name, _ in matrix.strongest("a")] == ["b", "c", "a"]
    assert matrix.strongest("a", 1, background=True)[0] == ("background", 0.75)


def test_error_agrees_with_the_spread_over_seeds():
    """Rows from 20 noisy samples in 5 groups: the mean reported error is near the true spread of the row."""
    segmentation, _, _ = make(shape=(16, 12, 10))
    regions = Regions(segmentation, NAMES)
    signal = np.linspace(-1, 2, segmentation.size).reshape(segmentation.shape) * (1 + segmentation)
    rows, limits, errors = [], [], []
    for seed in range(60):
        noise = np.random.default_rng(seed).standard_normal((5, 4, *segmentation.shape))
        groups = signal + 1.5 * noise.mean(axis=1)
        mass = regions.sums(groups.mean(axis=0)).mass
        row = limit_row(group_sums(regions, list(groups), [4] * 5), len(NAMES), mass)
        rows.append(mass)
        limits.append(row.limit)
        errors.append(row.standard_error)
    truth, told = np.std(rows, axis=0, ddof=1), np.sqrt(np.mean(np.square(errors), axis=0))
    np.testing.assert_allclose(told, truth, rtol=0.25)
    exact = regions.sums(signal).mass
    assert np.abs(np.mean(limits, axis=0) - exact).max() < 0.3 * np.abs(np.mean(rows, axis=0) - exact).max()


def test_csv_round_trip(tmp_path):
    segmentation, maps, lesion = make(empty=(2,))
    regions = Regions(segmentation, NAMES, [("lesion, left", lesion)])
    errors = {"a": np.full(5, 0.01), "c": np.array([0.1, np.nan, 0.2, 0.3, 0.4])}
    matrix = importance_matrix(regions, {name: regions.sums(values) for name, values in maps.items()}, errors)
    write_tidy(tmp_path / "tidy.csv", matrix, "p 1")
    patient, again = read_tidy(tmp_path / "tidy.csv", NAMES)
    assert patient == "p 1"
    assert (again.rows, again.columns, again.extra) == (matrix.rows, matrix.columns, ("lesion, left",))
    for name in TIDY_COLUMNS[3:]:
        np.testing.assert_array_equal(getattr(again, name), getattr(matrix, name))


def test_wide_layout_is_the_papers(tmp_path):
    segmentation, maps, _ = make()
    regions = Regions(segmentation, NAMES)
    matrix = importance_matrix(regions, {"a": regions.sums(maps["a"])})
    write_wide(tmp_path / "wide.csv", matrix, "s1")
    header, values = (line.split(",") for line in (tmp_path / "wide.csv").read_text().splitlines())
    assert header[:5] == [
        "patient",
        "a_explanation_in_background_mass",
        "a_explanation_in_background_mean",
        "a_explanation_in_a_mass",
        "a_explanation_in_a_mean",
    ]
    assert float(values[header.index("a_explanation_in_b_mass")]) == matrix.mass[0, 2]
    assert float(values[header.index("a_explanation_in_b_mean")]) == matrix.mean[0, 2]


def test_measures_of_one_sign_by_their_definition():
    segmentation, maps, lesion = make(3)
    regions = Regions(segmentation, NAMES, [("lesion", lesion)])
    matrix = importance_matrix(regions, {name: regions.sums(values) for name, values in maps.items()})
    masks = [*(segmentation == value for value in range(4)), lesion]
    for i, row in enumerate(matrix.rows):
        signed = maps[row].astype(np.float64)
        parts = {"absolute": np.abs(signed), "positive": signed.clip(min=0), "negative": (-signed).clip(min=0)}
        for sign, part in parts.items():
            for j, mask in enumerate(masks):
                share = part[mask].sum() / part.sum()
                assert matrix.measured(sign, "mass")[i, j] == pytest.approx(share, rel=1e-9)
                assert matrix.measured(sign, "mean")[i, j] == pytest.approx(part[mask].mean(), rel=1e-9)
                assert matrix.measured(sign, "enrichment")[i, j] == pytest.approx(share / mask.mean(), rel=1e-9)
    for sign, measure in (("both", "mass"), ("positive", "median")):
        with pytest.raises(ValueError, match="no measure"):
            matrix.measured(sign, measure)
