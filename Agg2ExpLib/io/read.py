"""Reading 3D images of any kind, with every check: NIfTI, NRRD, MetaImage, or a folder with a DICOM series.

Arrays are ``[x, y, z]`` (voxel index order of the affine); affines map voxel indices to patient RAS millimetres.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from ..system.regular_files import is_regular, open_regular
from .affines import check_affine
from .ct_values import checked_hu
from .meta_image import read_meta_image
from .nifti import read_nifti
from .nrrd_volume import map_nrrd, read_nrrd
from .source_files import guarded, require_existing
from .volume import NIFTI_SUFFIXES, NRRD_SUFFIXES, SUFFIXES, Volume, stem_of, suffix_of

DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")


def read_ct(path: str | Path) -> Volume:
    """Read a CT: NIfTI, NRRD, MetaImage, or a folder with a DICOM series.

    Returns:
        The volume in HU on its own grid (no reorientation); doubts, such as values that do not look like HU, are in ``warnings``.

    Raises:
        InputError: anything that makes the file unusable, in one sentence.
    """
    return checked_ct(_read(Path(path), flat=False))


def checked_ct(volume: Volume) -> Volume:
    """The volume as a CT: whole numbers as int16, doubts in ``warnings``.

    Raises:
        InputError: voxels that are NaN, infinite, or all the same.
    """
    array, doubts = checked_hu(volume.array, volume.name)
    return Volume(array, volume.affine, volume.name, volume.warnings + doubts)


def read_volume(path: str | Path) -> Volume:
    """Read any 3D image file (label map, attribution, mask) with its stored type, without the checks of a CT's values.

    A single slice will do.

    Raises:
        InputError: missing, damaged, or not one 3D image with a usable geometry.
    """
    return _read(Path(path), flat=True)


def read_map(path: str | Path) -> Volume:
    """Read an image with its voxels mapped into memory where the file is an uncompressed NRRD, as attributions are.

    Raises:
        InputError: as :func:`read_volume`.
    """
    path = Path(path)
    if path.name.lower().endswith(".nrrd") and is_regular(path):
        mapped = guarded(path, lambda: map_nrrd(path))
        if mapped is not None:
            array, affine = mapped
            check_affine(path, affine)
            return Volume(array, affine, stem_of(path))
    return _read(path, flat=True)


def _read(path: Path, flat: bool) -> Volume:
    """Any supported image with its geometry checked and its values as stored (DICOM: HU)."""
    require_existing(path)
    if path.is_dir():
        from .dicom import read_series

        array, affine, warnings = guarded(path, lambda: read_series(path))
    else:
        if not is_regular(path):
            raise InputError(f"{path.name} is a pipe or a device: give a file.")
        if guarded(path, lambda: path.stat().st_size) == 0:
            raise InputError(f"{path.name} is empty (0 bytes): copy or export it again.")
        suffix = suffix_of(path)
        if suffix is None:
            raise guarded(path, lambda: _unknown_suffix(path))
        reader = read_nifti if suffix in NIFTI_SUFFIXES else read_nrrd if suffix in NRRD_SUFFIXES else read_meta_image
        array, affine, warnings = guarded(path, lambda: reader(path, flat))
    check_affine(path, affine)
    return Volume(array, affine, stem_of(path), tuple(warnings))


def _unknown_suffix(path: Path) -> InputError:
    with open_regular(path) as stream:
        dicom = stream.read(132)[128:] == b"DICM"
    if dicom or path.suffix.lower() in DICOM_SUFFIXES:
        return InputError(f"{path.name} is one DICOM file: give the folder that holds the whole series ({path.resolve().parent}).")
    return InputError(f"{path.name} is of an unknown kind: give {', '.join(SUFFIXES)} or a folder with a DICOM series.")
