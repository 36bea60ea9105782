"""NRRD files: the header read as text, the voxels by ourselves, checked, and our own files, which can be mapped into memory.

Format: https://teem.sourceforge.net/nrrd/format.html. The header is needed for what SimpleITK does not tell (is there an
orientation at all, segment names, where the voxels start), and the voxels are read here because ITK takes damaged ones.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from ..errors import InputError
from ..system.regular_files import open_regular
from .affines import LPS_TO_RAS
from .detached import MOST_FILES, VoxelFiles, beside, numbered
from .voxel_data import GZIP, HEX, RAW, TEXT, damaged

TYPES = {
    "uint8": ("uint8", "uchar", "unsigned char", "uint8_t"),
    "int8": ("int8", "signed char", "int8_t"),
    "int16": ("int16", "short", "short int", "signed short", "signed short int", "int16_t"),
    "uint16": ("uint16", "ushort", "unsigned short", "unsigned short int", "uint16_t"),
    "int32": ("int32", "int", "signed int", "int32_t"),
    "uint32": ("uint32", "uint", "unsigned int", "uint32_t"),
    "float32": ("float",),
    "float64": ("double",),
}
_LONG_TYPES = {
    "int64": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "uint64": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
}
NUMPY_TYPES = {name: np.dtype(numpy_name) for numpy_name, names in TYPES.items() for name in names}
_READ_TYPES = NUMPY_TYPES | {name: np.dtype(numpy_name) for numpy_name, names in _LONG_TYPES.items() for name in names}
NRRD_TYPES = {np.dtype(numpy_name): names[1] if len(names) > 1 else names[0] for numpy_name, names in TYPES.items()}
ENCODINGS = {"raw": RAW, "gzip": GZIP, "gz": GZIP, "text": TEXT, "txt": TEXT, "ascii": TEXT, "hex": HEX}
# Old names with a space or without, and what they mean.
_FIELDS = {
    name.replace(" ", ""): name
    for name in (
        "number", "type", "block size", "dimension", "space", "space dimension", "sizes", "spacings", "thicknesses", "axis mins",
        "axis maxs", "space directions", "centers", "centerings", "kinds", "labels", "units", "min", "max", "old min", "old max",
        "endian", "encoding", "line skip", "byte skip", "content", "sample units", "space units", "space origin",
        "measurement frame", "data file",
    )
}  # fmt: skip
MAX_HEADER_BYTES = 1 << 24
ALIGNMENT = 64


@dataclass(frozen=True)
class NrrdHeader:
    """The text at the start of a NRRD file.

    Attributes:
        path: of the file.
        fields: the standard fields, names in lower case ("sizes", "space directions", …).
        keys: the key/value pairs ("Segment0_Name", …).
        data_offset: bytes before the voxels, for a file that holds its own.
        list: names of the files of the voxels, where the header lists them.
    """

    path: Path
    fields: dict[str, str]
    keys: dict[str, str]
    data_offset: int
    list: tuple[str, ...] = ()

    @property
    def sizes(self) -> tuple[int, ...]:
        """Samples along every axis, the fastest first.

        Raises:
            InputError: they are missing or make no sense.
        """
        try:
            sizes = tuple(int(part) for part in self.fields["sizes"].split())
            dimension = int(self.fields["dimension"])
        except (KeyError, ValueError):
            raise self.unreadable() from None
        if len(sizes) != dimension or not 1 <= dimension <= 16 or min(sizes) < 1:
            raise self.unreadable()
        return sizes

    @property
    def dtype(self) -> np.dtype:
        """Of the voxels, in the order of bytes of the file.

        Raises:
            InputError: not one number a voxel, or the order of bytes is missing.
        """
        name = self.fields.get("type", "").lower()
        if name not in _READ_TYPES:
            raise InputError(f"{self.path.name} holds {name or 'unknown'} voxels: export the CT as a grey-scale image.")
        dtype = _READ_TYPES[name]
        endian = self.fields.get("endian", "little" if dtype.itemsize == 1 or self.encoding in (TEXT, HEX) else "").lower()
        if endian not in ("little", "big"):
            raise self.unreadable()
        return dtype.newbyteorder(">" if endian == "big" else "<")

    @property
    def encoding(self) -> str:
        """See :func:`~.voxel_data.read_part`.

        Raises:
            InputError: another one.
        """
        name = self.fields.get("encoding", "").lower()
        if name not in ENCODINGS:
            raise InputError(f"{self.path.name} is encoded as '{name[:40]}', which is not read: export it raw or with gzip.")
        return ENCODINGS[name]

    def files(self) -> tuple[Path, ...]:
        """The files of the voxels: its own, or others beside it.

        Raises:
            InputError: it names files elsewhere.
        """
        name = self.fields.get("data file", "")
        if not name:
            return (self.path,)
        if name.split()[0].upper() == "LIST":
            return tuple(beside(self.path, entry) for entry in self.list) or (beside(self.path, ""),)
        return numbered(self.path, name.split()) if "%" in name else (beside(self.path, name),)

    def voxels(self) -> np.ndarray:
        """All samples, shape :attr:`sizes`, in native byte order and Fortran order.

        Raises:
            InputError: they are damaged, missing or not plain numbers.
            OSError: a file cannot be opened.
        """
        files = self.files()
        try:
            lines, skip = (int(self.fields.get(name, 0)) for name in ("line skip", "byte skip"))
        except ValueError:
            raise self.unreadable() from None
        if lines < 0 or skip < -1 or (skip > 0 and self.encoding != RAW):
            raise self.unreadable()
        start = self.data_offset if files == (self.path,) and skip >= 0 else 0
        return VoxelFiles(self.path, self.sizes, self.dtype, self.encoding, files, start, lines, skip).read()

    def unreadable(self) -> InputError:
        """The refusal of a header that makes no sense."""
        return InputError(f"{self.path.name} has a NRRD header that cannot be understood, or it is damaged: export it again.")


def read_header(path: Path) -> NrrdHeader:
    """Parse the header of a ``.nrrd`` or ``.nhdr`` file.

    Raises:
        InputError: it is no NRRD file, or has a field twice or one that the format does not know.
        OSError: it cannot be opened.
    """
    fields: dict[str, str] = {}
    keys: dict[str, str] = {}
    with open_regular(path) as stream:
        if not stream.readline(64).startswith(b"NRRD000"):
            raise InputError(f"{path.name} is not a NRRD file, or it is damaged: export the image again.")
        # A header ends at an empty line or, for detached voxels, at the end of the file.
        while stream.tell() < MAX_HEADER_BYTES:
            line = stream.readline(MAX_HEADER_BYTES).decode("utf-8", errors="surrogateescape").strip("\r\n")
            if not line:
                return NrrdHeader(path, fields, keys, stream.tell())
            if line.startswith("#"):
                continue
            if ":=" in line and ": " not in line.split(":=", 1)[0]:
                key, value = line.split(":=", 1)
                keys[key.strip()] = _unescaped(value.strip())
                continue
            name, colon, value = line.partition(":")
            name = _FIELDS.get(name.strip().lower().replace(" ", ""), "")
            if not colon or not name or name in fields:
                raise NrrdHeader(path, {}, {}, 0).unreadable()
            fields[name] = value.strip()
            if name == "data file" and value.split()[:1] and value.split()[0].upper() == "LIST":
                names = (stream.readline(4096).decode("utf-8", errors="surrogateescape").strip() for _ in range(MOST_FILES))
                return NrrdHeader(path, fields, keys, stream.tell(), tuple(filter(None, names)))
    raise InputError(f"{path.name} has no end of its NRRD header: export the image again.")


def map_voxels(header: NrrdHeader, shape: tuple[int, int, int]) -> np.ndarray | None:
    """The voxels of an uncompressed file mapped into memory, read-only ``[x, y, z]`` in Fortran order; None for any other file.

    Raises:
        InputError: it is shorter or longer than its header says.
        OSError: it cannot be opened.
    """
    if header.encoding != RAW or header.sizes != shape or {"data file", "line skip", "byte skip"} & header.fields.keys():
        return None
    size = header.path.stat().st_size
    if size != header.data_offset + int(np.prod(shape, dtype=np.int64)) * header.dtype.itemsize:
        raise damaged(header.path)
    return np.memmap(header.path, dtype=header.dtype, mode="r", offset=header.data_offset, shape=shape, order="F")


def nrrd_header(dtype: np.dtype, shape: tuple[int, ...], affine: np.ndarray, encoding: str = "raw") -> bytes:
    """Header of a NRRD file in LPS whose voxels follow at once, x fastest, in little-endian order.

    Raises:
        ValueError: for a voxel type that NRRD or its readers lack.
    """
    if dtype not in NRRD_TYPES:
        raise ValueError(f"cannot store {dtype} voxels")
    to_lps = LPS_TO_RAS @ np.asarray(affine, dtype=np.float64)
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


def _unescaped(text: str) -> str:
    r"""A value of a key, in which the format writes ``\n`` for a new line and ``\\`` for a backslash."""
    return text.replace("\\\\", "\0").replace("\\n", "\n").replace("\0", "\\")
