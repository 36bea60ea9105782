"""What DICOM files are written with: highdicom and a pydicom that is newer than that of Slicers up to 5.10.

Slicer's own modules need its own pydicom, so these come into a folder of their own, which only the process that writes looks into.
"""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import slicer

from .RequirementsCheck import RequirementsCheck

_MINIMUMS = {"highdicom": "0.28", "pydicom": "3.0.1", "pyjpegls": "1.0"}
# Small packages that they need; numpy and pillow are Slicer's.
_WITH = ("packaging>=17.1", "typing-extensions>=4")
MEGABYTES = 7.0  # of all of them, to download


class DicomPackages:
    """Finds them; nothing is imported to find out.

    Attributes:
        folder: where they are installed.
    """

    def __init__(self) -> None:
        settings = Path(str(slicer.app.slicerUserSettingsFilePath)).parent
        self.folder = settings / "Agg2Exp" / f"dicom-python{sys.version_info[0]}.{sys.version_info[1]}"

    def folders(self) -> list[str] | None:
        """Folders that the process must look into first: none where Python has them by itself; None where they are missing."""
        own = RequirementsCheck()
        if all(own.atLeast(name, minimum) for name, minimum in _MINIMUMS.items()):
            return []
        there = {each.metadata["Name"].lower() for each in metadata.distributions(path=[str(self.folder)]) if each.metadata["Name"]}
        return [str(self.folder)] if there >= set(_MINIMUMS) else None

    def arguments(self) -> list[str]:
        """Of Python, to install them. Without dependencies: with them, pip would bring another numpy."""
        options = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--no-deps", "--upgrade"]
        specs = [f"{name}>={minimum}" for name, minimum in _MINIMUMS.items()]
        return ["-m", "pip", "install", *options, "--target", str(self.folder), *specs, *_WITH]
