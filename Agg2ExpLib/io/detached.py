"""Voxels that lie in files of their own beside an image's header. A header may name only files of its own folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..system.regular_files import is_regular, open_regular
from .voxel_data import RAW, TEXT, DamagedError, claim, damaged, native, read_part, stored_bytes

MOST_FILES = 100_000
_ELSEWHERE = re.compile(r"[/\\\x00]|^\.\.?$|^[A-Za-z]:")


@dataclass(frozen=True)
class VoxelFiles:
    """Where the voxels of an image lie and how they are stored.

    Attributes:
        header: the file with the header.
        sizes: along every axis, the fastest first.
        dtype: in the order of bytes of the file.
        encoding: see :func:`~.voxel_data.read_part`.
        files: in which the voxels lie one after another, each holding an equal part; the header's own file, or others.
        start: bytes of each file before what counts.
        lines: lines from there that do not count.
        skip: bytes from there before the voxels; -1 where these end with the file.
        stored: bytes of the compressed data, where the header tells.
    """

    header: Path
    sizes: tuple[int, ...]
    dtype: np.dtype
    encoding: str
    files: tuple[Path, ...]
    start: int = 0
    lines: int = 0
    skip: int = 0
    stored: int | None = None

    def read(self) -> np.ndarray:
        """The voxels in native byte order, shape ``sizes``, in Fortran order.

        Raises:
            InputError: a file is missing, too long or too short, or its compressed data is not whole.
            OSError: one cannot be opened.
        """
        for file in self.files:
            if not is_regular(file):
                raise InputError(f"{self.header.name} needs the file {file.name} beside it, which is missing: copy both.")
        stored = sum(file.stat().st_size for file in self.files)
        # Text takes at least two characters a number.
        held = stored * self.dtype.itemsize if self.encoding == TEXT else stored
        needed = claim(self.header, self.sizes, self.dtype, held, compressed=self.encoding not in (RAW, TEXT))
        count = len(self.files)
        if needed % count or self.sizes[-1] % count:
            raise InputError(
                f"{self.header.name} divides its voxels among {count} files, which does not work out: export it again."
            )
        flat = np.empty(needed // self.dtype.itemsize, dtype=self.dtype)
        view = memoryview(flat.view(np.uint8))  # type: ignore[arg-type]
        part = needed // count
        for number, file in enumerate(self.files):
            try:
                self._read_file(file, view[number * part : (number + 1) * part])
            except DamagedError as error:
                raise damaged(file if file != self.header else self.header) from error
        return native(flat).reshape(self.sizes, order="F")

    def _read_file(self, file: Path, view: memoryview) -> None:
        with open_regular(file) as stream:
            end = stored_bytes(stream)
            if self.skip < 0:
                if self.encoding != RAW or len(view) > end:
                    raise DamagedError("data counted from the end of the file")
                stream.seek(end - len(view))
            else:
                stream.seek(self.start)
                for _ in range(self.lines):
                    if not stream.readline(1 << 16).endswith(b"\n"):
                        raise DamagedError("lines are missing")
                stream.seek(stream.tell() + self.skip)
            if self.encoding == RAW and stored_bytes(stream) != len(view):
                raise DamagedError(f"{stored_bytes(stream)} bytes instead of {len(view)}")
            read_part(stream, self.encoding, view, self.dtype, self.stored)


def beside(header: Path, name: str) -> Path:
    """A file that a header names, in the header's own folder.

    Raises:
        InputError: the name leads elsewhere.
    """
    name = name.strip()
    if not name or _ELSEWHERE.search(name):
        raise InputError(
            f"{header.name} names '{name[:80]}' as the file of its voxels: only files beside it are read, so put "
            "that file there and correct the name."
        )
    return header.parent / name


def numbered(header: Path, words: Sequence[str]) -> tuple[Path, ...]:
    """The files of a pattern ``slice%03d.raw first last step``, as NRRD and MetaImage write it.

    Raises:
        InputError: it cannot be understood.
    """
    pattern = re.fullmatch(r"([^%]*)%0?(\d*)d([^%]*)", words[0])
    try:
        first, last, step = (int(word) for word in (*words[1:4], "1")[:3])
        width = int(pattern[2] or 0) if pattern else -1
    except ValueError:
        pattern = None
    if pattern is None or step == 0 or not 0 <= width <= 20 or not 0 <= (last - first) // step < MOST_FILES:
        raise InputError(f"{header.name} names its voxels' files in a way that cannot be understood: export it as one file.")
    numbers = range(first, last + (1 if step > 0 else -1), step)
    return tuple(beside(header, f"{pattern[1]}{number:0{width}d}{pattern[3]}") for number in numbers)
