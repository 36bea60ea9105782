"""The part of section Input that offers the models on this computer, and a model's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from .ModelInfo import isThere, rememberThere
from .ModelList import ModelList
from .PanelState import Changes, PanelState, Topic

if TYPE_CHECKING:
    from ..engine.Child import Child
    from ..engine.RunOutcome import RunOutcome

_RECENT = 8


class InstalledModels:
    """Lists models in a process of its own each time the list is opened.

    Args:
        state: of the panel.
        child: runs that process.
    """

    def __init__(self, state: PanelState, child: Child):
        self.state, self.ui, self._child = state, state.ui, child
        ui = self.ui
        self.list = ModelList(ui.installedTree, ui.installedSearchBox, self._onChosen)
        child.onFinished.append(self._onListed)
        ui.installedFrame.visible = False
        ui.installedButton.toggled.connect(self._onToggled)
        ui.modelFolderButton.clicked.connect(self._onFolder)

    def refresh(self, changed: Changes) -> None:
        if Topic.BUSY in changed:
            for widget in (self.ui.installedButton, self.ui.modelFolderButton, self.ui.installedFrame):
                widget.enabled = not self.state.busy

    def stop(self) -> None:
        """The panel goes: its helper process too."""
        self._child.forget(1000)

    def _onToggled(self, shown: bool) -> None:
        self.ui.installedFrame.visible = shown
        if shown and not self._child.running:
            self.list.say(_("Looking for models …"))
            there = self.state.elsewhere
            if there is not None and there.host:
                self._child.start(["-m", "Agg2ExpLib.serving.models_there", there.host, there.command])
            else:
                self._child.start(["-m", "Agg2ExpLib.models.installed"])

    def _onListed(self, outcome: RunOutcome) -> None:
        models = outcome.content.get("models")
        if not isinstance(models, list):
            self.list.say(_("The models cannot be listed: {reason}").format(reason=outcome.message or _("no answer")))
            return
        rememberThere([model for model in models if isThere(str(model["path"]))])
        self.list.setModels(models, self._recent())

    def _recent(self) -> list[str]:
        """What was explained last, as the model's path line remembers it."""
        found = qt.QSettings().value(str(self.ui.weightsPath.settingKey))
        paths = [found] if isinstance(found, str) else list(found or ())
        return [str(path) for path in paths][:_RECENT]

    def _onChosen(self, path: str) -> None:
        if self.state.parameters is not None and not self.state.busy:
            self.state.parameters.weights = path
            self.ui.installedButton.checked = False

    def _onFolder(self, *_unused: Any) -> None:
        if self.state.parameters is None:
            return
        before = str(self.state.parameters.weights)
        folder = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Choose a model's folder"), before)
        if folder:
            self.state.parameters.weights = str(folder)
