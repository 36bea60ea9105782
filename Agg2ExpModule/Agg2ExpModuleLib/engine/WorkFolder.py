"""Temporary folders for what child processes read: for the user's eyes only, and cleared away even when Slicer was killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from types import TracebackType

import slicer

from Agg2ExpLib.system.file_lock import FileLock

_PREFIX, _LOCK = "Agg2Exp-", "in-use.lock"
_OLD_S = 24 * 3600.0  # folders of earlier versions had no lock


class WorkFolder:
    """A folder that is there until :meth:`remove`, or the end of a ``with`` block; only the user who made it can read it.

    A file in it is locked as long as this process lives, so that others can tell a folder in use from one left behind.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_root()))  # mode 0700
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


def clearAbandoned() -> list[Path]:
    """Delete the folders that Slicers which were killed have left, and return them; they hold a copy of a CT."""
    cleared = []
    with contextlib.suppress(OSError):
        for folder in Path(_root()).glob(f"{_PREFIX}*"):
            if folder.is_symlink() or not folder.is_dir() or not _isOurs(folder):
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


def _root() -> str:
    """Slicer's temporary folder, or the system's."""
    folder = getattr(getattr(slicer, "app", None), "temporaryPath", None)
    return folder if isinstance(folder, str) and folder else tempfile.gettempdir()


def _isOurs(folder: Path) -> bool:
    return os.name == "nt" or folder.stat().st_uid == os.getuid()
