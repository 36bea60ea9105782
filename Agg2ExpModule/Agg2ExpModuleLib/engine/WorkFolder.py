"""Temporary folders for what child processes read: for the user's eyes only, and cleared away even when Slicer was killed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import slicer

from Agg2ExpLib.system.private_folder import PrivateFolder, clear_abandoned

_PREFIX = "Agg2Exp-"


class WorkFolder(PrivateFolder):
    """A private folder in Slicer's temporary folder.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self) -> None:
        super().__init__(_root(), _PREFIX)


def clearAbandoned() -> list[Path]:
    """Delete the folders that Slicers which were killed have left, and return them; they hold a copy of a CT."""
    return clear_abandoned(_root(), _PREFIX)


def _root() -> str:
    """Slicer's temporary folder, or the system's."""
    folder = getattr(getattr(slicer, "app", None), "temporaryPath", None)
    return folder if isinstance(folder, str) and folder else tempfile.gettempdir()
