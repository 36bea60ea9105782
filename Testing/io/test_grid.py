"""The model grid and resampling against MONAI, and a marker that must stay where it is in the patient."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from Agg2ExpLib.io import resample as resample_module
from Agg2ExpLib.io.grid import LATTICE_TOLERANCE, Grid, model_grid
from Agg2ExpLib.io.read import read_ct
from Agg2ExpLib.io.resample import resample
from Agg2ExpLib.io.volume import Volume
from support.geometry import AIR, found_place, grids, make_grid, marker_place, paint, save_nifti

STEPS = st.sampled_from([(1.5, 1.5, 1.5), (1.1, 2.3, 1.7), (3.0, 1.0, 2.0)])
modest = settings(max_examples=40, deadline=None, derandomize=True)


def monai_model_grid(array, affine, spacing):
    """MONAI's own Orientation and Spacing, float64 inside."""
    import torch
    from monai.data import MetaTensor
    from monai.transforms import Orientation, Spacing

    image = MetaTensor(torch.as_tensor(array[None].astype(np.float32)), affine=torch.as_tensor(affine))
    image = Spacing(pixdim=spacing, diagonal=False, mode="bilinear", padding_mode="border")(
        Orientation(axcodes="RAS", labels=None)(image)
    )
    return image[0].numpy(), image.affine.numpy()


@given(grids(), STEPS)
@modest
def test_model_grid_and_linear_resampling_equal_monai(grid, spacing):
    array = paint(grid, marker_place(grid))
    array += np.random.default_rng(0).integers(0, 300, array.shape).astype(np.int16)
    wanted, affine = monai_model_grid(array, grid.affine, spacing)
    ours = model_grid(grid, spacing)
    assert ours.shape == wanted.shape
    np.testing.assert_allclose(ours.affine, affine, atol=1e-6)
    np.testing.assert_allclose(resample(Volume(array, grid.affine), ours), wanted, atol=0.05)


def test_the_whole_way_from_the_file_equals_monai(tmp_path):
    from monai.data import NibabelReader
    from monai.transforms import Compose, EnsureChannelFirst, LoadImage, Orientation, Spacing

    # Numbers that float32 holds exactly: rounding makes MONAI's corner test fail and its grid begin elsewhere.
    grid = make_grid((16, 19, 17), (1.125, 1.75, 2.375), (1, 2, 0), (-1, 1, -1))
    path = save_nifti(tmp_path / "a.nii.gz", paint(grid, marker_place(grid), 4.0), grid.affine)
    reader = LoadImage(image_only=True, reader=NibabelReader())
    space = Spacing((1.5, 1.5, 1.5), mode="bilinear")
    image = Compose([reader, EnsureChannelFirst(), Orientation("RAS", labels=None), space])(path)
    ct = read_ct(path)
    target = model_grid(ct.grid, (1.5, 1.5, 1.5))
    np.testing.assert_allclose(target.affine, image.affine.numpy(), atol=1e-4)
    np.testing.assert_allclose(resample(ct, target), image[0].numpy(), atol=0.5)


@given(grids(), STEPS)
@modest
def test_marker_keeps_its_place_and_axes_run_to_right_anterior_superior(grid, spacing):
    import nibabel

    place = marker_place(grid)
    target = model_grid(grid, spacing)
    assert nibabel.aff2axcodes(target.affine) == ("R", "A", "S")
    np.testing.assert_allclose(target.spacing, spacing, atol=1e-3)
    array = resample(Volume(paint(grid, place), grid.affine), target)
    np.testing.assert_allclose(found_place(array, target.affine), place, atol=0.15)


def test_right_of_the_patient_has_the_higher_first_index():
    grid = make_grid((20, 21, 22), (2, 2, 2), signs=(-1, -1, 1), origin=(19.0, 20.0, 0.0))
    right = np.zeros(grid.shape, np.int16)
    right[2, :, :] = 1000  # LPS storage: low index is the patient's right, x = +15 mm
    target = model_grid(grid, (2, 2, 2))
    moved = resample(Volume(right, grid.affine), target)
    assert np.flatnonzero(moved[:, 5, 5]).tolist() == [17]
    assert target.to_ras([17, 5, 5])[0] == pytest.approx(15.0)


def test_flips_and_permutations_are_bit_exact_and_copy_nothing():
    grid = make_grid((7, 8, 9), (1.5, 1.5, 1.5), order=(2, 0, 1), signs=(-1, 1, -1))
    array = np.random.default_rng(1).integers(-1000, 1000, grid.shape).astype(np.int16)
    target = model_grid(grid, (1.5, 1.5, 1.5))
    moved = resample(Volume(array, grid.affine), target, "nearest")
    assert np.shares_memory(moved, array)
    for index in ((0, 0, 0), (6, 2, 5), (3, 7, 1)):
        there = np.rint(target.to_index(grid.to_ras(index))).astype(int)
        assert moved[tuple(there)] == array[index]
    back = resample(Volume(moved, target.affine), grid, "nearest")
    np.testing.assert_array_equal(back, array)


