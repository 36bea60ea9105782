"""Images that cannot be read: each is refused in one sentence that says what to do."""

import os

import numpy as np
import pytest

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io import read as read_module
from Agg2ExpLib.io.read import read_ct
from Agg2ExpLib.io.source_files import sha256_of
from support.geometry import SMALL_GRID, marker_place, paint, save_dicom, save_itk, save_nifti
from support.geometry import save_as as save

GRID = SMALL_GRID


@pytest.fixture(scope="module")
def ct():
    """int16 HU on GRID."""
    return paint(GRID, marker_place(GRID), 5.0)


def refused(path, *words):
    """The text of the InputError that reading the path gives: one line, with a hint after the colon, naming the words."""
    with pytest.raises(InputError) as caught:
        read_ct(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert ": " in text
    for word in words:
        assert word in text
    return text


def test_missing_empty_and_unknown_files_are_refused(tmp_path, ct):
    refused(tmp_path / "nothing.nii.gz", "does not exist")
    (tmp_path / "empty.nii.gz").touch()
    refused(tmp_path / "empty.nii.gz", "empty")
    (tmp_path / "notes.txt").write_text("hello")
    refused(tmp_path / "notes.txt", "unknown kind", ".nii.gz")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("hello")
    refused(tmp_path / "folder", "no DICOM")
    one = save_dicom(tmp_path / "dicom", ct, np.eye(4)) / "000.dcm"
    refused(one, "one DICOM file", "folder")
    one.rename(tmp_path / "dicom" / "IM0001")
    refused(tmp_path / "dicom" / "IM0001", "one DICOM file")
    for name in ("text.nii.gz", "text.nii", "text.nrrd", "text.mha", "text.nhdr"):
        (tmp_path / name).write_text("this is no image at all, whatever its name says " * 20)
        refused(tmp_path / name, name)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha", ".nhdr", ".mhd"])
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("lost", [5, 700, 0.5])
def test_truncated_files_are_refused(tmp_path, ct, suffix, compress, lost):
    path = tmp_path / f"a{suffix}"
    if suffix.startswith(".nii"):
        save_nifti(path, ct, GRID.affine)
    else:
        save_itk(path, ct, GRID.affine, compress)
    assert read_ct(path).array.shape == GRID.shape
    before = sha256_of(path)
    voxels = max(tmp_path.iterdir(), key=lambda file: file.stat().st_size)
    size = voxels.stat().st_size
    os.truncate(voxels, int(size * lost) if lost < 1 else size - lost)
    refused(path, "damaged or incomplete")
    assert sha256_of(path) != before
    if suffix in (".nhdr", ".mhd"):
        voxels.unlink()
        refused(path, "missing")


def test_a_flipped_bit_in_a_compressed_file_is_noticed(tmp_path, ct):
    path = save_nifti(tmp_path / "a.nii.gz", ct, GRID.affine)
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # in gzip's checksum
    path.write_bytes(content)
    refused(path, "damaged")


def test_wrong_dimensions_are_refused(tmp_path):
    rng = np.random.default_rng(7)
    for suffix in (".nii.gz", ".mha", ".nrrd"):
        flat = rng.integers(-1000, 1000, (16, 17, 1)).astype(np.int16)
        refused(save(tmp_path, suffix, flat, np.eye(4)), "single slice")
    refused(save_nifti(tmp_path / "flat.nii.gz", flat[..., 0], np.eye(4)), "2D")
    refused(save_nifti(tmp_path / "four.nii.gz", np.stack([flat.repeat(4, 2)] * 3, -1), np.eye(4)), "4D")
    colour = np.zeros((5, 5, 5), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    refused(save_nifti(tmp_path / "colour.nii.gz", colour, np.eye(4)), "colour")
    import SimpleITK

    for name, image in {
        "flat": SimpleITK.Image([8, 8], SimpleITK.sitkInt16),
        "four": SimpleITK.Image([4, 4, 4, 3], SimpleITK.sitkInt16),
        "vector": SimpleITK.Image([4, 4, 4], SimpleITK.sitkVectorUInt8, 3),
    }.items():
        for suffix in (".nrrd", ".mha"):
            SimpleITK.WriteImage(image, str(tmp_path / f"{name}{suffix}"))
            refused(tmp_path / f"{name}{suffix}", {"flat": "2D", "four": "4", "vector": "3 values"}[name])


def test_unusable_voxels_are_refused(tmp_path):
    array = np.random.default_rng(8).normal(0, 500, (6, 7, 8)).astype(np.float32)
    for bad, count in ((np.nan, 3), (np.inf, 2), (-np.inf, 1)):
        broken = array.copy()
        broken.flat[:count] = bad
        refused(save_nifti(tmp_path / "a.nii.gz", broken, np.eye(4)), f"{count} voxel", "NaN")
        refused(save_itk(tmp_path / "a.mha", broken, np.eye(4)), f"{count} voxel", "NaN")
    refused(save_nifti(tmp_path / "b.nii.gz", np.full((5, 5, 5), -1000, np.int16), np.eye(4)), "same value", "-1000")


def test_unusable_geometry_is_refused(tmp_path, ct):
    import nibabel

    flat = GRID.affine.copy()
    flat[:, 2] = flat[:, 1]
    for affine, word in ((flat, "singular"), (np.full((4, 4), np.nan), "not a number")):
        image = nibabel.Nifti1Image(ct, np.eye(4))
        image.header["sform_code"], image.header["qform_code"] = 1, 0
        for row, name in enumerate(("srow_x", "srow_y", "srow_z")):
            image.header[name] = affine[row]
        content = image.header.binaryblock + bytes(4) + ct.tobytes(order="F")
        (tmp_path / "a.nii").write_bytes(content)
        refused(tmp_path / "a.nii", word)
    for step in (0, -1.5):
        header = nibabel.Nifti1Image(ct, np.eye(4)).header
        header["sform_code"], header["qform_code"] = 0, 1
        header["pixdim"][2], header["vox_offset"] = step, 352
        (tmp_path / "b.nii").write_bytes(header.binaryblock + bytes(4) + ct.tobytes(order="F"))
        refused(tmp_path / "b.nii", "zero or negative")
        meta = f"NDims = 3\nDimSize = 12 13 14\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nElementSpacing = 1 {step} 1\n"
        meta = f"ObjectType = Image\n{meta}ElementType = MET_SHORT\nElementDataFile = LOCAL\n"
        (tmp_path / "c.mha").write_bytes(meta.encode() + ct.tobytes(order="F"))
        refused(tmp_path / "c.mha", "zero or negative")


def test_no_permission_is_said(tmp_path, ct, monkeypatch):
    path = save_nifti(tmp_path / "a.nii.gz", ct, GRID.affine)

    def deny(path, flat):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(read_module, "read_nifti", deny)
    refused(path, "no permission")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="needs a user whom file permissions stop")
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_a_protected_file_is_refused(tmp_path, ct, suffix):
    path = save(tmp_path, suffix, ct, GRID.affine)
    path.chmod(0)
    refused(path, "no permission")
