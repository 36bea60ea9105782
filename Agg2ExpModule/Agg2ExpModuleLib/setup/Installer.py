"""What must be installed, in which order and with which commands, so that what Slicer brought is left alone.

PyTorch comes first and by the PyTorch extension, which chooses the build for this computer's graphics card; everything after it is
installed with constraints that hold every package there is at its version, and packages that need PyTorch without what they need.
So none of these commands can bring, change or remove torch, numpy or SimpleITK.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from .RequirementsCheck import NEVER_REPLACED, REQUIREMENTS_FILE, TORCH, Requirement, RequirementsCheck

# They need torch, and with their own lists of dependencies pip would fetch or exchange torch and numpy. What else they need is in
# our list.
_WITHOUT_DEPENDENCIES = ("monai", "captum", "dynamic-network-architectures")
_EXTENSION, _TOOL = "PyTorchUtils", "light-the-torch"
_TOOL_SPEC, _TOOL_MB = "light-the-torch>=0.5", 0.1
_PIP_VERSION = re.compile(r"(\d+!)?\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?(\+[a-z0-9]+([._-][a-z0-9]+)*)?", re.IGNORECASE)


class InstallError(Exception):
    """Why an installation cannot succeed and what to do next, in words for the user."""


@dataclass(frozen=True)
class Command:
    """One call of Slicer's Python.

    Attributes:
        title: what it installs, for the user.
        arguments: of Python, without constraints.
        megabytes: to download, about.
        pinned: packages that its constraints hold; None for all that are installed.
    """

    title: str
    arguments: tuple[str, ...]
    megabytes: float
    pinned: tuple[str, ...] | None = None


class Installer:
    """Finds what is missing and plans its installation. Nothing is imported to find out.

    Args:
        requirementsFile: one ``name>=version`` a line.
        paths: where packages are, by default ``sys.path``.

    Attributes:
        check: what is installed.
    """

    def __init__(self, requirementsFile: Path = REQUIREMENTS_FILE, paths: Sequence[str] | None = None):
        self.check = RequirementsCheck(requirementsFile, paths)

    def missing(self) -> list[Requirement]:
        """What must be installed before a run."""
        return self.check.missing()

    def describe(self, missing: Sequence[Requirement]) -> str:
        """The question to the user: what, why, how much, and what is left alone."""
        if not missing:
            return _("Everything that is needed is installed.")
        size = sum(requirement.approxSizeMB for requirement in missing)
        lines = [
            _("Agg2Exp needs Python packages that this Slicer does not have (about {size} to download):").format(
                size=sizeText(size)
            ),
            "",
        ]
        for requirement in missing:
            about = sizeText(requirement.approxSizeMB)
            lines.append(_("• {spec}, {size}: {why}").format(spec=requirement.spec, size=about, why=requirement.why))
        if any(requirement.name == TORCH for requirement in missing):
            lines += ["", _("PyTorch comes first: the PyTorch extension chooses the build for this computer.")]
            broken = self.check.brokenTorch()
            if broken is not None:
                folders = "\n".join(f"    {folder}" for folder in broken.folders)
                lines += ["", _("The incomplete PyTorch will be deleted first:"), folders]
        lines += [
            "",
            _("They are installed into Slicer's own Python; what is there already is not replaced. This can take some minutes."),
            _("Install now?"),
        ]
        return "\n".join(lines)

    def plan(self, missing: Sequence[Requirement], wheelFolder: str | None = None) -> list[Command]:
        """The commands, in their order; nothing is changed or downloaded yet.

        Args:
            missing: from :meth:`missing`.
            wheelFolder: a folder of wheels to take everything from, for a computer without internet.

        Raises:
            InstallError: it cannot succeed.
        """
        bundled = [requirement for requirement in missing if requirement.name in NEVER_REPLACED]
        if bundled:
            raise InstallError(
                _("{spec} is needed but this Slicer's own is too old or missing: use a newer Slicer (5.10 or later).").format(
                    spec=bundled[0].spec
                )
            )
        source = _wheelArguments(wheelFolder)
        torch = next((requirement for requirement in missing if requirement.name == TORCH), None)
        others = [requirement for requirement in missing if requirement.name != TORCH]
        commands = [] if torch is None else self._torchCommands(torch, source)
        for alone in (True, False):
            group = [requirement for requirement in others if (requirement.name in _WITHOUT_DEPENDENCIES) == alone]
            if group:
                names = ", ".join(requirement.name for requirement in group)
                arguments = [*self._pip(), *source, *(["--no-deps"] if alone else []), *(each.spec for each in group)]
                commands.append(Command(names, tuple(arguments), sum(each.approxSizeMB for each in group)))
        return commands

    def constraints(self, command: Command, missing: Sequence[Requirement]) -> str:
        """Lines of a constraints file: what is installed now at its version, but for what shall be exchanged."""
        exchanged = {requirement.name.lower() for requirement in missing}
        pinned = None if command.pinned is None else {name.lower() for name in command.pinned}
        lines = [
            f"{name}=={version}"
            for name, version in sorted(self.check.installedVersions().items())
            # Slicer's own builds may have versions that pip cannot read.
            if name not in exchanged and (pinned is None or name in pinned) and _PIP_VERSION.fullmatch(version)
        ]
        return "\n".join(lines) + "\n"

    def removeBrokenTorch(self) -> str:
        """Delete a half-installed PyTorch; returns what was wrong with it, empty where there is none.

        Raises:
            InstallError: it is in use, or cannot be deleted.
        """
        broken = self.check.brokenTorch()
        if broken is None:
            return ""
        if TORCH in sys.modules:
            raise InstallError(
                _("The incomplete PyTorch is in use: restart Slicer and install the requirements before anything else uses it.")
            )
        if left := broken.remove():
            raise InstallError(
                _(
                    "The incomplete PyTorch could not be deleted. Close Slicer, delete these folders and start again: {folders}"
                ).format(folders=", ".join(map(str, left)))
            )
        return broken.reason

    def _torchCommands(self, torch: Requirement, source: list[str]) -> list[Command]:
        if source:  # the PyTorch extension can only take it from the internet
            return [Command(_("PyTorch"), (*self._pip(), *source, torch.spec), torch.approxSizeMB)]
        logic = _extensionLogic()
        commands = []
        if self.check.installedVersion(_TOOL) is None:
            # It may need another pip than this one, which therefore is not held.
            commands.append(Command(_TOOL, (*self._pip(), _TOOL_SPEC), _TOOL_MB, NEVER_REPLACED))
        wanted = torch.spec.removeprefix(torch.name)
        ask = getattr(logic, "_getPipInstallArguments", None)
        arguments = list(ask(None, wanted)) if ask is not None else ["install", torch.spec]
        tool = ("-m", "light_the_torch", arguments[0], *self._options(), *arguments[1:])
        commands.append(Command(_("PyTorch"), tool, torch.approxSizeMB))
        return commands

    def _pip(self) -> list[str]:
        return ["-m", "pip", "install", *self._options()]

    def _options(self) -> list[str]:
        # From 24.1 on, pip tells its progress to programs.
        bar = "raw" if self.check.atLeast("pip", "24.1") else "off"
        return ["--no-input", "--disable-pip-version-check", "--prefer-binary", "--progress-bar", bar]


def _extensionLogic() -> Any:
    """What the PyTorch extension offers.

    Raises:
        InstallError: the extension is not there.
    """
    try:
        there = _EXTENSION in sys.modules or importlib.util.find_spec(_EXTENSION) is not None
        if there:
            return __import__(_EXTENSION).PyTorchUtilsLogic
    except (ImportError, AttributeError):
        pass
    raise InstallError(
        _(
            'PyTorch is missing: install the extension "PyTorch" with the Extensions Manager, restart Slicer and click '
            '"Install requirements" again. It chooses the PyTorch that fits this computer\'s graphics card. Nothing was '
            "downloaded."
        )
    ) from None


def _wheelArguments(wheelFolder: str | None) -> list[str]:
    if not wheelFolder:
        return []
    folder = Path(wheelFolder)
    if not folder.is_dir() or not any(folder.glob("*.whl")):
        raise InstallError(
            _("{folder} contains no wheels (.whl files): choose the folder they were copied to.").format(folder=folder)
        )
    return ["--no-index", "--find-links", str(folder)]


def sizeText(megabytes: float) -> str:
    """An amount to download, in few characters."""
    if megabytes >= 1000:
        return f"{megabytes / 1000:.1f} GB"
    return f"{megabytes:.0f} MB" if megabytes >= 1 else _("less than 1 MB")