def test_the_same_grid_passes_values_through():
    grid = make_grid((5, 6, 7), (1, 2, 3), angles=(10, 20, 30))
    array = np.random.default_rng(2).normal(size=grid.shape).astype(np.float32)
    assert resample(Volume(array, grid.affine), grid) is not None
    np.testing.assert_array_equal(resample(Volume(array, grid.affine), Grid(grid.shape, grid.affine + 1e-9)), array)


def test_one_voxel_beside_is_not_passed_through():
    grid = make_grid((5, 6, 7), (1, 1, 1))
    array = np.arange(210, dtype=np.int16).reshape(grid.shape)
    shifted = make_grid((5, 6, 7), (1, 1, 1), origin=(-29.0, 12.0, 55.0))
    moved = resample(Volume(array, grid.affine), shifted, "nearest", outside=-5)
    np.testing.assert_array_equal(moved[:-1], array[1:])
    assert (moved[-1] == -5).all()


@pytest.mark.parametrize("tilt", [0.35, -0.2])
def test_tilted_gantry_gets_an_orthogonal_grid_that_covers_everything(tilt):
    grid = make_grid((20, 24, 22), (1.2, 1.2, 2.0), signs=(-1, -1, 1), shear=tilt)
    place = marker_place(grid)
    target = model_grid(grid, (1.5, 1.5, 1.5))
    axes = target.affine[:3, :3]
    np.testing.assert_allclose(axes.T @ axes, np.eye(3) * 1.5**2, atol=1e-9)
    corners = target.to_index(grid.to_ras(grid.corners()))
    assert (corners >= -0.01).all()
    assert (corners <= np.array(target.shape) - 1 + 0.01).all()
    assert np.ptp(corners, axis=0) == pytest.approx(np.array(target.shape) - 1, abs=1.01)
    array = resample(Volume(paint(grid, place, 2.2), grid.affine), target, outside=AIR)
    np.testing.assert_allclose(found_place(array, target.affine), place, atol=0.15)


def test_outside_value_begins_half_a_voxel_beyond_the_border():
    grid = make_grid((4, 4, 4), (2, 2, 2), origin=(0.0, 0.0, 0.0))
    volume = Volume(np.full(grid.shape, 7, np.uint8), grid.affine)
    fine = make_grid((20, 4, 4), (0.5, 2, 2), origin=(-2.25, 0.0, 0.0))
    line = resample(volume, fine, "nearest", outside=0)[:, 1, 1]
    at = fine.to_ras(np.c_[np.arange(20), np.zeros((20, 2))])[:, 0]
    np.testing.assert_array_equal(line == 7, (at > -1) & (at < 7))
    assert (resample(volume, fine, "nearest")[:, 1, 1] == 7).all()


def test_slabs_join_without_a_seam(monkeypatch):
    grid = make_grid((17, 18, 19), (1.1, 1.3, 0.9), angles=(5, -8, 12))
    volume = Volume(paint(grid, marker_place(grid)), grid.affine)
    target = model_grid(grid, (1.5, 1.5, 1.5))
    whole = resample(volume, target, outside=-5)
    monkeypatch.setattr(resample_module, "SLAB_VOXELS", 400)
    np.testing.assert_allclose(resample(volume, target, outside=-5), whole, atol=1e-3)


@pytest.mark.parametrize("spacing", [(0, 1, 1), (1, -1, 1), (1, float("nan"), 1), (1, 1)])
def test_a_senseless_spacing_is_refused(spacing):
    with pytest.raises(ValueError, match="positive"):
        model_grid(make_grid((4, 4, 4), (1, 1, 1)), spacing)
    with pytest.raises(ValueError, match="linear or nearest"):
        resample(Volume(np.zeros((4, 4, 4)), np.eye(4)), make_grid((4, 4, 4), (1, 1, 1)), "cubic")


def test_axes_at_right_angles_are_told_from_sheared_ones():
    straight = make_grid((9, 8, 7), (0.7, 1.3, 2.5), order=(2, 0, 1), signs=(1, -1, 1), angles=(7, -20, 33))
    assert not straight.sheared
    assert make_grid((9, 8, 7), (0.7, 1.3, 2.5), shear=0.1).sheared


def test_grids_are_the_same_to_a_part_of_a_voxel():
    grid = make_grid((9, 8, 7), (0.7, 1.3, 2.5), angles=(7, -20, 33))

    def moved(voxels):
        affine = grid.affine.copy()
        affine[:3, 3] += voxels * affine[:3, 1]
        return Grid(grid.shape, affine)

    assert grid.same_as(grid)
    assert grid.same_as(moved(0.5 * LATTICE_TOLERANCE))
    assert not grid.same_as(moved(2 * LATTICE_TOLERANCE))
    assert grid.same_as(moved(0.3), tolerance=0.5)
    assert not grid.same_as(Grid((9, 8, 6), grid.affine))
