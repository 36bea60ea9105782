"""Hot spots of maps whose spots are known."""

import numpy as np
import pytest

from Agg2ExpLib.roi_importance.hot_spots import hot_spots

NAMES = ("background", "a", "b")
AFFINE = np.array([[0, -2.0, 0, 10], [2.0, 0, 0, 20], [0, 0, 3.0, -5], [0, 0, 0, 1]])


def make():
    attribution, segmentation = np.zeros((30, 30, 30), np.float32), np.zeros((30, 30, 30), np.uint8)
    segmentation[:15], segmentation[20:] = 1, 2
    attribution[4:7, 4:7, 4:7] = 2.0  # 27 voxels in a
    attribution[22:24, 22:24, 22:24] = -3.0  # 8 in b
    attribution[13:17, 24:26, 24:26] = 1.0  # 8 in a, 8 in the background: one block, two regions
    return attribution, segmentation


def test_spots_are_told_apart_by_place_and_region():
    attribution, segmentation = make()
    attribution[5, 5, 5] = 4.0
    attribution[4, 4, 4] = -1.0
    found = hot_spots(attribution, segmentation, NAMES, AFFINE, strongest=0.01, smooth_mm=0)
    total = float(np.abs(attribution).sum())
    assert [spot.region for spot in found] == ["a", "b", "background", "a"] or [spot.region for spot in found] == [
        "a",
        "b",
        "a",
        "background",
    ]
    first, second = found[:2]
    assert first.voxel == (5, 5, 5)
    np.testing.assert_allclose(first.place, (AFFINE @ [5, 5, 5, 1])[:3])
    assert first.share == pytest.approx((25 * 2 + 4 + 1) / total)
    assert first.net == pytest.approx((25 * 2 + 4 - 1) / (25 * 2 + 4 + 1))
    assert first.volume_ml == pytest.approx(27 * 12 / 1000)
    assert (second.net, second.share) == (pytest.approx(-1), pytest.approx(24 / total))


def test_few_and_none():
    attribution, segmentation = make()
    assert len(hot_spots(attribution, segmentation, NAMES, AFFINE, most=1)) == 1
    assert hot_spots(np.zeros_like(attribution), segmentation, NAMES, AFFINE) == []
    attribution[:] = 0
    attribution[4, 4, 4] = 1e-30
    assert len(hot_spots(attribution, segmentation, NAMES, AFFINE, smooth_mm=0)) == 1
