"""NIfTI through SimpleITK, for a Slicer in which nibabel is not installed yet: enough to show old results and to export."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..system.regular_files import open_regular
from .affines import LPS_TO_RAS
from .voxel_data import READ_BYTES, damaged


def read_with_itk(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Voxels ``[x, y, z]``, affine voxel → RAS mm, and no warnings.

    ITK knows rotations only, so it refuses a sheared grid, and it does not tell sform from qform.

    Raises:
        InputError: the file is damaged, has a sheared grid or several values a voxel.
    """
    import SimpleITK

    _check_stream(path)
    try:
        SimpleITK.ProcessObject.GlobalWarningDisplayOff()
        image = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(
            f"{path.name} cannot be read without nibabel (damaged, or a tilted grid): install the requirements, or export it again."
        ) from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(f"{path.name} is no 3D grey-scale image: export it again.")
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return SimpleITK.GetArrayFromImage(image).transpose(), LPS_TO_RAS @ affine, []


def write_with_itk(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    """Write ``[x, y, z]`` as NIfTI, compressed where the name ends in ``.gz``.

    Raises:
        OSError: the file cannot be written.
        ValueError: the grid is sheared, which ITK cannot store.
    """
    import SimpleITK

    lps = LPS_TO_RAS @ np.asarray(affine, dtype=np.float64)
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    direction = lps[:3, :3] / spacing
    if np.abs(direction.T @ direction - np.eye(3)).max() > 1e-3:
        raise ValueError("a sheared grid needs nibabel to be stored as NIfTI")
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.transpose()))
    image.SetSpacing(spacing.tolist())
    image.SetDirection(direction.ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    try:
        SimpleITK.WriteImage(image, str(path), useCompression=path.name.lower().endswith(".gz"))
    except RuntimeError as error:
        raise OSError(f"{path.name} cannot be written") from error


def _check_stream(path: Path) -> None:
    """Refuse a compressed file that is not whole, which ITK may take as it comes."""
    with open_regular(path) as file:
        if file.read(2) != b"\x1f\x8b":
            return
        file.seek(0)
        try:
            with gzip.GzipFile(fileobj=file, mode="rb") as stream:
                while stream.read(READ_BYTES):
                    pass
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise damaged(path) from error
