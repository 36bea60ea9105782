"""What goes through a channel: JSON objects, one a line, and files cut into chunks, each announced by such a line.

Nothing that comes in is trusted: lines and files have a largest size, and names are checked part by part before they become paths.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import InputError
from ..system.names import FORBIDDEN, is_file_name, safe_file_name

PROTOCOL = 1
LONGEST_LINE = 4 * 2**20
CHUNK = 1 << 18
MOST_FILES = 20_000
MOST_BYTES = 64 * 2**30
_MOST_DEPTH = 12
TOO_LONG = object()


@dataclass(frozen=True)
class FileEntry:
    """A file that is announced.

    Attributes:
        parts: of its path below a folder, each a safe name.
        size: in bytes.
    """

    parts: tuple[str, ...]
    size: int

    def below(self, folder: Path) -> Path:
        """Where it goes."""
        return folder.joinpath(*self.parts)


def safe_parts(name: object) -> tuple[str, ...]:
    """The parts of a relative path with ``/`` that somebody else has sent.

    Raises:
        InputError: it could lead anywhere but below a folder, or is no name that every system can hold.
    """
    if not isinstance(name, str) or not name:
        raise InputError("A file that was sent has no name.")
    parts = tuple(name.split("/"))
    for part in parts:
        if not is_file_name(part):
            raise InputError(f"A file that was sent is named {name[:80]!r}, which cannot be stored safely: name it differently.")
    if len(parts) > _MOST_DEPTH:
        raise InputError(f"A file that was sent lies {len(parts)} folders deep: at most {_MOST_DEPTH} are taken.")
    return parts


def fit_name(name: str) -> str:
    """A file's own name as one that :func:`safe_parts` takes."""
    return safe_file_name("".join("_" if char in FORBIDDEN or ord(char) < 32 else char for char in name))


def size_of(value: object) -> int:
    """The size of a file that is announced.

    Raises:
        InputError: it is no size, or too large.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_BYTES:
        raise InputError(f"A file that was sent is {str(value)[:30]} bytes long: at most {MOST_BYTES} are taken.")
    return value


def read_line(stream: BinaryIO, longest: int = LONGEST_LINE) -> Any:
    """The next line as bytes; ``TOO_LONG`` for one that is skipped, None at the end."""
    line = stream.readline(longest)
    if not line:
        return None
    if len(line) < longest or line.endswith(b"\n"):
        return line
    while (rest := stream.readline(longest)) and not rest.endswith(b"\n"):
        pass
    return TOO_LONG


def parse_line(line: object) -> Any:
    """The JSON value in a line, None where there is none."""
    if not isinstance(line, bytes):
        return None
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def read_exactly(stream: BinaryIO, size: int) -> bytes:
    """So many bytes, fewer only where the stream ends."""
    parts = []
    while size and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def chunks_of(path: Path, check: Callable[[], None]) -> Iterator[bytes]:
    """A file's content, asking before each chunk whether to go on.

    Raises:
        Exception: what ``check`` raises.
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        while True:
            check()
            data = stream.read(CHUNK)
            if not data:
                return
            yield data


def new_file(path: Path) -> BinaryIO:
    """A file that was not there, opened for writing; folders above it are made.

    Raises:
        OSError: it is there already, or cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    return os.fdopen(os.open(path, flags, 0o600), "wb")
