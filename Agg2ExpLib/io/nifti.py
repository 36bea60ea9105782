"""Reading NIfTI-1 and NIfTI-2 files, byte for byte checked: nibabel interprets the header, the voxels are read here once."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from ..errors import InputError
from ..system.regular_files import open_regular
from .affines import volume_sizes
from .nifti_place import place_of
from .rescale import rescaled
from .voxel_data import DamagedError, claim, damaged, native, read_exactly

READ_BYTES = 1 << 22
# Other data may follow the voxels, but not without end.
MOST_TRAILING_BYTES = 1 << 26
MOST_PADDING_BYTES = 511


def read_nifti(path: Path, flat: bool = False) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Voxels, affine and warnings of a ``.nii`` or ``.nii.gz`` file (compression is told from the content).

    Where nibabel is missing, as in a Slicer without our requirements, SimpleITK reads it with fewer checks.

    Args:
        path: of the file.
        flat: whether a single slice will do.

    Returns:
        Array ``[x, y, z]`` (the file's type, or what :func:`~.rescale.rescaled` makes of it where the header has a scale), the 4×4
        affine voxel → RAS mm, and sentences about what the header leaves open.

    Raises:
        InputError: not NIfTI, damaged or truncated, not one 3D image of plain numbers.
        OSError: the file cannot be opened.
    """
    if not _has_nibabel():
        from .nifti_itk import read_with_itk

        return read_with_itk(path)
    try:
        with open_regular(path) as file:
            compressed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=file, mode="rb")) if compressed else file
            header = _read_header(path, stream)
            shape = volume_sizes(path, header.get_data_shape(), flat)
            dtype = header.get_data_dtype()
            if dtype.kind not in "iuf":
                raise InputError(
                    f"{path.name} holds colour or complex voxels, not one number each: export the CT as a grey-scale image."
                )
            affine, warnings = place_of(path, header, shape)
            slope, intercept = _scale(path, header)
            needed = claim(path, shape, dtype, path.stat().st_size, compressed)
            flat_array = np.empty(needed // dtype.itemsize, dtype=dtype)
            _seek(path, header, stream, needed)
            read_exactly(stream, memoryview(flat_array.view(np.uint8)))  # type: ignore[arg-type]
            array = native(flat_array).reshape(shape, order="F")
            if _read_to_end(path, stream) > MOST_PADDING_BYTES:
                warnings.append(f"{path.name} holds more data than its header says: check that no slice is missing.")
    except (DamagedError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged(path) from error
    except MemoryError as error:
        raise InputError(f"{path.name} does not fit into this computer's memory: close other programs or crop the CT.") from error
    if slope is not None:
        array = rescaled(array, slope, intercept)
    return array, affine, warnings


def write_nifti(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    """Write ``[x, y, z]`` with its affine (voxel → RAS mm), compressed where the name ends in ``.gz``.

    Raises:
        OSError: the file cannot be written.
    """
    if not _has_nibabel():
        from .nifti_itk import write_with_itk

        write_with_itk(path, array, affine)
        return
    import nibabel

    image = nibabel.Nifti1Image(array, np.asarray(affine, dtype=np.float64))
    image.header.set_xyzt_units("mm")
    # Code 1, scanner coordinates, in both, so that no reader falls back to guessing.
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    nibabel.save(image, path)


def _has_nibabel() -> bool:
    try:
        import nibabel  # noqa: F401
    except ImportError:
        return False
    return True


def _read_header(path: Path, stream: BinaryIO) -> Any:
    """The header (nibabel ``Nifti1Header`` or ``Nifti2Header``), its parts that do not say where the voxels lie checked."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header
    from nibabel.spatialimages import HeaderDataError

    start = stream.read(540)
    for kind in (Nifti1Header, Nifti2Header):
        if len(start) < kind.template_dtype.itemsize or not kind.may_contain_header(start):
            continue
        raw = kind(start[: kind.template_dtype.itemsize], check=False)
        if raw["magic"].item().startswith(b"ni"):
            raise InputError(f"{path.name} is one half of a two-file NIfTI image: convert it to a single .nii.gz file.")
        try:
            # The dimensions and the type must hold; where the voxels lie is looked at by itself.
            raw.get_data_dtype()
            if not 1 <= int(raw["dim"][0]) <= 7 or (np.array(raw["dim"][1 : 1 + int(raw["dim"][0])]) < 0).any():
                raise ValueError("dim")
            if int(raw["bitpix"]) != 8 * raw.get_data_dtype().itemsize:
                raise ValueError("bitpix")
            raw.get_data_shape()
        except (HeaderDataError, ValueError, KeyError, OverflowError) as error:
            raise InputError(f"{path.name} has a damaged NIfTI header: export it again.") from error
        return raw
    raise InputError(f"{path.name} is not a NIfTI file, or it is damaged: export the CT again.")


def _seek(path: Path, header: Any, stream: BinaryIO, needed: int) -> None:
    """Go to the voxels: at least the header and its four bytes of flags from the beginning, since they lie in one file.

    Some programs write 0 or the header's own size for the place, with flags or without; then the length of the file decides.
    """
    value, size = float(header["vox_offset"]), int(header["sizeof_hdr"])
    unusable = InputError(f"{path.name} has a damaged NIfTI header (vox_offset {value:g}): export it again.")
    if not np.isfinite(value) or not value.is_integer() or not 0 <= value <= 2**40:
        raise unusable
    if value >= size + 4:
        stream.seek(int(value))
        return
    stream.seek(size)
    held = len(stream.read(needed + 5))
    if held not in (needed, needed + 4):
        raise unusable
    stream.seek(size + held - needed)


def _scale(path: Path, header: Any) -> tuple[float | None, float]:
    """Slope (None: there is no scale) and intercept of the stored values."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or np.isnan(slope):
        # "If the scl_slope field is nonzero, then scale" (nifti1.h); many write NaN for not set.
        return None, 0.0
    if not np.isfinite([slope, intercept]).all():
        raise InputError(
            f"{path.name} has a scale that is no number (scl_slope {slope:g}, scl_inter {intercept:g}): export it again."
        )
    return slope, intercept


def _read_to_end(path: Path, stream: BinaryIO) -> int:
    """Read on, which makes gzip compare its checksum; the number of bytes that follow the voxels."""
    trailing = 0
    while block := stream.read(READ_BYTES):
        trailing += len(block)
        if trailing > MOST_TRAILING_BYTES:
            raise damaged(path)
    return trailing
