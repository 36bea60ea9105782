"""Writing 3D images: beside their place first, then renamed."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..system.files import replacing
from .nifti import write_nifti
from .nrrd import NUMPY_TYPES, write_nrrd


def write_volume(path: str | Path, array: np.ndarray, affine: np.ndarray, compress: bool = False) -> None:
    """Write a 3D image as ``.nii.gz``, ``.nii`` or ``.nrrd``: to a temporary file beside, then renamed.

    Args:
        path: its suffix decides the format; the folder must exist.
        array: ``[x, y, z]``; bool becomes uint8, float64 and float16 become float32, 64-bit integers become int32.
        affine: 4×4, voxel index → RAS mm.
        compress: for ``.nrrd``; uncompressed files can be mapped into memory (:func:`~.read.read_map`). ``.nii.gz`` is always
            compressed.

    Raises:
        InputError: no room, no permission, or the folder is missing.
        ValueError: for an array that is not 3D, another suffix, or values that do not fit the stored type.
    """
    path = Path(path)
    suffix = next((known for known in (".nii.gz", ".nii", ".nrrd") if path.name.lower().endswith(known)), None)
    if suffix is None:
        raise ValueError(f"cannot write {path.name}: use .nii.gz, .nii or .nrrd")
    if array.ndim != 3:
        raise ValueError(f"cannot write an array of shape {array.shape}: it must be 3D")
    array = _storable(array)
    try:
        with replacing(path) as temporary:
            if suffix == ".nrrd":
                write_nrrd(temporary, array, affine, compress)
            else:
                write_nifti(temporary, array, affine)
    except OSError as error:
        raise _write_problem(path, error) from error


def _storable(array: np.ndarray) -> np.ndarray:
    """The array in a type that NIfTI, NRRD and Slicer know."""
    if array.dtype == bool:
        return array.view(np.uint8)
    if array.dtype in (np.float64, np.float16):
        return array.astype(np.float32)
    if array.dtype in (np.int64, np.uint64):
        if array.size and (array.min() < -(2**31) or array.max() >= 2**31):
            raise ValueError("cannot store 64-bit integers beyond 32 bits")
        return array.astype(np.int32)
    if array.dtype.newbyteorder("=") not in NUMPY_TYPES.values():
        raise ValueError(f"cannot store {array.dtype} voxels")
    return array


def _write_problem(path: Path, error: OSError) -> InputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(f"No room left on the disk for {path}: free some space or choose another folder.")
    if isinstance(error, PermissionError):
        return InputError(f"No permission to write {path}: choose another folder.")
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return InputError(f"The folder {path.parent} does not exist: create it or choose another.")
    return InputError(f"{path} cannot be written ({error.strerror or error}): choose another folder.")
