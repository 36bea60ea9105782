"""NRRD files: the header as text, and our own uncompressed files that can be mapped into memory.

Reading of any other NRRD is left to SimpleITK; the header is needed for what SimpleITK does not tell (is there an orientation at
all, segment names, where the voxels start).
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from ..errors import InputError

TYPES = {
    "uint8": ("uint8", "uchar", "unsigned char", "uint8_t"),
    "int8": ("int8", "signed char", "int8_t"),
    "int16": ("int16", "short", "short int", "signed short", "int16_t"),
    "uint16": ("uint16", "ushort", "unsigned short", "uint16_t"),
    "int32": ("int32", "int", "signed int", "int32_t"),
    "uint32": ("uint32", "uint", "unsigned int", "uint32_t"),
    "float32": ("float",),
    "float64": ("double",),
}
NUMPY_TYPES = {name: np.dtype(numpy_name) for numpy_name, names in TYPES.items() for name in names}
NRRD_TYPES = {np.dtype(numpy_name): names[1] if len(names) > 1 else names[0] for numpy_name, names in TYPES.items()}
# Patient directions of a NRRD space's axes, as signs that turn them into RAS.
SPACE_TO_RAS = {
    "left-posterior-superior": (-1, -1, 1),
    "lps": (-1, -1, 1),
    "right-anterior-superior": (1, 1, 1),
    "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
    "las": (-1, 1, 1),
}
MAX_HEADER_BYTES = 1 << 20
ALIGNMENT = 64


@dataclass(frozen=True)
class NrrdHeader:
    """The text at the start of a NRRD file.

    Attributes:
        fields: the standard fields, names in lower case ("sizes", "space directions", …).
        keys: the key/value pairs ("Segment0_Name", …).
        data_offset: bytes before the voxels, for a file that holds its own.
    """

    fields: dict[str, str]
    keys: dict[str, str]
    data_offset: int

    @property
    def has_orientation(self) -> bool:
        """Whether the file says how its axes lie in the patient."""
        return self.fields.get("space", "").lower() in SPACE_TO_RAS and "space directions" in self.fields


def read_header(path: Path) -> NrrdHeader:
    """Parse the header of a ``.nrrd`` or ``.nhdr`` file.

    Raises:
        InputError: it is no NRRD file.
        OSError: it cannot be opened.
    """
    fields: dict[str, str] = {}
    keys: dict[str, str] = {}
    with path.open("rb") as stream:
        if not stream.readline(64).startswith(b"NRRD"):
            raise InputError(f"{path.name} is not a NRRD file, or it is damaged: export the image again.")
        # A header ends at an empty line or, for detached voxels, at the end of the file.
        while stream.tell() < MAX_HEADER_BYTES:
            line = stream.readline(MAX_HEADER_BYTES).decode("utf-8", errors="replace").strip("\r\n")
            if not line:
                return NrrdHeader(fields, keys, stream.tell())
            if line.startswith("#"):
                continue
            if ":=" in line:
                key, value = line.split(":=", 1)
                keys[key.strip()] = value.strip()
            elif ": " in line:
                name, value = line.split(":", 1)
                fields[name.strip().lower()] = value.strip()
    raise InputError(f"{path.name} has no end of its NRRD header: export the image again.")


def map_voxels(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """The voxels of an uncompressed 3D NRRD mapped into memory, and its affine; None if the file needs SimpleITK.

    Returns:
        Read-only array ``[x, y, z]`` (Fortran order) and the 4×4 affine voxel → RAS mm.

    Raises:
        InputError: it is no NRRD file, or it is shorter than its header says.
        OSError: it cannot be opened.
    """
    header = read_header(path)
    fields = header.fields
    dtype = NUMPY_TYPES.get(fields.get("type", "").lower())
    simple = (
        dtype is not None
        and fields.get("dimension") == "3"
        and fields.get("encoding", "").lower() == "raw"
        and header.has_orientation
        and not {"data file", "datafile", "line skip", "lineskip", "byte skip", "byteskip"} & fields.keys()
    )
    if not simple or dtype is None:
        return None
    if dtype.itemsize > 1:
        dtype = dtype.newbyteorder(">" if fields.get("endian", "little").lower() == "big" else "<")
    try:
        x, y, z = (int(size) for size in fields["sizes"].split())
        to_ras = np.array(SPACE_TO_RAS[fields["space"].lower()], dtype=np.float64)
        affine = np.eye(4)
        affine[:3, :3] = np.stack([_vector(text) for text in fields["space directions"].split()], axis=1)
        affine[:3, 3] = _vector(fields["space origin"])
    except (KeyError, ValueError):
        return None
    affine[:3] *= to_ras[:, None]
    if path.stat().st_size < header.data_offset + x * y * z * dtype.itemsize:
        raise InputError(f"{path.name} is damaged or incomplete: copy or export it again.")
    voxels = np.memmap(path, dtype=dtype, mode="r", offset=header.data_offset, shape=(x, y, z), order="F")
    return voxels, affine


def nrrd_header(dtype: np.dtype, shape: tuple[int, ...], affine: np.ndarray, encoding: str = "raw") -> bytes:
    """Header of a NRRD file in LPS whose voxels follow at once, x fastest, in little-endian order.

    Raises:
        ValueError: for a voxel type that NRRD or its readers lack.
    """
    if dtype not in NRRD_TYPES:
        raise ValueError(f"cannot store {dtype} voxels")
    to_lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(affine, dtype=np.float64)
    columns = [f"({','.join(repr(float(value)) for value in to_lps[:3, column])})" for column in range(4)]
    lines = [
        "NRRD0004",
        f"type: {NRRD_TYPES[dtype]}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(str(size) for size in shape)}",
        f"space directions: {' '.join(columns[:3])}",
        "kinds: domain domain domain",
        "endian: little",
        f"encoding: {encoding}",
        f"space origin: {columns[3]}",
    ]
    text = "\n".join(lines) + "\n"
    # A comment fills the header up, so that mapped voxels are aligned.
    filler = -(len(text) + 3) % ALIGNMENT
    return f"{text}#{' ' * filler}\n\n".encode("ascii")


def write_nrrd(path: Path, array: np.ndarray, affine: np.ndarray, compress: bool) -> None:
    """Write ``[x, y, z]`` with its affine (voxel → RAS mm) as NRRD in LPS; raw voxels start at a multiple of 64 bytes.

    Raises:
        ValueError: for a voxel type that NRRD or its readers lack.
        OSError: it cannot be written.
    """
    header = nrrd_header(array.dtype, array.shape, affine, "gzip" if compress else "raw")
    little = array.dtype.newbyteorder("<")
    with path.open("wb") as stream:
        stream.write(header)
        target = (
            cast(BinaryIO, gzip.GzipFile(filename="", mode="wb", fileobj=stream, compresslevel=1, mtime=0)) if compress else stream
        )
        for plane in range(array.shape[2]):
            target.write(np.ascontiguousarray(array[:, :, plane].T, dtype=little).data)
        if compress:
            target.close()


def _vector(text: str) -> np.ndarray:
    """Three numbers of a NRRD vector "(1,0,0)"."""
    values = np.array([float(part) for part in text.strip("()").split(",")])
    if values.shape != (3,):
        raise ValueError(text)
    return values
