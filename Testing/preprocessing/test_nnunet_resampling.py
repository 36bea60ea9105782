"""Numbers of voxels are rounded as nnU-Net rounds them, from the spacing in the header, however the scan is turned."""

import nibabel
import numpy as np
import pytest

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io.read import read_ct
from Agg2ExpLib.preprocessing.nnunet_resampling import NnunetResampling
from support.geometry import make_grid, save_nifti

HALVES = ((7, 9, 11), (1.5, 0.7, 0.9)), ((5, 6, 7), (2.5, 1.25, 0.35)), ((9, 5, 3), (0.7, 0.3, 4.5))


@pytest.mark.parametrize("angles", [(0, 0, 0), (11.0, -23.0, 37.0)])
@pytest.mark.parametrize(("shape", "spacing"), HALVES)
def test_halves_fall_as_in_nnunet(tmp_path, shape, spacing, angles):
    grid = make_grid(shape, spacing, angles=angles)
    file = save_nifti(tmp_path / "ct.nii.gz", np.arange(np.prod(shape), dtype=np.int16).reshape(shape), grid.affine)
    wanted = tuple(2 * step for step in spacing)  # every odd size ends on a half
    expected = tuple(
        round(float(old) / new * n) for old, new, n in zip(nibabel.load(file).header.get_zooms(), wanted, shape, strict=True)
    )
    assert NnunetResampling(wanted).grid(read_ct(file).grid).shape == expected


def test_a_scan_thinner_than_a_voxel_is_refused():
    with pytest.raises(InputError, match="thinner than one voxel of the model"):
        NnunetResampling((9.0, 1.0, 1.0)).grid(make_grid((2, 9, 9), (1.0, 1.0, 1.0)))
