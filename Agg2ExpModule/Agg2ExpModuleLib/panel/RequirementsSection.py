"""The part of Input that appears while something is missing to run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from .PanelState import BUSY, MISSING, PanelState


class RequirementsSection:
    """Controls the frame with "Install requirements".

    Args:
        state: of the panel.
        installer: see Installer.py.
    """

    def __init__(self, state: PanelState, installer: Any):
        self.state, self.ui, self.installer = state, state.ui, installer
        self.missing: list[Any] = []  # Requirement of Installer.py
        self.ui.installButton.clicked.connect(self._onInstall)
        self.ui.installOfflineButton.clicked.connect(self._onInstallOffline)
        self.check()

    def refresh(self, changed: set[str]) -> None:
        if BUSY in changed:
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
            size = sum(requirement.approxSizeMB for requirement in self.missing)
            self.ui.requirementsLabel.text = _(
                "To run a model, these packages are missing: {names} (about {size} to download). Results can be looked at without."
            ).format(names=names, size=_("{size:.1f} GB").format(size=size / 1000) if size >= 1000 else f"{size:.0f} MB")
        self.state.tell({MISSING})

    def _onInstall(self, *_unused: Any) -> None:
        if self._agreed():
            self.install(None)

    def _onInstallOffline(self, *_unused: Any) -> None:
        title = _("Folder with wheel files (.whl)")
        chosen = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title)
        if chosen and self._agreed():
            self.install(Path(str(chosen)))

    def _agreed(self) -> bool:
        """Whether the user wants what would be installed, and what would be removed for it."""
        return bool(slicer.util.confirmOkCancelDisplay(self.installer.describe(self.missing), _("Install requirements")))

    def install(self, wheelFolder: Path | None) -> None:
        """Install what is missing; the user has agreed."""
        controller = self.state.controller
        if controller is None:
            return
        controller.say(_("Installing … this can take several minutes. See the log."))
        log = self.ui.logText.appendPlainText
        try:
            done = self.installer.install(self.missing, log, str(wheelFolder) if wheelFolder else None)
        except Exception as error:
            controller.say(str(error), failed=True)
        else:
            problem = self.installer.problem or _("Not everything was installed: see the log.")
            controller.say(_("Everything is installed.") if done else problem, failed=not done)
        self.check()
