"""Dice per label: MONAI's, and its corner cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.metrics import compute_dice
from monai.networks.utils import one_hot

from Agg2ExpLib.roi_importance.dice import dice_per_label


@given(seed=st.integers(0, 2**32 - 1), highest=st.integers(1, 6), shape=st.tuples(*[st.integers(1, 6)] * 3))
def test_equals_monai(seed: int, highest: int, shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(seed)
    prediction, reference = (rng.integers(0, highest + 1, shape).astype(np.uint8) for _ in range(2))
    maps = [one_hot(torch.from_numpy(array).long()[None, None], highest + 1) for array in (prediction, reference)]
    expected = compute_dice(maps[0], maps[1], include_background=True, ignore_empty=True)[0].numpy()
    np.testing.assert_allclose(dice_per_label(prediction, reference, range(highest + 1)), expected, rtol=1e-6)


def test_labels_come_in_the_order_asked_for() -> None:
    reference = np.array([0, 1, 1, 1, 2, 0])
    prediction = np.array([1, 1, 1, 0, 3, 0])
    scores = dice_per_label(prediction, reference, [2, 1, 3, 7])
    assert scores[1] == pytest.approx(2 * 2 / 6)
    assert scores[0] == 0
    assert np.isnan(scores[2:]).all()  # 3 is only predicted, 7 is nowhere


def test_masks_are_maps_of_label_1() -> None:
    reference = np.array([[True, True], [False, False]])
    [score] = dice_per_label(~reference, reference, [1])
    assert score == 0
    [score] = dice_per_label(reference, reference, [1])
    assert score == 1


def test_nothing_to_measure() -> None:
    assert dice_per_label(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8), []).shape == (0,)
    assert np.isnan(dice_per_label(np.zeros(0, np.uint8), np.zeros(0, np.uint8), [1])).all()


def test_what_is_no_label_map_is_refused() -> None:
    whole = np.zeros((2, 2), np.uint8)
    with pytest.raises(ValueError, match="same shape"):
        dice_per_label(whole, whole[0], [1])
    with pytest.raises(ValueError, match="negative"):
        dice_per_label(whole.astype(np.int16) - 1, whole, [1])
    with pytest.raises(TypeError):
        dice_per_label(whole + 0.5, whole, [1])
    with pytest.raises(ValueError, match="negative"):
        dice_per_label(whole, whole, [-1])
