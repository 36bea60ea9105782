"""The files that an image is read from, and their checksum: it covers every byte that is read, voxels in other files included."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ..errors import InputError
from ..system.regular_files import is_regular, sha256_of_file
from .volume import META_SUFFIXES, NRRD_SUFFIXES, suffix_of

T = TypeVar("T")
MOST_FOLDERS = 100_000


def sha256_of(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file, or of a folder: of its files' SHA-256 in the order of their paths (hidden files left out).

    For an image whose voxels lie in other files these are included.

    Raises:
        InputError: the path is missing or cannot be read.
    """
    path = Path(path)
    digests = [guarded(file, lambda file=file: sha256_of_file(file)) for file in files_of(path)]  # type: ignore[misc]
    if len(digests) == 1 and not path.is_dir():
        return digests[0]
    total = hashlib.sha256()
    for digest in digests:
        total.update(bytes.fromhex(digest))
    return total.hexdigest()


def files_of(path: Path) -> list[Path]:
    """The files that :func:`sha256_of` reads, in its order: those that reading the image reads.

    Raises:
        InputError: the path is missing or cannot be read.
    """
    require_existing(path)
    if path.is_dir():
        return [file for file in files_in(path) if is_regular(file)]
    suffix = suffix_of(path)
    voxels: tuple[Path, ...] = ()
    # What cannot be understood is refused where it is read.
    with contextlib.suppress(InputError):
        if suffix in NRRD_SUFFIXES:
            from .nrrd import read_header

            voxels = guarded(path, lambda: read_header(path).files())
        elif suffix in META_SUFFIXES:
            from .meta_image import meta_files

            voxels = guarded(path, lambda: meta_files(path))
    for file in voxels:
        if not is_regular(file):
            raise InputError(f"{path.name} needs the file {file.name} beside it, which is missing: copy both.")
    return [path, *(file for file in voxels if file != path)]


def files_in(folder: Path) -> list[Path]:
    """Everything but folders in a folder and its subfolders, sorted by path; links are followed, hidden names left out."""
    found: list[Path] = []
    seen: set[str] = set()
    waiting = [folder]
    while waiting and len(seen) < MOST_FOLDERS:
        current = waiting.pop()
        # A link may lead back up, or to a folder that is there already.
        real = os.path.realpath(current)
        if real in seen:
            continue
        seen.add(real)
        for entry in guarded(current, lambda current=current: list(os.scandir(current))):  # type: ignore[misc]
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                waiting.append(current / entry.name)
            else:
                found.append(current / entry.name)
    return sorted(found, key=Path.as_posix)


def require_existing(path: Path) -> None:
    """Refuse a path that leads nowhere.

    Raises:
        InputError: it does not exist, or cannot be looked at.
    """
    try:
        there = guarded(path, path.exists)
    except ValueError:  # NUL in a name
        there = False
    if not there:
        raise InputError(f"{path} does not exist: check the path.")


def guarded(path: Path, read: Callable[[], T]) -> T:
    """The reader's result; a refusal of the operating system becomes one sentence."""
    try:
        return read()
    except PermissionError as error:
        raise InputError(
            f"{path} cannot be opened (no permission): change its permissions or copy it to a folder of yours."
        ) from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}): check the disk or copy it again.") from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
