"""The private folder of a server whose client is on another computer: files come in, results go out, and nothing stays."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import InputError
from ..monitor import Monitor
from ..runs.runner import EventMonitor
from ..system.private_folder import PrivateFolder, clear_abandoned
from .frames import (
    CHUNK,
    MOST_BYTES,
    MOST_FILES,
    FileEntry,
    chunks_of,
    new_file,
    parse_line,
    read_exactly,
    read_line,
    safe_parts,
    size_of,
)

_PREFIX = "agg2exp-served-"
_SHORT_LINE = 1024
# Left free on the disk for whatever else the computer does.
_RESERVE_BYTES = 200 * 2**20


class Scratch:
    """Made when something first comes; goes with the server, and what a killed server has left goes with the next one."""

    def __init__(self) -> None:
        self._folder: PrivateFolder | None = None
        clear_abandoned(tempfile.gettempdir(), _PREFIX)

    @property
    def path(self) -> Path:
        """The folder.

        Raises:
            InputError: it cannot be made.
        """
        if self._folder is None:
            try:
                self._folder = PrivateFolder(tempfile.gettempdir(), _PREFIX)
            except OSError as error:
                raise InputError(f"No temporary folder can be made there ({error.strerror or error}): make room.") from None
        return self._folder.path

    def inside(self, name: object) -> Path:
        """A path below it, from a name that was sent.

        Raises:
            InputError: the name could lead elsewhere.
        """
        return self.path.joinpath(*safe_parts(name))

    def drop(self, name: object) -> None:
        """Delete a folder below it with all that is in it."""
        shutil.rmtree(self.inside(name), ignore_errors=True)

    def close(self) -> None:
        """Delete it."""
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.remove()

    def take(self, request: Mapping[str, Any], source: BinaryIO, monitor: EventMonitor) -> dict[str, object] | None:
        """Store files that follow on the stream as a folder, in place of an earlier one of that name.

        Args:
            request: ``into``, the folder's name, and ``files``, a list of ``name`` and ``bytes``.
            source: where their chunks come from, once ``send`` was told.
            monitor: is told.

        Returns:
            The folder's path; None where the other side has given up.

        Raises:
            InputError: a name, a size, or the disk does not allow it; what was sent has been read all the same.
            EOFError: the stream has ended.
        """
        folder = self.inside(request.get("into"))
        entries = announced(request.get("files"))
        total = sum(entry.size for entry in entries)
        shutil.rmtree(folder, ignore_errors=True)
        free = shutil.disk_usage(self.path).free
        if total + _RESERVE_BYTES > free:
            raise InputError(
                f"The disk there has {free / 1e9:.1f} GB free, which is too little for {total / 1e9:.1f} GB: make room, or let "
                "TMPDIR name another disk there."
            )
        monitor.emit("send")
        problem = ""
        for entry in entries:
            problem = _store(entry, folder, source, problem)
        if problem == _GIVEN_UP:
            shutil.rmtree(folder, ignore_errors=True)
            return None
        if problem:
            shutil.rmtree(folder, ignore_errors=True)
            raise InputError(f"The disk there cannot take what is sent ({problem}): make room.")
        return {"folder": str(folder)}

    def send(self, name: object, monitor: EventMonitor) -> dict[str, object]:
        """Send every file of a folder, in order of their names.

        Raises:
            Cancelled: the monitor asked to stop.
            InputError: there is no such folder.
        """
        folder = self.inside(name)
        files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        if not files:
            raise InputError("There is nothing to fetch there.")
        sizes = [path.stat().st_size for path in files]
        monitor.emit("sending", files=len(files), bytes=sum(sizes))
        for path in files:
            send_file(path, path.relative_to(folder).as_posix(), monitor, monitor)
        return {}


_GIVEN_UP = "given up"


def announced(files: object) -> list[FileEntry]:
    """What a list of files says.

    Raises:
        InputError: it is no list, too long, too large, or a name or size in it does not do.
    """
    if not isinstance(files, Sequence) or isinstance(files, str) or not 0 < len(files) <= MOST_FILES:
        raise InputError(f"The files to send must be a list of 1 to {MOST_FILES}.")
    entries = []
    for entry in files:
        if not isinstance(entry, Mapping):
            raise InputError("A file to send must have a name and a number of bytes.")
        entries.append(FileEntry(safe_parts(entry.get("name")), size_of(entry.get("bytes"))))
    if sum(entry.size for entry in entries) > MOST_BYTES:
        raise InputError(f"The files to send have more than {MOST_BYTES} bytes.")
    return entries


def send_file(path: Path, name: str, monitor: Monitor, stream: EventMonitor, **details: object) -> None:
    """Send one file as an event ``file`` and its chunks.

    Raises:
        Cancelled: the monitor asked to stop; the other side is told.
    """
    size = path.stat().st_size
    stream.emit("file", name=name, bytes=size, **details)
    sent = 0
    try:
        for data in chunks_of(path, monitor.check):
            data = data[: size - sent]  # it may grow meanwhile
            if not data:
                break
            stream.emit_bytes("chunk", data, bytes=len(data))
            sent += len(data)
    finally:
        if sent < size:
            stream.emit("chunk", bytes=0)


def _store(entry: FileEntry, folder: Path, source: BinaryIO, problem: str) -> str:
    """Read a file's chunks, and write them while there is no problem; returns the problem."""
    if problem == _GIVEN_UP:
        return problem
    file = None
    try:
        if not problem:
            try:
                file = new_file(entry.below(folder))
            except OSError as error:
                problem = error.strerror or str(error)
        left = entry.size
        while left:
            line = read_line(source, _SHORT_LINE)
            if line is None:
                raise EOFError
            content = parse_line(line)
            size = content.get("bytes") if isinstance(content, dict) else None
            if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= min(left, CHUNK):
                raise EOFError  # whatever follows cannot be told from anything else
            if size == 0:
                return _GIVEN_UP
            data = read_exactly(source, size)
            if len(data) < size:
                raise EOFError
            left -= size
            if file is not None and not problem:
                try:
                    file.write(data)
                except OSError as error:
                    problem = error.strerror or str(error)
        return problem
    finally:
        if file is not None:
            try:
                file.close()
            except OSError as error:
                problem = problem or error.strerror or str(error)
