"""The part of Input that appears while something is missing to run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from ..setup.Installation import Installation
from ..setup.Installer import Installer, InstallError, sizeText
from .Activity import Activity, Ending
from .PanelState import Changes, PanelState, Topic

if TYPE_CHECKING:
    from ..engine.Child import Child


class RequirementsSection:
    """Controls the frame with "Install requirements".

    Args:
        state: of the panel.
        activity: tells the installation.
        installer: finds and plans.
        child: runs the installation.
    """

    def __init__(self, state: PanelState, activity: Activity, installer: Installer, child: Child):
        self.state, self.activity, self.ui, self.installer, self.child = state, activity, state.ui, installer, child
        self.missing: list[Any] = []  # Requirement of Installer.py
        self.ui.installButton.clicked.connect(self._onInstall)
        self.ui.installOfflineButton.clicked.connect(self._onInstallOffline)
        self.check()

    def refresh(self, changed: Changes) -> None:
        if Topic.BUSY in changed:
            for button in (self.ui.installButton, self.ui.installOfflineButton):
                button.enabled = not self.state.busy

    def check(self) -> None:
        """Look again at what is missing; nothing is imported."""
        try:
            self.missing = list(self.installer.missing())
        except Exception as error:  # a broken environment must not keep old results from being shown
            self.missing = []
            self.ui.requirementsLabel.text = str(error)
        self.ui.requirementsFrame.visible = bool(self.missing)
        self.state.missing = [requirement.name for requirement in self.missing]
        if self.missing:
            names = ", ".join(requirement.name for requirement in self.missing)
            size = sizeText(sum(requirement.approxSizeMB for requirement in self.missing))
            self.ui.requirementsLabel.text = _(
                "To run a model, these packages are missing: {names} (about {size} to download). Results can be looked at without."
            ).format(names=names, size=size)
        self.state.tell({Topic.MISSING})

    def shutdown(self) -> None:
        """The panel goes: a download is given up."""
        self.child.forget(1000)

    def _onInstall(self, *_unused: Any) -> None:
        self._ask(None)

    def _onInstallOffline(self, *_unused: Any) -> None:
        title = _("Folder with wheel files (.whl)")
        chosen = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title)
        if chosen:
            self._ask(Path(str(chosen)))

    def _ask(self, wheelFolder: Path | None) -> None:
        """Install if it can succeed and the user wants what would be installed, and what would be removed for it."""
        try:
            self.installer.plan(self.missing, str(wheelFolder) if wheelFolder else None)
        except InstallError as error:
            self.activity.say(str(error), failed=True)
            return
        if slicer.util.confirmOkCancelDisplay(self.installer.describe(self.missing), _("Install requirements")):
            self.install(wheelFolder)

    def install(self, wheelFolder: Path | None) -> bool:
        """Install what is missing, as the user has agreed; False when something else goes on."""
        activity = self.activity
        installation = Installation(self.installer, self.child, activity.progress, activity.log, self._onDone)
        if not activity.begin("install", _("Installing …"), installation.cancel):
            return False
        try:
            installation.start(self.missing, str(wheelFolder) if wheelFolder else None)
        except (InstallError, OSError) as error:
            self._onDone(str(error), False)
        return True

    def _onDone(self, problem: str, stopped: bool) -> None:
        self.check()
        if stopped:
            left = _("The installation was stopped; what was complete stays. Start it again when you want to go on.")
            self.activity.end(Ending.CANCELLED, left)
        elif problem:
            self.activity.end(Ending.FAILED, problem)
        else:
            self.activity.end(Ending.WELL, _("Everything is installed."))
