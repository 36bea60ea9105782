"""A file that one process holds locked: the system lets go of it when that process ends, however it ends."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt


class FileLock:
    """A locked file; :meth:`make` and :meth:`take` give one.

    The file tells others whether the work of its name still goes on, where a process id could not: ids are used again, and mean
    nothing on another machine that shares the disk.
    """

    def __init__(self, path: Path, descriptor: int):
        self._path, self._descriptor = path, descriptor

    @classmethod
    def make(cls, path: Path) -> FileLock | None:
        """Make the file and lock it; None where that cannot be, e.g. on a disk that knows no locks."""
        return cls._open(path, os.O_RDWR | os.O_CREAT)

    @classmethod
    def take(cls, path: Path) -> FileLock | None:
        """Lock a file that is there; None where somebody holds it, where it is gone, or where it cannot be said."""
        return cls._open(path, os.O_RDWR)

    @classmethod
    def _open(cls, path: Path, flags: int) -> FileLock | None:
        try:
            descriptor = os.open(path, flags, 0o666)
        except OSError:
            return None
        try:
            _lock(descriptor)
            # Another process may have taken the file and removed it meanwhile: then this locks nothing that others see.
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return cls(path, descriptor)
        except OSError:
            pass
        os.close(descriptor)
        return None

    def release(self, remove: bool = True) -> None:
        """Let go of the file, and remove it unless its work is left for others to end."""
        if os.name == "nt":  # an open file cannot be removed there
            os.close(self._descriptor)
        if remove:
            with contextlib.suppress(OSError):
                self._path.unlink()
        if os.name != "nt":  # nobody shall lock a file that is about to go
            os.close(self._descriptor)


def _lock(descriptor: int) -> None:
    """Lock an open file, or raise OSError at once where another has it (also in this process)."""
    if os.name == "nt":
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
