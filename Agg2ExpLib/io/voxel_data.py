"""Voxels as bytes of a file: nothing is taken unless it is whole, and nothing is allocated that the file cannot hold.

A compressed stream counts as whole when its end is marked, its checksum fits and it gives exactly the bytes that the header claims.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import InputError
from ..system.memory import MOST_INFLATION, require_memory

READ_BYTES = 1 << 22
RAW, GZIP, ZLIB, TEXT, HEX = "raw", "gzip", "zlib", "text", "hex"
# Window bits of zlib that accept a gzip file, and a zlib or gzip stream, as MetaImage has both.
_WINDOW_BITS = {GZIP: 31, ZLIB: 47}


class DamagedError(Exception):
    """The bytes are not whole."""


def damaged(path: Path) -> InputError:
    """The refusal of a file whose voxels are not whole."""
    return InputError(f"{path.name} is damaged or incomplete: copy or export it again.")


def claim(path: Path, sizes: Sequence[int], dtype: np.dtype, stored: int, compressed: bool) -> int:
    """Bytes of the voxels that a header claims, checked against what its file holds and against the free memory.

    Raises:
        InputError: the file is too short for them, or the memory too small.
    """
    count = 1
    for size in sizes:
        count *= int(size)
    needed = count * dtype.itemsize
    if needed > (stored + 1) * (MOST_INFLATION if compressed else 1):
        raise damaged(path)
    require_memory(needed, f"{path.name} ({' × '.join(map(str, sizes))} voxels)", "close other programs or crop the CT")
    return needed


def read_part(stream: BinaryIO, encoding: str, view: memoryview, dtype: np.dtype, stored: int | None = None) -> None:
    """Fill ``view`` with the voxels that begin at the stream's place.

    Args:
        stream: of the file.
        encoding: ``raw``, ``gzip``, ``zlib``, ``text`` or ``hex``.
        view: bytes of the voxels.
        dtype: of the voxels, in the file's byte order; text is turned into it.
        stored: bytes of the compressed data, where the header tells; None for all that is left.

    Raises:
        DamagedError: too few or too many bytes, or a stream that is not whole.
    """
    if encoding == RAW:
        read_exactly(stream, view)
    elif encoding in _WINDOW_BITS:
        _inflate(stream, view, stored, encoding)
    else:
        # No number is written with more than 64 characters.
        most = (len(view) // dtype.itemsize + 1) * 64
        text = stream.read(most + 1)
        if len(text) > most:
            raise DamagedError("more text than numbers")
        try:
            values = bytes.fromhex(text.decode("ascii")) if encoding == HEX else _numbers(text, dtype)
        except (ValueError, OverflowError) as error:
            raise DamagedError(str(error)) from error
        if len(values) != len(view):
            raise DamagedError(f"{len(values)} of {len(view)} bytes")
        view[:] = values


def read_exactly(stream: BinaryIO, view: memoryview) -> None:
    """Fill ``view`` from the stream's place.

    Raises:
        DamagedError: bytes are missing.
    """
    done = 0
    while done < len(view):
        got = stream.readinto(view[done : done + READ_BYTES])  # type: ignore[attr-defined]
        if not got:
            raise DamagedError(f"{done} of {len(view)} bytes")
        done += got


def stored_bytes(stream: BinaryIO) -> int:
    """Bytes from the stream's place to the file's end."""
    return max(0, os.fstat(stream.fileno()).st_size - stream.tell())


def native(flat: np.ndarray) -> np.ndarray:
    """The same numbers in this computer's byte order; works in place."""
    return flat if flat.dtype.isnative else flat.byteswap(inplace=True).view(flat.dtype.newbyteorder("="))


def _inflate(stream: BinaryIO, view: memoryview, stored: int | None, encoding: str) -> None:
    left = stored_bytes(stream) if stored is None else stored
    if left > stored_bytes(stream):
        raise DamagedError("less compressed data than the header says")
    decoder = zlib.decompressobj(_WINDOW_BITS[encoding])
    done, data = 0, b""
    try:
        while True:
            if not data:
                data = stream.read(min(READ_BYTES, left))
                left -= len(data)
                if not data:
                    raise DamagedError("the compressed data ends early")
            piece = decoder.decompress(data, READ_BYTES)
            if done + len(piece) > len(view):
                raise DamagedError("more voxels than the header says")
            view[done : done + len(piece)] = piece
            done += len(piece)
            data = decoder.unconsumed_tail
            if not decoder.eof:
                continue
            data = decoder.unused_data
            if not data:
                data = stream.read(min(READ_BYTES, left))
                left -= len(data)
            if encoding != GZIP or not data.startswith(b"\x1f\x8b"):
                break
            # gzip files may be joined end to end.
            decoder = zlib.decompressobj(_WINDOW_BITS[encoding])
    except zlib.error as error:
        raise DamagedError(str(error)) from error
    if done != len(view):
        raise DamagedError(f"{done} of {len(view)} bytes")


def _numbers(text: bytes, dtype: np.dtype) -> bytes:
    parts = text.replace(b",", b" ").split()
    if dtype.kind == "f":
        return np.array([float(part) for part in parts]).astype(dtype).tobytes()
    return np.array([int(part) for part in parts], dtype=dtype).tobytes()
