"""The part of section Input that chooses, for a classifier, the segmentation model that draws the regions of its matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from Agg2ExpLib.system.names import folded

from .ChoiceBox import ChoiceBox
from .ModelInfo import ModelInfo, readModelInfo
from .PanelState import Changes, PanelState, Topic

DEMO, NONE, _OTHER = "demo", "none", "other"
_RECENT = 8


def segmenterWeights(state: PanelState) -> str:
    """Weights of the model that draws the regions; empty where none shall."""
    chosen = state.parameters.segmenter if state.parameters is not None else NONE
    return "" if chosen == NONE else str(state.demoWeights) if chosen == DEMO else chosen


def problemOfSegmenter(state: PanelState, classifier: ModelInfo) -> str:
    """Why the chosen model cannot draw the regions of a classifier, in one sentence; empty where it can."""
    weights = segmenterWeights(state)
    if not weights:
        return ""
    info = readModelInfo(weights)
    if info.problem:
        return _("Regions: {reason}").format(reason=info.problem)
    if info.classifies:
        return _("{name} is a classifier and draws no regions: choose a segmentation model (Regions).").format(
            name=Path(weights).name
        )
    classes = {folded(label.name) for label in classifier.labels}
    shared = next((label.title for label in info.labels if folded(label.name) in classes), "")
    if shared:
        return _("“{name}” is both a class and a region: choose another model for the regions (Input).").format(name=shared)
    return ""


class RegionsModel:
    """Controls the list, which is there for classifiers alone.

    Args:
        state: of the panel.
    """

    def __init__(self, state: PanelState):
        self.state, self.ui = state, state.ui
        self._choice = ChoiceBox(self.ui.segmenterCombo, self._onChosen)

    def refresh(self, changed: Changes) -> None:
        parameters, ui = self.state.parameters, self.ui
        if parameters is None:
            return
        if changed & {"weights", Topic.MODEL, "segmenter"}:
            shown = readModelInfo(parameters.weights).classifies
            ui.segmenterLabel.visible = ui.segmenterCombo.visible = shown
            if shown:
                self._fill(parameters.segmenter)
        if Topic.BUSY in changed:
            ui.segmenterCombo.enabled = not self.state.busy

    def _fill(self, chosen: str) -> None:
        paths = [path for path in self._recent() if _draws(path)]
        if chosen not in (DEMO, NONE, *paths):
            paths.insert(0, chosen)
        choices = [(DEMO, _("Demo model")), *((path, path.replace("\\", "/").rstrip("/").rpartition("/")[2]) for path in paths)]
        choices += [(NONE, _("No model: regions that I draw")), (_OTHER, _("Choose weights…"))]
        self._choice.setChoices(choices, chosen)
        info = readModelInfo(str(self.state.demoWeights) if chosen == DEMO else chosen) if chosen != NONE else None
        tip = _("Which model draws the organs that the classifier's attribution is summed over.")
        self.ui.segmenterCombo.toolTip = f"{tip}\n{info.details or info.summary}" if info is not None else tip

    def _recent(self) -> Sequence[str]:
        """Models that were used last, as the model's path line remembers them."""
        found = qt.QSettings().value(str(self.ui.weightsPath.settingKey))
        paths = [found] if isinstance(found, str) else list(found or ())
        demo = str(self.state.demoWeights)
        return [str(path) for path in paths if str(path) != demo][:_RECENT]

    def _onChosen(self, value: str) -> None:
        parameters = self.state.parameters
        if parameters is None:
            return
        if value == _OTHER:
            value = _askForWeights(parameters.segmenter) or parameters.segmenter
        parameters.segmenter = value
        self._fill(value)


def _draws(path: str) -> bool:
    info = readModelInfo(path)
    return not info.problem and not info.classifies


def _askForWeights(before: str) -> str:
    """Path of a weights file that the user chose; empty where he did not."""
    folder = str(Path(before).parent) if before not in (DEMO, NONE) else ""
    found: Any = qt.QFileDialog.getOpenFileName(
        slicer.util.mainWindow(), _("Weights of the segmentation model that draws the regions"), folder
    )
    return str(found[0] if isinstance(found, (tuple, list)) else found or "")  # PythonQt gives the name alone
