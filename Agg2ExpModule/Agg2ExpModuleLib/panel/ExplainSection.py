"""Section Explain: method, its parameters, and the button."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from Agg2ExpLib.runs.estimate import is_reckoned

from .ChoiceBox import ChoiceBox
from .InputSection import InputSection
from .MethodForm import MethodForm
from .MethodSettings import madeMethod, methods, problemOfMethod
from .OtherComputer import HOST
from .PanelState import Changes, PanelState, Topic
from .RunController import RunController
from .RunTexts import durationText, problemOf, resultsRoot
from .SpeedMemory import SpeedMemory

if TYPE_CHECKING:
    from Agg2ExpLib.runs.estimate import Estimate

_PRECISIONS = ("auto", "float32", "bfloat16", "float16", "float64")
_METHOD = {"method", "methodParameters", "references", "samples", "noise", "seed"}
_COUNTING = _METHOD | {
    "checkedLabels",
    "overlap",
    "keep",
    "device",
    "inputVolume",
    "weights",
    Topic.MODEL,
    "useDrawnTarget",
    "targetSegmentation",
    "targetSegment",
    "globalMask",
    Topic.SCENE,
    HOST,
}

# Beyond these the panel asks before it begins: the paper's model has 16 labels.
MANY_LABELS, LONG_S = 20, 3600


class ExplainSection:
    """Controls the section."""

    def __init__(self, state: PanelState, controller: RunController, inputs: InputSection, speeds: SpeedMemory):
        self.state, self.controller, self.ui, self._inputs, self._speeds = state, controller, state.ui, inputs, speeds
        ui = self.ui
        self._method = ChoiceBox(ui.methodCombo, self._onMethod)
        self.form = MethodForm(state, ui.advancedContents)
        self._precision = ChoiceBox(ui.precisionCombo, lambda value: self._set("precision", value))
        self._reduction = ChoiceBox(ui.reductionCombo, lambda value: self._set("reduction", value))
        ui.resultsFolderPath.filters = _directories(ui.resultsFolderPath)
        ui.resultsFolderPath.currentPathChanged.connect(self._onResultsFolder)
        ui.applyButton.clicked.connect(self._onApply)
        controller.onFinished.append(self._onFinished)

    def refresh(self, changed: Changes) -> None:
        parameters, ui = self.state.parameters, self.ui
        if parameters is None:
            return
        if "method" in changed:
            self._showMethod()
        if changed & (_METHOD | {Topic.BUSY, Topic.SCENE, Topic.RECORD, Topic.VOLUMES, "inputVolume"}):
            self.form.refresh()
        if changed & {Topic.MODEL, Topic.BUSY}:
            self._enable()
        if changed & {"globalMask", Topic.BUSY, Topic.MODEL}:
            ui.maskCoverageSpinBox.enabled = parameters.globalMask and not self.state.busy and not self._inputs.model.classifies
        if "precision" in changed:
            self._precision.setChoices(
                [(name, _("Auto") if name == "auto" else name) for name in _PRECISIONS], parameters.precision
            )
        if "reduction" in changed:
            self._reduction.setChoices([("sum", _("Sum over the label")), ("mean", _("Mean over the label"))], parameters.reduction)
        if "resultsFolder" in changed and ui.resultsFolderPath.currentPath != parameters.resultsFolder:
            ui.resultsFolderPath.currentPath = parameters.resultsFolder
        if changed & (_COUNTING | {Topic.BUSY, Topic.RECORD, Topic.MISSING}):
            self._showEstimate()
        self._showButton()

    def _enable(self) -> None:
        """What is about voxels and windows of a segmentation does nothing for a classifier, which sees the CT as a whole."""
        ui, busy, classifies = self.ui, self.state.busy, self._inputs.model.classifies
        for widget in (ui.methodCombo, ui.precisionCombo, ui.caseNameEdit, ui.resultsFolderPath):
            widget.enabled = not busy
        for widget in (ui.globalMaskCheckBox, ui.overlapSpinBox, ui.keepSpinBox, ui.reductionCombo):
            widget.enabled = not busy and not classifies

    def _showMethod(self) -> None:
        parameters, ui = self.state.parameters, self.ui
        assert parameters is not None
        known = methods()
        self._method.setChoices([(name, method.title) for name, method in known.items()], parameters.method)
        for index, method in enumerate(known.values()):
            ui.methodCombo.setItemData(index, f"{method.summary} {method.when}", qt.Qt.ToolTipRole)
        chosen = known.get(parameters.method)
        ui.methodNote.text = f"{chosen.summary} {chosen.when}" if chosen is not None else ""
        ui.methodCombo.toolTip = ui.methodNote.text or _("How the map is made.")

    def _showEstimate(self) -> None:
        parameters, ui = self.state.parameters, self.ui
        assert parameters is not None
        problem = problemOf(self.state, "explain")
        if problem and not self.state.busy:
            ui.estimateLabel.text = problem
            ui.estimateLabel.toolTip = problem
            return
        count = len(list(parameters.checkedLabels)) or 1
        classifies = self._inputs.model.classifies
        if classifies:
            text = _("1 class") if count == 1 else _("{count} classes").format(count=count)
        else:
            text = _("1 label") if count == 1 else _("{count} labels").format(count=count)
        method = madeMethod(parameters)
        if method is not None and method.wanted_error is not None:
            text += _(" to ± {error:g} points").format(error=method.wanted_error)
        elif method is not None and method.samples > 1:
            words = {"steps": _(" × {count} steps"), "coalitions": _(" × {count} coalitions")}
            own = next((name for name in words if hasattr(method, name)), "")
            text += words.get(own, _(" × {count} samples")).format(count=method.samples)
        estimate = self._estimate(count)
        if estimate is not None:
            if estimate.seconds is not None:
                text += ": " + _("about {time}").format(time=durationText(estimate.seconds))
            elif method is not None and is_reckoned(method) and not classifies:
                text += ": " + _("time known after the first run")
            else:
                text += ": " + _("time not known beforehand")
            text += _(", {memory:.1f} GB memory").format(memory=estimate.memory_bytes / 1e9)
        elif self.state.elsewhere is not None and self.state.elsewhere.host:
            text += _(" on {host}").format(host=self.state.elsewhere.host)
        ui.estimateLabel.text = text
        ui.estimateLabel.toolTip = _("Time from earlier runs with this model on this computer. Results go to {folder}.").format(
            folder=resultsRoot(parameters.resultsFolder)
        )

    def _estimate(self, count: int) -> Estimate | None:
        """What so many labels will take; not known of another computer."""
        elsewhere = self.state.elsewhere
        if elsewhere is not None and elsewhere.host:
            return None
        return self._speeds.estimate(self.state.ct, self._inputs.model.card, self.state.parameters, count)

    def _showButton(self) -> None:
        ui, controller = self.ui, self.controller
        explaining = controller.busy and controller.task == "explain"
        problem = "" if controller.busy else problemOf(self.state, "explain")
        ui.applyButton.text = _("Cancel") if explaining else _("Explain")
        ui.applyButton.enabled = (explaining and controller.cancellable) or (not controller.busy and not problem)
        tip = _("Compute for each checked label which voxels made the model draw it.")
        if self._inputs.model.classifies:
            tip = _("Compute for each checked class which voxels and slices spoke for it and against it.")
        ui.applyButton.toolTip = problem or (_("Stop the run; nothing of it is kept.") if explaining else tip)

    def _set(self, name: str, value: Any) -> None:
        if self.state.parameters is not None:
            setattr(self.state.parameters, name, value)

    def _onMethod(self, name: str) -> None:
        self._set("method", name)
        parameters = self.state.parameters
        if parameters is not None and problemOfMethod(parameters):  # what it lacks is chosen there
            self.ui.advancedSection.collapsed = False

    def _onResultsFolder(self, *_unused: Any) -> None:
        self._set("resultsFolder", self.ui.resultsFolderPath.currentPath)

    def _onApply(self, *_unused: Any) -> None:
        if self.controller.busy:
            self.controller.cancel()
            return
        if self._isMeant():
            self.ui.weightsPath.addCurrentPathToHistory()
            self.controller.explain()

    def _isMeant(self) -> bool:
        """Ask before very many labels, or hours, are begun."""
        parameters = self.state.parameters
        if parameters is None or parameters.useDrawnTarget:
            return True
        count = len(list(parameters.checkedLabels))
        estimate = self._estimate(count)
        seconds = estimate.seconds if estimate is not None else None
        if count <= MANY_LABELS and (seconds is None or seconds <= LONG_S):
            return True
        time = _("a time that only a first run can tell")
        if seconds is not None:
            time = _("about {time}").format(time=durationText(seconds))
        text = _("Explaining {count} labels takes {time}. Go on?").format(count=count, time=time)
        return bool(slicer.util.confirmOkCancelDisplay(text, windowTitle=_("Many labels")))

    def _onFinished(self, well: bool) -> None:
        here = self.state.elsewhere is None or not self.state.elsewhere.host
        if well and here:
            self._speeds.learn(self.controller.lastRun)
            if self.state.parameters is not None:
                self._showEstimate()  # now time can be told


def _directories(pathLineEdit: Any) -> Any:
    """The filter of a path edit that asks for folders."""
    import ctk

    return ctk.ctkPathLineEdit.Dirs
