"""Section Counterfactual: what this CT would have to look like for the model to answer otherwise, on a slider from less to more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from ..scene.Counterfactuals import loadWay
from ..scene.SceneVolumes import segmentIds
from .Asking import askEngine
from .ChoiceBox import ChoiceBox
from .CounterfactualDisplay import CounterfactualDisplay
from .CounterfactualJob import counterfactualJob
from .OtherComputer import HOST
from .PanelState import Changes, PanelState, Topic
from .RunTexts import problemOf

if TYPE_CHECKING:
    from ..engine.RunOutcome import RunOutcome
    from .DisplaySection import DisplaySection
    from .InputSection import InputSection
    from .RunController import RunController

_ASKING = {
    Topic.MODEL,
    Topic.RECORD,
    Topic.SCENE,
    Topic.BUSY,
    "record",
    "inputVolume",
    "weights",
    "segmenter",
    "counterTarget",
    HOST,
}


class CounterfactualSection:
    """Controls the section.

    Args:
        state: of the panel.
        controller: whose engine makes them, and whose progress and cancel are shared.
        inputs: knows the model.
        display: of the maps.

    Attributes:
        shown: what is seen of them.
    """

    def __init__(self, state: PanelState, controller: RunController, inputs: InputSection, display: DisplaySection):
        self.state, self.ui, self.controller, self._inputs = state, state.ui, controller, inputs
        self.shown = CounterfactualDisplay(state, display)
        self.shown.onChosen.append(self._enable)
        ui = self.ui
        self._target = ChoiceBox(ui.counterTargetCombo, lambda value: self._set("counterTarget", value))
        self._direction = ChoiceBox(ui.counterDirectionCombo, lambda value: self._set("counterDirection", value))
        ui.counterButton.clicked.connect(self._onMake)
        ui.autoencoderPath.currentPathChanged.connect(self._onAutoencoder)

    def refresh(self, changed: Changes) -> None:
        parameters = self.state.parameters
        if parameters is None:
            self.shown.refresh(changed)
            return
        if "counterDirection" in changed:
            choices = [("both", _("Less and more")), ("less", _("Less")), ("more", _("More"))]
            self._direction.setChoices(choices, parameters.counterDirection)
        if "autoencoder" in changed and self.ui.autoencoderPath.currentPath != parameters.autoencoder:
            self.ui.autoencoderPath.currentPath = parameters.autoencoder
        if changed & {Topic.MODEL, Topic.RECORD, Topic.SCENE, "record", "inputVolume", "weights", "counterTarget"}:
            self._fillTargets()
        self.shown.refresh(changed)
        if changed & _ASKING:
            self._enable()

    def shutdown(self) -> None:
        """The panel goes."""
        self.shown.shutdown()

    # What can be asked

    def _fillTargets(self) -> None:
        """The classes of a classifier; else the labels, those that were found in this CT where that is known."""
        parameters, record, model = self.state.parameters, self.state.record, self._inputs.model
        assert parameters is not None
        labels = model.labels or (record.explainable if record is not None else ())
        if record is not None and not model.classifies and not record.classes and record.segmentation is not None:
            found = set(segmentIds(record.segmentation))
            labels = tuple(label for label in labels if label.name in found) or labels
        names = [label.name for label in labels]
        wanted = parameters.counterTarget if parameters.counterTarget in names else parameters.mapLabel
        chosen = wanted if wanted in names else names[0] if names else ""
        self._target.setChoices([(label.name, label.title) for label in labels], chosen)

    def _problem(self) -> str:
        """Why none can be made now, in one sentence; empty when one can."""
        problem = problemOf(self.state, "counterfactual")
        if not problem and not self._target.value:
            return _("Segment or explain the CT first: then the labels are known.")
        return problem

    def _enable(self) -> None:
        ui, busy = self.ui, self.state.busy
        making = busy and self.controller.task == "counterfactual"
        problem = "" if busy else self._problem()
        ui.counterButton.text = _("Cancel") if making else _("Make counterfactual")
        ui.counterButton.enabled = (making and self.controller.cancellable) or (not busy and not problem)
        tip = _("Change the CT until the model answers otherwise; some minutes on a processor.")
        ui.counterButton.toolTip = problem or (_("Stop; nothing of it is kept.") if making else tip)
        for widget in (ui.counterTargetCombo, ui.counterDirectionCombo, ui.autoencoderPath):
            widget.enabled = not busy
        ui.counterRemoveButton.enabled = self.shown.way is not None and not busy
        name = _("Class:") if self._inputs.model.classifies else _("Label:")
        ui.counterTargetLabel.text = name

    # Making one

    def make(self) -> bool:
        """Make one of what is chosen; False when it cannot begin."""
        ct, shown, target = self.state.ct, self.shown, self._target.value
        if self.controller.busy or self._problem() or not self.controller.isAgreed():
            return False
        request: dict[str, Any] = {"do": "counterfactual"}

        def steps(work: Path) -> Iterator[str]:
            request["job"] = yield from counterfactualJob(self.state, self.controller.ctFile, ct, target, work)

        def loading(outcome: RunOutcome) -> Iterator[str]:
            way = yield from loadWay(Path(str(outcome.result)), ct)
            shown.open(way)

        def told(_outcome: RunOutcome) -> str:
            return shown.model.summary() if shown.model is not None else ""

        message = _("Making the counterfactual …")
        return askEngine(self.controller, "counterfactual", message, steps, request, loading, told)

    def load(self, folder: Path) -> bool:
        """Bring a folder that ``agg2exp counterfactual`` wrote, of the chosen CT; False when something else goes on."""
        ct = self.state.ct
        if ct is None:
            self.controller.say(_("Load the CT of this counterfactual first, and choose it (Input)."), failed=True)
            return False

        def steps() -> Iterator[str]:
            way = yield from loadWay(folder, ct, check=True)
            self.shown.open(way)

        def done() -> str:
            return self.shown.model.summary() if self.shown.model is not None else ""

        return self.controller.work(steps(), _("Loading the counterfactual …"), done)

    # What the user does

    def _onMake(self, *_unused: Any) -> None:
        if not self.controller.busy:
            self.make()
        elif self.controller.task == "counterfactual":
            self.controller.cancel()

    def _onAutoencoder(self, *_unused: Any) -> None:
        self._set("autoencoder", self.ui.autoencoderPath.currentPath)

    def _set(self, name: str, value: Any) -> None:
        if self.state.parameters is not None and getattr(self.state.parameters, name) != value:
            setattr(self.state.parameters, name, value)
