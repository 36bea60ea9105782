"""Resizing gives what scikit-image gives, however voxels and sizes lie."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import resize

from Agg2ExpLib.preprocessing.splines import resized

SIZES = st.tuples(*(st.integers(1, 13) for _ in range(3)))


@settings(max_examples=60, deadline=None)
@given(SIZES, SIZES, st.sampled_from((0, 1, 3)), st.integers(0, 999))
def test_as_scikit_image(before, after, order, seed):
    array = np.random.default_rng(seed).normal(size=before).astype(np.float32)
    expected = resize(array.astype(float), after, order, mode="edge", anti_aliasing=False) if before != after else array
    np.testing.assert_allclose(resized(array, after, order), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_apart_are_clipped_to_their_own_values(axis):
    array = np.random.default_rng(axis).normal(size=(6, 7, 8)).astype(np.float32)
    shape = tuple(6 + axis if each == axis else 11 for each in range(3))
    found = np.moveaxis(resized(array, shape, 3, apart=axis), axis, 0)
    for ours, own in zip(found, np.moveaxis(array, axis, 0), strict=True):
        np.testing.assert_allclose(
            ours, resize(own.astype(float), (11, 11), 3, mode="edge", anti_aliasing=False), rtol=0, atol=1e-6
        )


def test_nothing_but_the_known_orders():
    with pytest.raises(ValueError, match="order 2"):
        resized(np.zeros((2, 2, 2)), (3, 3, 3), 2)
