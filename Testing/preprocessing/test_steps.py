"""Steps of a preprocessing: grids as MONAI computes them, settings that make no sense, JSON there and back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Orientation as MonaiOrientation
from monai.transforms import Spacing as MonaiSpacing

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io.grid import Grid
from Agg2ExpLib.io.volume import Volume
from Agg2ExpLib.preprocessing.crop_foreground import CropForeground
from Agg2ExpLib.preprocessing.normalise import Normalise
from Agg2ExpLib.preprocessing.orientation import Orientation
from Agg2ExpLib.preprocessing.preprocessing import STEPS, Preprocessing
from Agg2ExpLib.preprocessing.ras_spacing import RasSpacing
from Agg2ExpLib.preprocessing.scale_extremes import ScaleExtremes
from Agg2ExpLib.preprocessing.scale_percentiles import ScalePercentiles
from Agg2ExpLib.preprocessing.spacing import Spacing
from support.geometry import make_grid

GRIDS = [
    make_grid((9, 12, 7), (0.9, 1.3, 2.7), order, signs, angles, shear=shear)
    for order, signs, angles, shear in (
        ((0, 1, 2), (1, 1, 1), (0, 0, 0), 0),
        ((0, 1, 2), (-1, -1, 1), (7.3, 0, 0), 0),
        ((2, 0, 1), (1, -1, -1), (4.1, -9.7, 21.3), 0),
        ((1, 2, 0), (-1, 1, 1), (-33.7, 7.3, 4.7), 0),
        ((0, 1, 2), (-1, 1, 1), (0, 0, 0), 0.3),
    )
]


def lazily(transform, grid: Grid) -> Grid:
    """The grid that MONAI computes without computing an image."""
    image = MetaTensor(torch.zeros(1, *grid.shape), affine=torch.from_numpy(grid.affine))
    made = transform(image, lazy=True)
    return Grid(tuple(int(side) for side in made.peek_pending_shape()), made.peek_pending_affine().numpy())


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("grid", GRIDS)
def test_grids_are_those_of_monai(grid, rounded):
    """Files keep affines in single precision: their rounding decides at which corner or centre MONAI aligns its grid."""
    if rounded:
        grid = Grid(grid.shape, grid.affine.astype(np.float32).astype(np.float64))
    for spacing, more in itertools.product([(1.5, 1.1, 1.9), (0.9, 2.0, 0.0)], [{}, {"diagonal": True}]):
        theirs = lazily(MonaiSpacing(spacing, **more), grid)
        ours = Spacing(spacing, **more).grid(grid)
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours.affine, theirs.affine, rtol=0, atol=1e-9)
        np.testing.assert_array_equal(Spacing(spacing, **more).apply(Volume(np.zeros(grid.shape), grid.affine)).affine, ours.affine)
    for codes in ("RAS", "LPI", "SAR", "PIL"):
        theirs, ours = lazily(MonaiOrientation(codes), grid), Orientation(codes).grid(grid)
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours.affine, theirs.affine, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"step": "orientation", "axcodes": "RAL"}, "'axcodes'"),
        ({"step": "orientation", "axcodes": 3}, "'axcodes'"),
        ({"step": "spacing", "spacing": [1, 1]}, "'spacing'"),
        ({"step": "spacing", "spacing": [1, 1, 0.01]}, "0.05 to 50"),
        ({"step": "spacing", "spacing": [1, 1, 1], "mode": "cubic"}, "'mode'"),
        ({"step": "spacing", "spacing": [1, 1, 1], "mode": True}, "'mode'"),
        ({"step": "spacing", "spacing": [1, 1, 1], "padding_mode": "other"}, "'padding_mode'"),
        ({"step": "spacing", "spacing": [1, 1, 1], "least": [1, 1, "x"]}, "'least'"),
        ({"step": "crop_foreground", "margin": [1, 1.5, 1]}, "'margin'"),
        ({"step": "crop_foreground", "k_divisible": [0, 1, 1]}, "'k_divisible'"),
        ({"step": "crop_foreground", "allow_smaller": 1}, "'allow_smaller'"),
        ({"step": "scale_range", "a_min": 1, "a_max": 1}, "must differ"),
        ({"step": "scale_range", "a_min": 1}, "wrong settings"),
        ({"step": "scale_range", "a_min": 1, "a_max": 2, "clip": "yes"}, "'clip'"),
        ({"step": "scale_extremes", "minv": "low"}, "'minv'"),
        ({"step": "scale_percentiles", "lower": 50, "upper": 20, "b_min": 0, "b_max": 1}, "percentiles that rise"),
        ({"step": "clip_percentiles", "upper": 120}, "percentiles that rise"),
        ({"step": "clip", "low": 0, "high": float("nan")}, "'high'"),
        ({"step": "normalise", "divisor": [1]}, "'divisor'"),
        ({"step": "normalise", "nonzero": 1}, "'nonzero'"),
        ({"step": "threshold", "threshold": None}, "'threshold'"),
        ({"step": "squash", "curve": "relu"}, "'curve'"),
    ],
)
def test_settings_that_make_no_sense(settings, said):
    with pytest.raises(InputError, match=said) as refused:
        Preprocessing.from_json([settings], "card.json")
    assert "card.json" in str(refused.value)


def test_every_step_tells_itself():
    made = {
        "ras_spacing": {"spacing": [1, 1, 1]}, "hu_window": {"hu_window": [0, 1]}, "spacing": {"spacing": [1, 0, 1], "mode": 3},
        "scale_range": {"a_min": -1, "a_max": 1}, "clip": {"low": 0, "high": 1}, "threshold": {"threshold": 3},
        "scale_percentiles": {"lower": 1, "upper": 99, "b_min": 0, "b_max": 1},
    }  # fmt: skip
    steps = []
    for name in STEPS:
        try:
            steps.append({"step": name, **made.get(name, {})})
            (step,) = Preprocessing.from_json(steps[-1:], "a card").steps
        except InputError:
            continue  # steps of other formats are tested with those
        assert Preprocessing.from_json([step.to_json()], "a card").steps == (step,)
        assert step.words()
    assert len(steps) >= 13


def test_images_of_one_value():
    flat = np.full((3, 3, 3), 5.0, dtype=np.float32)
    np.testing.assert_array_equal(ScaleExtremes(-1, 1).apply(flat), -flat)  # as MONAI's rescale_array
    np.testing.assert_array_equal(Normalise().apply(flat), 0 * flat)
    np.testing.assert_array_equal(Normalise(nonzero=True).apply(0 * flat), 0 * flat)
    with pytest.raises(InputError, match="same value"):
        ScalePercentiles(1, 99, 0, 1).fitted(flat)
    with pytest.raises(InputError, match="no voxel above 0"):
        CropForeground().apply(Volume(-flat, np.eye(4), "chest"))


def test_a_grid_too_fine_for_the_memory_is_refused_before_it_is_filled() -> None:
    ct = Volume(np.zeros((40, 40, 40), np.float32), np.diag([10.0, 10, 10, 1]), "small")
    fine = Preprocessing((RasSpacing((0.05, 0.05, 0.05)),))
    with pytest.raises(InputError, match=r"grid of 7801x7801x7801 voxels \(0\.05.* mm\) needs .* GB of memory .*coarser voxels"):
        fine.prepare(ct)
