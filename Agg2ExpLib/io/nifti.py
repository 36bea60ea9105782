"""Reading NIfTI-1 and NIfTI-2 files, byte for byte checked: nibabel interprets the header, the voxels are read here once."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from ..errors import InputError

# NIfTI xyzt_units codes: metres, millimetres, micrometres; 0 (unknown) is taken as millimetres.
UNIT_TO_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
UNIT_NAMES = {1: "metres", 3: "micrometres"}
READ_BYTES = 1 << 24


def read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Voxels, affine and warnings of a ``.nii`` or ``.nii.gz`` file (compression is told from the content).

    Where nibabel is missing, as in a Slicer without our requirements, SimpleITK reads it with fewer checks.

    Returns:
        Array ``[x, y, z]`` (the file's type, or what :func:`rescaled` makes of it where the header has a scale), the 4×4 affine
        voxel → RAS mm, and sentences about what the header leaves open.

    Raises:
        InputError: not NIfTI, damaged or truncated, not one 3D image of plain numbers.
        OSError: the file cannot be opened.
    """
    if not _has_nibabel():
        from .nifti_itk import read_with_itk

        return read_with_itk(path)
    damaged = InputError(f"{path.name} is damaged or incomplete: copy or export it again.")
    try:
        with _open(path) as stream:
            header = _read_header(path, stream)
            shape = three_dimensions(path, header.get_data_shape())
            dtype = header.get_data_dtype()
            if dtype.kind not in "iuf":
                raise InputError(
                    f"{path.name} holds colour or complex voxels, not one number each: export the CT as a grey-scale image."
                )
            affine, warnings = _affine(path, header, shape)
            slope, intercept = header.get_slope_inter()
            array = _read_voxels(stream, int(header.get_data_offset()), shape, dtype)
            # Reading on to the end makes gzip compare its checksum.
            while stream.read(READ_BYTES):
                pass
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged from error
    except MemoryError as error:
        raise InputError(f"{path.name} does not fit into this computer's memory: close other programs or crop the CT.") from error
    if slope is not None:
        array = rescaled(array, float(slope), float(intercept))
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


