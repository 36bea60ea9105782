"""What is put in a region's place, against numbers that are known."""

import numpy as np
import pytest

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.interventions.edit import Edit
from Agg2ExpLib.interventions.fills import AIR_HU, SOFT_TISSUE_HU, fill

SPACING = (1.0, 2.0, 3.0)


def ball(shape=(24, 20, 16), radius=6.0):
    place = np.stack(np.meshgrid(*(np.arange(n) * size for n, size in zip(shape, SPACING, strict=True)), indexing="ij"))
    middle = np.array([(n - 1) * size / 2 for n, size in zip(shape, SPACING, strict=True)])
    return np.linalg.norm(place - middle[:, None, None, None], axis=0) < radius


def test_surroundings_continue_a_harmonic_image_exactly():
    """x·y + 3z - 7 solves Laplace's equation on any grid of boxes, so a hole in it is filled with what was there."""
    x, y, z = np.meshgrid(*(np.arange(n) * size for n, size in zip((24, 20, 16), SPACING, strict=True)), indexing="ij")
    hu = (x * y + 3 * z - 7).astype(np.float32)
    mask = ball()
    holed = np.where(mask, 3000.0, hu).astype(np.float32)
    filled = fill(holed, mask, "surroundings", SPACING)
    np.testing.assert_array_equal(filled[~mask], hu[~mask])
    np.testing.assert_allclose(filled[mask], hu[mask], atol=0.5)


def test_surroundings_equal_a_direct_solution_also_at_the_border():
    rng = np.random.default_rng(0)
    hu = rng.normal(0, 100, (5, 6, 4)).astype(np.float32)
    mask = np.zeros(hu.shape, bool)
    mask[:3, 2:5, 1:] = True
    numbers = {tuple(index): row for row, index in enumerate(np.argwhere(mask))}
    matrix, right = np.zeros((len(numbers), len(numbers))), np.zeros(len(numbers))
    for index, row in numbers.items():
        for axis, size in enumerate(SPACING):
            for step in (-1, 1):
                other = list(index)
                other[axis] += step
                if not 0 <= other[axis] < hu.shape[axis]:
                    continue
                matrix[row, row] += 1 / size**2
                if tuple(other) in numbers:
                    matrix[row, numbers[tuple(other)]] -= 1 / size**2
                else:
                    right[row] += hu[tuple(other)] / size**2
    expected = np.linalg.solve(matrix, right)
    np.testing.assert_allclose(fill(hu, mask, "surroundings", SPACING)[mask], expected, atol=0.05)


def test_other_fills():
    hu = np.full((24, 20, 16), 100.0, np.float32)
    mask = ball()
    hu[mask] = 900
    assert (fill(hu, mask, "air", SPACING)[mask] == AIR_HU).all()
    assert (fill(hu, mask, "soft_tissue", SPACING)[mask] == SOFT_TISSUE_HU).all()
    np.testing.assert_allclose(fill(hu, mask, "mean", SPACING)[mask], 100)
    blurred = fill(hu, mask, "blurred", SPACING)
    assert 100 < blurred[mask].min() <= blurred[mask].max() < 900
    for kind in ("surroundings", "air", "soft_tissue", "mean", "blurred"):
        np.testing.assert_array_equal(fill(hu, mask, kind, SPACING)[~mask], hu[~mask])
    assert hu[mask].min() == 900, "the CT itself was changed"


def test_regions_without_surroundings():
    hu = np.zeros((4, 4, 4), np.float32)
    everything = np.ones(hu.shape, bool)
    for kind in ("surroundings", "mean"):
        with pytest.raises(InputError, match="covers the whole image"):
            fill(hu, everything, kind, SPACING)
    assert (fill(hu, everything, "air", SPACING) == AIR_HU).all()


def test_edits():
    hu, mask = np.zeros((24, 20, 16), np.float32), ball()
    changed, where = Edit("shift", ("a",), amount=-100).apply(hu, mask, SPACING)
    assert (changed[mask] == -100).all()
    assert not changed[~mask].any()
    assert (where == mask).all()
    noisy, _ = Edit("noise", ("a",), amount=50, seed=3).apply(hu, mask, SPACING)
    assert not noisy[~mask].any()
    assert noisy[mask].std() == pytest.approx(50, rel=0.1)
    np.testing.assert_array_equal(noisy, Edit("noise", ("a",), amount=50, seed=3).apply(hu, mask, SPACING)[0])
    kept, where = Edit("keep", ("a",), "air").apply(hu, mask, SPACING)
    assert (kept[~mask] == AIR_HU).all()
    assert not kept[mask].any()
    assert (where == ~mask).all()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (("erase", ("a",)), "Unknown change"),
        (("remove", ()), "at least one region"),
        (("remove", ("a",), "paint"), "Unknown fill"),
        (("noise", ("a",)), "above 0 HU"),
        (("shift", ("a",)), "changes nothing"),
        (("shift", ("a",), "air", float("nan")), "number of HU"),
        (("noise", ("a",), "air", 5.0, -1), "negative"),
    ],
)
def test_edits_that_make_no_sense(values, words):
    with pytest.raises(InputError, match=words):
        Edit(*values)


def test_empty_and_full_regions():
    hu = np.zeros((4, 4, 4), np.float32)
    with pytest.raises(InputError, match="no voxel"):
        Edit("remove", ("a",)).apply(hu, np.zeros(hu.shape, bool), SPACING)
    with pytest.raises(InputError, match="changes nothing"):
        Edit("keep", ("a",), "air").apply(hu, np.ones(hu.shape, bool), SPACING)
