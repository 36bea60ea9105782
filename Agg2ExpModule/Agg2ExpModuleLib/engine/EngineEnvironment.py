"""Which Python runs the computation, and what it must be told to find the library."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import slicer


def findPython() -> str | None:
    """``PythonSlicer`` of the running Slicer; outside Slicer the running Python; None when there is neither."""
    name = "PythonSlicer.exe" if os.name == "nt" else "PythonSlicer"
    home = getattr(getattr(slicer, "app", None), "slicerHome", None)
    if isinstance(home, str) and (beside := Path(home) / "bin" / name).is_file():
        return str(beside)
    if found := shutil.which("PythonSlicer"):
        return found
    # Inside Slicer this may name the application itself, which would open a second Slicer.
    own = Path(sys.executable) if sys.executable else None
    return str(own) if own is not None and "python" in own.name.lower() else None


def libraryFolder() -> str | None:
    """The folder that contains the package Agg2ExpLib, None when it cannot be found."""
    spec = importlib.util.find_spec("Agg2ExpLib")
    return str(Path(spec.origin).parent.parent) if spec is not None and spec.origin else None


def engineEnvironment(library: str) -> dict[str, str]:
    """Environment variables for the computation, on top of Slicer's own."""
    known = os.environ.get("PYTHONPATH")
    return {
        "PYTHONPATH": os.pathsep.join([library, known]) if known else library,
        "PYTHONUTF8": "1",
        "PYTHONIOENCODING": "utf-8",
        "PYTHONUNBUFFERED": "1",
        # So that a crash says what it was: Slicer's launcher hides the signal.
        "PYTHONFAULTHANDLER": "1",
        # The folder it runs in holds the user's files, and none of them shall be imported.
        "PYTHONSAFEPATH": "1",
    }