def three_dimensions(path: Path, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The shape without trailing dimensions of size 1.

    Raises:
        InputError: unless three dimensions of at least two voxels are left.
    """
    sizes = [int(size) for size in shape]
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    if len(sizes) < 3:
        raise InputError(f"{path.name} is a {len(sizes)}D image: give a 3D CT volume.")
    if len(sizes) > 3:
        raise InputError(f"{path.name} is a {len(sizes)}D image ({' × '.join(map(str, sizes))}): export one 3D volume from it.")
    if min(sizes) < 1:
        raise InputError(f"{path.name} has no voxels ({' × '.join(map(str, sizes))}): export it again.")
    if min(sizes) == 1:
        raise InputError(f"{path.name} has a single slice ({' × '.join(map(str, sizes))}): give the whole 3D volume.")
    return sizes[0], sizes[1], sizes[2]


def rescaled(array: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """``array · slope + intercept``: int16 where the values are whole numbers that fit, else float32. May work in place."""
    if slope == 1 and intercept == 0:
        return array
    if array.dtype.kind in "iu" and slope.is_integer() and intercept.is_integer():
        ends = [int(value) * int(slope) + int(intercept) for value in (array.min(), array.max())]
        if fits_int16(*ends):
            # Sums and products modulo 2^16 end at the right value, since that fits.
            result = array.astype(np.int16, copy=False)
            result *= np.int64(slope).astype(np.int16)
            result += np.int64(intercept).astype(np.int16)
            return result
    floats: np.ndarray = array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32)
    floats *= slope
    floats += intercept
    return floats.astype(np.float32, copy=False)


def fits_int16(*values: float) -> bool:
    """Whether all values lie in the range of int16."""
    return min(values) >= -32768 and max(values) <= 32767


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as stream:
        compressed = stream.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path, "rb")) if compressed else path.open("rb")


def _read_header(path: Path, stream: BinaryIO) -> Any:
    """The checked header (nibabel ``Nifti1Header`` or ``Nifti2Header``)."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header
    from nibabel.spatialimages import HeaderDataError

    start = stream.read(540)
    for kind in (Nifti1Header, Nifti2Header):
        if len(start) < kind.template_dtype.itemsize or not kind.may_contain_header(start):
            continue
        start = start[: kind.template_dtype.itemsize]
        raw = kind(start, check=False)
        if raw["magic"].item().startswith(b"ni"):
            raise InputError(f"{path.name} is one half of a two-file NIfTI image: convert it to a single .nii.gz file.")
        # nibabel would quietly set such a spacing to 1.
        pixdim = np.array(raw["pixdim"][1 : 1 + min(3, max(0, int(raw["dim"][0])))], dtype=np.float64)
        if int(raw["sform_code"]) <= 0 and not (np.isfinite(pixdim).all() and (pixdim > 0).all()):
            raise InputError(f"{path.name} has a voxel spacing that is zero or negative ({_numbers(pixdim)} mm): export it again.")
        try:
            return kind(start, check=True)
        except (HeaderDataError, ValueError) as error:
            raise InputError(f"{path.name} has a damaged NIfTI header: export it again.") from error
    raise InputError(f"{path.name} is not a NIfTI file, or it is damaged: export the CT again.")


def _affine(path: Path, header: Any, shape: tuple[int, int, int]) -> tuple[np.ndarray, list[str]]:
    from nibabel.spatialimages import HeaderDataError

    warnings: list[str] = []
    try:
        sform, sform_code = header.get_sform(coded=True)
        qform, qform_code = header.get_qform(coded=True)
        affine = np.array(header.get_best_affine(), dtype=np.float64)
    except (HeaderDataError, ValueError, np.linalg.LinAlgError) as error:
        raise InputError(f"{path.name} has an orientation (qform) that cannot be read: export it again.") from error
    if not sform_code and not qform_code:
        warnings.append(f"{path.name} does not say how it lies in the patient (no sform, no qform): left and right may be swapped.")
    elif sform_code and qform_code:
        apart = _corner_distance(sform, qform, shape)
        if not np.isfinite(apart) or apart > 0.5 * np.linalg.norm(sform[:3, :3], axis=0).min():
            warnings.append(
                f"The two orientations in {path.name} (sform, qform) differ by up to {apart:.1f} mm; the sform is used: "
                "check that left and right are right."
            )
    unit = int(header["xyzt_units"]) & 7
    if unit in UNIT_NAMES:
        affine[:3] *= UNIT_TO_MM[unit]
        warnings.append(f"{path.name} gives lengths in {UNIT_NAMES[unit]}; they were converted to mm.")
    return affine, warnings


def _corner_distance(first: np.ndarray, second: np.ndarray, shape: tuple[int, int, int]) -> float:
    """The largest distance in mm between the places two affines give to a corner voxel."""
    corners = np.stack(np.meshgrid(*((0, size - 1) for size in shape), [1], indexing="ij"), axis=-1).reshape(-1, 4)
    return float(np.linalg.norm(corners @ (first - second).T, axis=1).max())


def _read_voxels(stream: BinaryIO, offset: int, shape: tuple[int, int, int], dtype: np.dtype) -> np.ndarray:
    """``[x, y, z]`` in Fortran order and native byte order; EOFError where bytes are missing."""
    flat = np.empty(int(np.prod(shape, dtype=np.int64)), dtype=dtype)
    stream.seek(offset)
    view = flat.view(np.uint8)
    done = 0
    while done < len(view):
        got = stream.readinto(view[done : done + READ_BYTES])  # type: ignore[attr-defined]
        if not got:
            raise EOFError(f"{done} of {len(view)} bytes")
        done += got
    if not dtype.isnative:
        flat = flat.byteswap(inplace=True).view(dtype.newbyteorder("="))
    return flat.reshape(shape, order="F")


def _numbers(values: np.ndarray) -> str:
    return ", ".join(f"{value:g}" for value in values)
