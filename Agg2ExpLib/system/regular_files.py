"""Opening files that were named by somebody else: regular files only, never a pipe or a device, which may wait for ever."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO

from ..errors import InputError

READ_BYTES = 1 << 22


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """A file opened for reading, unbuffered by locks: a pipe, a socket or a device is refused without waiting for it.

    Raises:
        InputError: it is no regular file.
        OSError: it cannot be opened.
    """
    # Without O_NONBLOCK the opening of a pipe waits until somebody writes into it.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    handle = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise InputError(f"{Path(path).name} is not a file but a folder, a pipe or a device: give a file.")
    return os.fdopen(handle, "rb")


def is_regular(path: str | os.PathLike[str]) -> bool:
    """Whether there is a regular file at the path (links followed), which can be opened without waiting."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116
    except (OSError, ValueError):
        return False


def sha256_of_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, as lower-case hexadecimal text.

    Raises:
        InputError: it is no regular file.
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with open_regular(path) as stream:
        while block := stream.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def sha256_of_text(text: str) -> str:
    """SHA-256 of a text in UTF-8, as lower-case hexadecimal text."""
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()
