"""One installation: its commands one after the other in a child process, with progress, a log, and a way to stop it."""

from __future__ import annotations

import importlib
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from ..engine.RunOutcome import CANCELLED
from .Installer import Command, Installer, sizeText
from .RequirementsCheck import TORCH, Requirement

if TYPE_CHECKING:
    from ..engine.Child import Child
    from ..engine.RunOutcome import RunOutcome

_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_DOWNLOADING = re.compile(r"\s*Downloading (\S+?)(?:-\d\S*)? \((.+)\)")
_INSTALLING = "Installing collected packages"


class Installation:
    """Use once.

    Args:
        installer: plans it.
        child: runs the commands.
        onProgress: is given what is done and how far all of it is, 0..1.
        onLog: is given lines.
        onDone: is given once, at the end, why it failed and what to do (empty when nothing is missing any more), and whether the
            user stopped it.
    """

    def __init__(
        self,
        installer: Installer,
        child: Child,
        onProgress: Callable[[str, float | None], None],
        onLog: Callable[[str], None],
        onDone: Callable[[str, bool], None],
    ):
        self._installer, self._child = installer, child
        self._onProgress, self._onLog, self._onDone = onProgress, onLog, onDone
        self._missing: list[Requirement] = []
        self._commands: list[Command] = []
        self._total = self._before = self._loaded = 0.0
        self._file = 0.0  # megabytes of the present file
        self._installing = self._stopped = False
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._said: list[str] = []

    def start(self, missing: Sequence[Requirement], wheelFolder: str | None = None) -> None:
        """Begin; the user has agreed.

        Args:
            missing: what to install.
            wheelFolder: see :meth:`Installer.plan`.

        Raises:
            InstallError: it cannot succeed; nothing was changed or downloaded.
        """
        self._missing = list(missing)
        self._commands = self._installer.plan(missing, wheelFolder)
        self._total = sum(command.megabytes for command in self._commands) or 1.0
        if any(requirement.name == TORCH for requirement in missing) and (reason := self._installer.removeBrokenTorch()):
            self._onLog(_("Deleted the incomplete PyTorch ({reason}).").format(reason=reason))
        self._folder = tempfile.TemporaryDirectory(prefix="agg2exp-pip-")
        self._child.onLog.append(self._onLine)
        self._child.onFinished.append(self._onFinished)
        self._next()

    def cancel(self) -> None:
        """Stop: a download at once, while files are being put into place as soon as they are, so that no half package stays."""
        self._stopped = True
        if not self._installing:
            self._child.stop(0.0)

    def _next(self) -> None:
        if not self._commands:
            self._finish("")
            return
        assert self._folder is not None
        command = self._commands[0]
        constraints = Path(self._folder.name) / f"{len(self._commands)}.txt"
        constraints.write_text(self._installer.constraints(command, self._missing), encoding="utf-8")
        self._loaded, self._file, self._installing, self._said = 0.0, 0.0, False, []
        arguments = [*command.arguments, "-c", str(constraints)]
        self._onLog("PythonSlicer " + " ".join(arguments))
        self._tell(_("Installing {what} …").format(what=command.title))
        self._child.start(arguments, self._folder.name, Path(self._folder.name).name)

    def _tell(self, message: str) -> None:
        here = min(self._loaded + self._file, self._commands[0].megabytes) if self._commands else 0.0
        self._onProgress(message, min(0.99, (self._before + here) / self._total))

    def _onLine(self, line: str) -> None:
        if match := _PROGRESS.fullmatch(line.strip()):
            self._file = int(match[1]) / 1e6
            of = int(match[2]) / 1e6
            if of >= 1:
                text = _("Downloading for {what}: {done:.0f} of {size} …")
                self._tell(text.format(what=self._commands[0].title, done=self._file, size=sizeText(of)))
            return
        self._said.append(line)
        self._onLog(line)
        if match := _DOWNLOADING.match(line):
            self._loaded, self._file = self._loaded + self._file, 0.0
            self._tell(_("Downloading {name} ({size}) …").format(name=match[1], size=match[2]))
        elif line.startswith(_INSTALLING):
            self._installing = True
            self._loaded, self._file = self._commands[0].megabytes, 0.0
            self._tell(_("Putting {what} into place …").format(what=self._commands[0].title))

    def _onFinished(self, outcome: RunOutcome) -> None:
        importlib.invalidate_caches()
        if outcome.exitedWell:
            self._before += self._commands.pop(0).megabytes
            if self._stopped and self._commands:
                self._finish("", stopped=True)
            else:
                self._next()
            return
        if outcome.state == CANCELLED or self._stopped:
            self._finish("", stopped=True)
            return
        reason = next((line for line in reversed(self._said) if "ERROR" in line), outcome.message)
        self._finish(
            _(
                "{what} could not be installed ({reason}). Check the internet connection or choose a folder of wheels, and that "
                "the disk has room and you may write to Slicer's folder; the log says more."
            ).format(what=self._commands[0].title, reason=reason)
        )

    def _finish(self, problem: str, stopped: bool = False) -> None:
        self._child.onLog.remove(self._onLine)
        self._child.onFinished.remove(self._onFinished)
        if self._folder is not None:
            self._folder.cleanup()
        left = self._installer.missing()
        if left and not problem and not stopped:
            problem = _(
                "After the installation {names} cannot be found: restart Slicer; if it is still missing then, see the log."
            ).format(names=", ".join(requirement.name for requirement in left))
        self._onDone(problem, stopped and bool(left))
