"""Installs what a run needs into Slicer's Python, after the user has agreed, and leaves alone what Slicer brought."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from slicer.i18n import tr as _

from .RequirementsCheck import NEVER_REPLACED, REQUIREMENTS_FILE, TORCH, Requirement, RequirementsCheck

# Its own list of dependencies would let pip exchange torch and numpy; all others it needs are in our list.
_WITHOUT_DEPENDENCIES = ("monai",)
_REQUESTER = "Agg2Exp"
_PIP_VERSION = re.compile(r"(\d+!)?\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?(\+[a-z0-9]+([._-][a-z0-9]+)*)?", re.IGNORECASE)


class InstallError(Exception):
    """Why an installation did not succeed and what to do next, in words for the user."""


class Installer:
    """Finds and installs missing packages. Use on the main thread only.

    Args:
        requirementsFile: one ``name>=version`` a line.
        paths: where packages are, by default ``sys.path``.

    Attributes:
        check: what is installed.
        problem: why the last installation failed and what to do, empty when it succeeded.
    """

    def __init__(self, requirementsFile: Path = REQUIREMENTS_FILE, paths: Sequence[str] | None = None):
        self.check = RequirementsCheck(requirementsFile, paths)
        self.problem = ""

    def missing(self) -> list[Requirement]:
        """What must be installed before a run; nothing is imported to find out."""
        return self.check.missing()

    def describe(self, missing: Sequence[Requirement]) -> str:
        """The question to the user before :meth:`install`: what, why, how much, and what is left alone."""
        if not missing:
            return _("Everything that is needed is installed.")
        size = sum(requirement.approxSizeMB for requirement in missing)
        lines = [
            _("Agg2Exp needs Python packages that this Slicer does not have (about {size} to download):").format(
                size=_inWords(size)
            ),
            "",
        ]
        for requirement in missing:
            about = _inWords(requirement.approxSizeMB)
            lines.append(_("• {spec}, {size}: {why}").format(spec=requirement.spec, size=about, why=requirement.why))
        broken = self.check.brokenTorch() if any(requirement.name == TORCH for requirement in missing) else None
        if broken is not None:
            folders = "\n".join(f"    {folder}" for folder in broken.folders)
            lines += ["", _("The incomplete PyTorch will be deleted first:"), folders]
        lines += [
            "",
            _("They are installed into Slicer's own Python; what is there already is not replaced. This can take some minutes."),
            _("Install now?"),
        ]
        return "\n".join(lines)

    def install(self, missing: Sequence[Requirement], onLog: Callable[[str], None], wheelFolder: str | None = None) -> bool:
        """Install; ask the user before. The application stays usable as far as Slicer's own installer allows.

        Args:
            missing: from :meth:`missing`.
            onLog: is given lines that tell what is done.
            wheelFolder: a folder of wheels to take everything from, for a computer without internet.

        Returns:
            Whether nothing is missing any more; otherwise ``problem`` says why and what to do.
        """
        self.problem = ""
        try:
            self._checkBundled(missing)
            source = _wheelArguments(wheelFolder)
            with self._constraints(missing) as constraints:
                torch = next((requirement for requirement in missing if requirement.name == TORCH), None)
                if torch is not None:
                    self._removeBrokenTorch(onLog)
                others = [requirement for requirement in missing if requirement.name != TORCH]
                alone = [requirement.spec for requirement in others if requirement.name in _WITHOUT_DEPENDENCIES]
                rest = [requirement.spec for requirement in others if requirement.name not in _WITHOUT_DEPENDENCIES]
                if alone:
                    _pipInstall([*source, "--no-deps", *alone], constraints, onLog)
                if rest:
                    _pipInstall([*source, *rest], constraints, onLog)
                # Last, since it takes longest and is what fails most often; the rest is there then.
                if torch is not None:
                    _installTorch(torch, source, constraints, onLog)
        except InstallError as error:
            self.problem = str(error)
            logging.error("%s", error)
            onLog(self.problem)
            return False
        left = self.missing()
        if left:
            names = ", ".join(requirement.name for requirement in left)
            self.problem = _(
                "After the installation {names} cannot be found: restart Slicer; if it is still missing then, see the log."
            ).format(names=names)
            onLog(self.problem)
        return not left

    def _checkBundled(self, missing: Sequence[Requirement]) -> None:
        bundled = [requirement for requirement in missing if requirement.name in NEVER_REPLACED]
        if bundled:
            raise InstallError(
                _("{spec} is needed but this Slicer's own is too old or missing: use a newer Slicer (5.10 or later).").format(
                    spec=bundled[0].spec
                )
            )

    def _removeBrokenTorch(self, onLog: Callable[[str], None]) -> None:
        broken = self.check.brokenTorch()
        if broken is None:
            return
        if TORCH in sys.modules:
            raise InstallError(
                _("The incomplete PyTorch is in use: restart Slicer and install the requirements before anything else uses it.")
            )
        onLog(_("Deleting the incomplete PyTorch ({reason}).").format(reason=broken.reason))
        if left := broken.remove():
            raise InstallError(
                _(
                    "The incomplete PyTorch could not be deleted. Close Slicer, delete these folders and start again: {folders}"
                ).format(folders=", ".join(map(str, left)))
            )

    @contextlib.contextmanager
    def _constraints(self, missing: Sequence[Requirement]) -> Iterator[Path]:
        """A constraints file that holds every installed package at its version, but for those that shall be exchanged."""
        exchanged = {requirement.name.lower() for requirement in missing}
        lines = [
            f"{name}=={version}"
            for name, version in sorted(self.check.installedVersions().items())
            # Slicer's own builds may have versions that pip cannot read.
            if name.lower() not in exchanged and _PIP_VERSION.fullmatch(version)
        ]
        with tempfile.TemporaryDirectory(prefix="agg2exp-") as folder:
            path = Path(folder) / "constraints.txt"
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
            yield path


def _wheelArguments(wheelFolder: str | None) -> list[str]:
    if not wheelFolder:
        return []
    folder = Path(wheelFolder)
    if not folder.is_dir() or not any(folder.glob("*.whl")):
        raise InstallError(
            _("{folder} contains no wheels (.whl files): choose the folder they were copied to.").format(folder=folder)
        )
    return ["--no-index", "--find-links", str(folder)]


def _installTorch(torch: Requirement, source: list[str], constraints: Path, onLog: Callable[[str], None]) -> None:
    if source:  # the PyTorch extension can only take it from the internet
        _pipInstall([*source, torch.spec], constraints, onLog)
        return
    try:
        import PyTorchUtils
    except ImportError:
        raise InstallError(
            _(
                'PyTorch is missing: install the extension "PyTorch" with the Extensions Manager, restart Slicer and click '
                '"Install requirements" again. It chooses the PyTorch that fits this computer\'s graphics card.'
            )
        ) from None
    onLog(_("Installing PyTorch; this can take many minutes without a word."))
    minimum = torch.spec.removeprefix(torch.name)
    try:
        with _listening(onLog):
            installed = PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=False, torchVersionRequirement=minimum)
    except Exception as error:  # the extension lets through whatever its installer raises
        raise InstallError(
            _(
                "PyTorch could not be installed ({error}). Check the internet connection and that the disk has room, restart "
                "Slicer and try again; if Windows complains about long paths, install Slicer into a folder with a short name."
            ).format(error=error)
        ) from error
    if installed is None:
        raise InstallError(_('PyTorch was not installed: click "Install requirements" again when you want to go on.'))


def _pipInstall(arguments: list[str], constraints: Path, onLog: Callable[[str], None]) -> None:
    """Install with what this Slicer offers: ``slicer.packaging`` (5.12), else ``slicer.util.pip_install``."""
    import slicer.util

    onLog("pip install " + " ".join(arguments))
    arguments = ["--prefer-binary", *arguments]
    try:
        from slicer import packaging
    except ImportError:
        packaging = None
    said: list[str] = []

    def tell(line: str) -> None:
        said.append(line)
        onLog(line)

    try:
        with _listening(tell):
            if packaging is not None:
                packaging.pip_install(arguments, constraints=constraints, requester=_REQUESTER)
            else:
                slicer.util.pip_install([*arguments, "-c", str(constraints)])
    except Exception as error:  # a failed process, a missing PythonSlicer, a refused write: all end the same way
        reason = next((line for line in reversed(said) if "ERROR" in line), str(error))
        raise InstallError(
            _(
                "The packages could not be installed ({reason}). Check the internet connection or choose a folder of wheels, and "
                "that you may write to Slicer's folder; the log says more."
            ).format(reason=reason)
        ) from error
    finally:
        importlib.invalidate_caches()


class _Listener(io.TextIOBase):
    """Passes on what is printed, and tells it line by line."""

    def __init__(self, onLine: Callable[[str], None], stream: TextIO | None):
        super().__init__()
        self._onLine, self._stream, self._rest = onLine, stream, ""

    def write(self, text: str) -> int:
        if self._stream is not None:
            self._stream.write(text)
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                self._onLine(line.rstrip())
        return len(text)

    def flush(self) -> None:
        if self._stream is not None:
            self._stream.flush()


def _listening(onLine: Callable[[str], None]) -> contextlib.redirect_stdout[Any]:
    """Slicer prints the lines of pip to its Python console; they are listened to on the way there."""
    return contextlib.redirect_stdout(_Listener(onLine, sys.stdout))


def _inWords(megabytes: float) -> str:
    if megabytes >= 1000:
        return f"{megabytes / 1000:.1f} GB"
    return f"{megabytes:.0f} MB" if megabytes >= 1 else _("less than 1 MB")
