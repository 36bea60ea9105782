"""Temporary folders that hold patients' data: for the user's eyes only, and cleared away even when their process was killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from types import TracebackType

from .file_lock import FileLock

_LOCK = "in-use.lock"
_OLD_S = 24 * 3600.0  # a folder without a lock is in the making, or of an earlier version


class PrivateFolder:
    """A folder that is there until :meth:`remove`, or the end of a ``with`` block; only the user who made it can read it.

    A file in it is locked as long as this process lives, so that others can tell a folder in use from one left behind.

    Args:
        root: where it lies.
        prefix: of its name.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, root: str, prefix: str):
        self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=root))  # mode 0700
        self._lock = FileLock.make(self.path / _LOCK)

    def remove(self) -> None:
        """Delete it with all that is in it."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        shutil.rmtree(self.path, ignore_errors=True)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.remove()


def clear_abandoned(root: str, prefix: str) -> list[Path]:
    """Delete the folders of this user that processes which were killed have left, and return them."""
    cleared = []
    with contextlib.suppress(OSError):
        for folder in Path(root).glob(f"{prefix}*"):
            if folder.is_symlink() or not folder.is_dir() or not _is_ours(folder):
                continue
            file = folder / _LOCK
            if file.exists():
                lock = FileLock.take(file)
                if lock is None:  # its owner lives
                    continue
                lock.release()
            elif time.time() - folder.stat().st_mtime < _OLD_S:  # it is being made just now, perhaps
                continue
            shutil.rmtree(folder, ignore_errors=True)
            cleared.append(folder)
    return cleared


def _is_ours(folder: Path) -> bool:
    return os.name == "nt" or folder.stat().st_uid == os.getuid()
