"""Asks for a folder, beginning at the last one."""

from __future__ import annotations

from pathlib import Path

import qt
import slicer

_KEY = "Agg2Exp/LastFolder"


def askFolder(title: str) -> Path | None:
    """The folder that the user chooses, None for none."""
    settings = qt.QSettings()
    last = settings.value(_KEY) or ""
    chosen = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title, str(last))
    if not chosen:
        return None
    settings.setValue(_KEY, str(chosen))
    return Path(str(chosen))
