"""NIfTI headers that contradict themselves: one usable form is used and the other told; numbers that are none are refused."""

import struct

import numpy as np
import pytest

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io.read import read_ct
from support.geometry import make_grid, marker_place, paint, save_nifti

GRID = make_grid((9, 10, 11), (1, 1, 2.0), signs=(1, 1, 1))
CT = paint(GRID, marker_place(GRID), 3.0)


@pytest.fixture
def write(tmp_path):
    import nibabel

    image = nibabel.Nifti1Image(CT, GRID.affine)
    image.set_sform(GRID.affine, 1)
    image.set_qform(GRID.affine, 1)
    nibabel.save(image, tmp_path / "good.nii")

    def make(*edits, insert=b"", cut=0):
        content = bytearray((tmp_path / "good.nii").read_bytes())
        for form, offset, *values in edits:
            struct.pack_into(form, content, offset, *values)
        (tmp_path / "a.nii").write_bytes(bytes(content[:348]) + insert + bytes(content[348 + cut :]))
        return tmp_path / "a.nii"

    return make


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (("<3f", 256, 0.0, 0.0, 1.0002), "differ"),
        (("<3f", 256, 0.0, 0.0, 3.0), "qform in a.nii makes no sense"),
        (("<12f", 280, *[0.0] * 12), "sform in a.nii makes no sense"),
        (("<12f", 280, *[float("nan")] * 12), "sform in a.nii makes no sense"),
        (("<12f", 280, *[1e30] * 12), "sform in a.nii makes no sense"),
    ],
)
def test_one_unusable_form_means_the_other(write, edit, told):
    ct = read_ct(write(edit))
    np.testing.assert_allclose(ct.affine, GRID.affine, atol=1e-4)
    assert any(told in sentence for sentence in ct.warnings)


def test_a_rounded_quaternion_is_a_rotation(write):
    ct = read_ct(write(("<h", 254, 0), ("<3f", 256, 0.0, 0.0, 1.0000005)))
    np.testing.assert_allclose(ct.affine[:3, :3], np.diag([-1, -1, 2]), atol=2e-3)


def test_voxel_sizes_that_contradict_the_form_are_told(write):
    ct = read_ct(write(("<h", 252, 0), ("<12f", 280, 1, 0, 0, -20, 0, 1, 0, -28, 0, 0, 1, -28)))
    assert any("contradict its sform" in sentence for sentence in ct.warnings)


@pytest.mark.parametrize(
    "edit",
    [
        ("<ff", 112, 1.0, float("nan")),
        ("<ff", 112, 1.0, float("inf")),
        ("<ff", 112, float("inf"), 0.0),
        ("<f", 108, 1e30),
        ("<f", 108, float("nan")),
        ("<f", 108, -4.0),
        ("<f", 108, 300.0 + 52000.5),
        ("<h", 72, 32),
        ("<3f", 280, 1e30, 1e30, 1e30),
    ],
)
def test_numbers_that_make_no_sense(write, edit):
    if edit[1] == 280:
        with pytest.raises(InputError):
            read_ct(write(("<h", 252, 0), edit))
        return
    with pytest.raises(InputError, match=r"a\.nii"):
        read_ct(write(edit))


def test_the_length_decides_where_voxels_begin(write):
    for value in (0.0, 348.0):
        np.testing.assert_array_equal(read_ct(write(("<f", 108, value))).array, CT)
        np.testing.assert_array_equal(read_ct(write(("<f", 108, value), cut=4)).array, CT)
    with pytest.raises(InputError, match="vox_offset 0"):
        read_ct(write(("<f", 108, 0.0), insert=b"12"))


def test_lengths_in_metres(tmp_path):
    import nibabel

    for scale, unit in ((1e-3, "meter"), (1.0, "meter"), (1e3, "micron")):
        affine = np.diag([scale, scale, scale, 1]) @ GRID.affine
        image = nibabel.Nifti1Image(CT, affine)
        image.header.set_xyzt_units(unit)
        image.set_sform(affine, 1)
        nibabel.save(image, tmp_path / "a.nii.gz")
        ct = read_ct(tmp_path / "a.nii.gz")
        np.testing.assert_allclose(ct.affine, GRID.affine, rtol=1e-4, atol=1e-3)
        assert any("metres" in sentence for sentence in ct.warnings)
    wide = np.diag([1000.0, 1000, 1000, 1]) @ GRID.affine
    with pytest.raises(InputError, match="which no CT has"):
        read_ct(save_nifti(tmp_path / "b.nii.gz", CT, wide))
