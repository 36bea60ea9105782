"""Which of the needed Python packages are missing or too old, found out without importing any of them."""

from __future__ import annotations

import importlib
import importlib.machinery
import platform
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from slicer.i18n import tr as _

from .TorchInstallation import BrokenTorch, findBrokenTorch

REQUIREMENTS_FILE = Path(__file__).parents[2] / "Resources" / "requirements.txt"
# These come with Slicer, and many of its modules would break with another build of them.
NEVER_REPLACED = ("numpy", "SimpleITK")
TORCH = "torch"

_LINE = re.compile(r"(?P<name>[\w.-]+)\s*>=\s*(?P<minimum>[\d.]+)")
_MODULES = {"scikit-learn": "sklearn", "pillow": "PIL", "dynamic-network-architectures": "dynamic_network_architectures"}


@dataclass(frozen=True)
class Requirement:
    """A package that must be installed.

    Attributes:
        name: of the package.
        spec: what pip is asked for, such as ``monai>=1.5.1``.
        approxSizeMB: to download, with what it brings along.
        why: what it is used for, and what is wrong with the one that is there.
    """

    name: str
    spec: str
    approxSizeMB: float
    why: str


class RequirementsCheck:
    """Compares the list of requirements with what is installed.

    Args:
        requirementsFile: one ``name>=version`` a line.
        paths: where packages are, by default ``sys.path``.

    Raises:
        ValueError: a line of another form.
    """

    def __init__(self, requirementsFile: Path = REQUIREMENTS_FILE, paths: Sequence[str] | None = None):
        self._paths = paths
        self.minimums: dict[str, str] = {}
        for line in requirementsFile.read_text(encoding="utf-8").splitlines():
            if text := line.partition("#")[0].strip():
                match = _LINE.fullmatch(text)
                if match is None:
                    raise ValueError(f"{requirementsFile}: '{text}' is not of the form name>=version")
                self.minimums[match["name"]] = match["minimum"]

    def missing(self) -> list[Requirement]:
        """What is not installed, too old or broken, in the order of the list."""
        importlib.invalidate_caches()
        requirements = []
        for name, minimum in self.minimums.items():
            problem = self._problem(name, minimum)
            if problem is not None:
                size, why = _about(name)
                why = f"{why}; {problem}" if problem else why
                requirements.append(Requirement(name, f"{name}>={minimum}", size, why))
        return requirements

    def brokenTorch(self) -> BrokenTorch | None:
        """See :func:`findBrokenTorch`."""
        return findBrokenTorch(self._paths)

    def installedVersion(self, name: str) -> str | None:
        """Version of a package as pip knows it; None when pip knows none."""
        if self._paths is None:
            found = metadata.distributions(name=name)
        else:
            found = metadata.distributions(name=name, path=list(self._paths))
        return next((each.version for each in found if each.version), None)

    def atLeast(self, name: str, minimum: str) -> bool:
        """Whether a package of at least this version is installed, here or in the Python that runs this."""
        version = self.installedVersion(name) or next((each.version for each in metadata.distributions(name=name)), None)
        return version is not None and _release(version) >= _release(minimum)

    def installedVersions(self) -> dict[str, str]:
        """Versions of all packages that pip knows, by name in pip's spelling; of two with one name, that which is imported."""
        found = metadata.distributions() if self._paths is None else metadata.distributions(path=list(self._paths))
        versions: dict[str, str] = {}
        for each in found:
            if each.metadata["Name"] and each.version:
                versions.setdefault(re.sub(r"[-_.]+", "-", each.metadata["Name"]).lower(), each.version)
        return versions

    def _problem(self, name: str, minimum: str) -> str | None:
        """What is wrong with an installed package, empty when it is not there, None when all is well."""
        version = self.installedVersion(name)
        if name == TORCH and (broken := self.brokenTorch()) is not None:
            return _("the installed one is incomplete ({reason})").format(reason=broken.reason)
        spec = importlib.machinery.PathFinder.find_spec(_MODULES.get(name, name), list(self._paths or sys.path))
        if spec is None or spec.origin is None:
            return ""
        # A package that is built into Slicer need not be known to pip.
        if version is not None and _release(version) < _release(minimum):
            return _("the installed version {version} is too old").format(version=version)
        return None


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a version, without trailing zeros and without what marks builds and releases to come."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in match[0].split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _torchSize() -> float:
    """Megabytes of what the PyTorch extension chooses for this computer: with an NVIDIA card its CUDA libraries come along.

    Sums of the wheels' sizes as the package index tells them (torch 2.15, for Linux without CUDA 2.13, for Intel Macs 2.2, the last
    one) with 11 MB of what they need. That for CUDA on Windows, which the index does not have, is an estimate.
    """
    if sys.platform == "darwin":
        return 160 if platform.machine() == "x86_64" else 150
    if shutil.which("nvidia-smi"):
        return 3200 if sys.platform == "linux" else 3000
    return 140 if sys.platform == "win32" else 200


def _about(name: str) -> tuple[float, str]:
    """Megabytes to download, and what the package is for."""
    table = {
        "torch": (_torchSize(), _("computes the segmentation and its explanation")),
        "monai": (1.7, _("the segmentation networks")),
        "dynamic-network-architectures": (0.1, _("the networks of nnU-Net")),
        "einops": (0.1, _("used by the networks")),
        "numpy": (16, _("calculates with arrays")),
        "scipy": (36, _("works on regions")),
        "SimpleITK": (53, _("reads and resamples images")),
        "nibabel": (3.5, _("reads and writes NIfTI files")),
        "pydicom": (2.5, _("reads DICOM files")),
        "safetensors": (0.5, _("reads weights safely")),
        "matplotlib": (16, _("draws figures for export")),
        "pillow": (7, _("writes pictures")),
        "networkx": (2, _("lays out the importance graph")),
        "psutil": (0.2, _("measures memory and ends processes")),
        "captum": (0.5, _("explains with supervoxels")),
        "scikit-learn": (10, _("compares with a cohort, and explains with supervoxels")),
        "tqdm": (0.1, _("shows progress on a terminal")),
    }
    return table.get(name, (1, ""))
