"""MetaImage files (``.mha``, ``.mhd``): the header read as text, the voxels by ourselves with every check.

Format: https://itk.org/Wiki/ITK/MetaIO/Documentation. ITK and MetaIO take the voxels as they come; damaged ones are refused here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import InputError
from ..system.regular_files import open_regular
from .affines import LPS_TO_RAS, no_orientation, no_origin, no_spacing, numbers_in, volume_sizes
from .detached import MOST_FILES, VoxelFiles, beside, numbered
from .voxel_data import RAW, TEXT, ZLIB

TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
UNIT_TO_MM = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001}
MAX_LINES = 500
_TRUTHS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}


def read_meta_image(path: Path, flat: bool = False) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Voxels ``[x, y, z]``, affine voxel → RAS mm, and sentences about what the header leaves open.

    Args:
        path: ``.mha`` or ``.mhd``.
        flat: whether a single slice will do.

    Raises:
        InputError: not MetaImage, damaged, or not one 3D image of plain numbers.
        OSError: a file cannot be opened.
    """
    fields, start = _read_fields(path)
    dimensions = _whole(path, fields, "ndims", 0)
    if not 1 <= dimensions <= 8:
        raise _unreadable(path)
    sizes = tuple(int(value) for value in _values(path, fields, ("dimsize",), dimensions) or () if value.is_integer())
    if len(sizes) != dimensions:
        raise _unreadable(path)
    channels = _whole(path, fields, "elementnumberofchannels", 1)
    if channels != 1:
        raise InputError(f"{path.name} holds {channels} values a voxel (colour or vectors): export a grey-scale image.")
    shape = volume_sizes(path, sizes, flat)
    warnings: list[str] = []
    affine = _affine(path, fields, dimensions, warnings)
    files = _voxel_files(path, fields, start, shape)
    return files.read(), LPS_TO_RAS @ affine, warnings


def meta_files(path: Path) -> tuple[Path, ...]:
    """The files that hold the voxels of a MetaImage; its own, or others beside it.

    Raises:
        InputError: not MetaImage, or it names files elsewhere.
        OSError: it cannot be opened.
    """
    fields, _ = _read_fields(path)
    return _files(path, fields)[0]


def _read_fields(path: Path) -> tuple[dict[str, str], int]:
    """The header's fields, names in lower case, and the bytes before what follows it. A list of files is kept as ``list``."""
    fields: dict[str, str] = {}
    with open_regular(path) as stream:
        for _ in range(MAX_LINES):
            line = stream.readline(1 << 16)
            name, equals, value = line.decode("utf-8", errors="surrogateescape").partition("=")
            name = name.strip().lower()
            if not equals or not line.endswith(b"\n") or name in fields:
                break
            fields[name] = value.strip()
            if name == "elementdatafile":
                if value.strip().upper().startswith("LIST"):
                    names = [stream.readline(4096).decode("utf-8", errors="surrogateescape").strip() for _ in range(MOST_FILES)]
                    fields["list"] = "\n".join(filter(None, names))
                return fields, stream.tell()
    raise InputError(f"{path.name} is not a MetaImage file, or it is damaged: export the image again.")


def _files(path: Path, fields: dict[str, str]) -> tuple[tuple[Path, ...], bool]:
    """The files of the voxels, and whether they are the header's own."""
    name = fields["elementdatafile"]
    if name.upper() == "LOCAL":
        return (path,), True
    if name.upper().startswith("LIST"):
        return tuple(beside(path, line) for line in fields["list"].splitlines()) or (beside(path, ""),), False
    if "%" in name:
        return numbered(path, name.split()), False
    return (beside(path, name),), False


def _voxel_files(path: Path, fields: dict[str, str], start: int, shape: tuple[int, ...]) -> VoxelFiles:
    kind = TYPES.get(fields.get("elementtype", "").upper())
    if kind is None:
        raise InputError(f"{path.name} holds {fields.get('elementtype', 'unknown')} voxels: export the CT as a grey-scale image.")
    big = _truth(path, fields, "elementbyteordermsb", _truth(path, fields, "binarydatabyteordermsb", False))
    compressed = _truth(path, fields, "compresseddata", False)
    encoding = ZLIB if compressed else RAW if _truth(path, fields, "binarydata", True) else TEXT
    files, local = _files(path, fields)
    size, skip = _whole(path, fields, "compresseddatasize", 0), _whole(path, fields, "headersize", 0)
    if size < 0 or skip < -1:
        raise _unreadable(path)
    return VoxelFiles(
        header=path,
        sizes=shape,
        dtype=np.dtype(kind).newbyteorder(">" if big else "<"),
        encoding=encoding,
        files=files,
        start=start if local and not skip else 0,
        skip=skip,
        stored=size or None,
    )


def _affine(path: Path, fields: dict[str, str], dimensions: int, warnings: list[str]) -> np.ndarray:
    """Voxel → LPS mm of the first three axes."""
    size = max(3, dimensions)
    spacing, origin, turn = np.ones(size), np.zeros(size), np.eye(size)
    steps = _values(path, fields, ("elementspacing", "elementsize"), dimensions)
    place = _values(path, fields, ("offset", "position", "origin"), dimensions)
    matrix = _values(path, fields, ("transformmatrix", "rotation", "orientation"), dimensions**2)
    if steps is None:
        warnings.append(no_spacing(path))
    elif not all(step > 0 for step in steps[:3]):
        raise InputError(f"{path.name} has a voxel spacing that is zero or negative: export it again.")
    else:
        spacing[:dimensions] = steps
    if place is None:
        warnings.append(no_origin(path))
    else:
        origin[:dimensions] = place
    if matrix is None:
        warnings.append(no_orientation(path))
    else:
        # A row of the header's matrix is the direction of an axis.
        turn[:dimensions, :dimensions] = np.reshape(matrix, (dimensions, dimensions)).T
    unit = fields.get("distanceunits", "mm").lower()
    affine = np.eye(4)
    affine[:3, :3] = turn[:3, :3] * spacing[:3]
    affine[:3, 3] = origin[:3]
    if UNIT_TO_MM.get(unit, 1.0) != 1.0:
        affine[:3] *= UNIT_TO_MM[unit]
        warnings.append(f"{path.name} gives lengths in {unit}; they were converted to mm.")
    return affine


def _values(path: Path, fields: dict[str, str], names: tuple[str, ...], count: int) -> list[float] | None:
    """``count`` numbers of the first of the fields that is there, or None.

    Raises:
        InputError: other than that many numbers.
    """
    text = next((fields[name] for name in names if name in fields), None)
    if text is None:
        return None
    try:
        values = numbers_in(text)
    except ValueError:
        values = []
    if len(values) != count:
        raise _unreadable(path)
    return values


def _whole(path: Path, fields: dict[str, str], name: str, default: int) -> int:
    try:
        return int(fields.get(name, default))
    except ValueError:
        raise _unreadable(path) from None


def _truth(path: Path, fields: dict[str, str], name: str, default: bool) -> bool:
    if name not in fields:
        return default
    value = _TRUTHS.get(fields[name].lower())
    if value is None:
        raise _unreadable(path)
    return value


def _unreadable(path: Path) -> InputError:
    return InputError(f"{path.name} has a MetaImage header that cannot be understood, or it is damaged: export the image again.")
