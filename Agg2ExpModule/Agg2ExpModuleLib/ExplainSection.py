"""Section Explain, and the frame below it that tells how a run goes."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from .InputSection import InputSection, problemStyle
from .PanelState import BUSY, MISSING, RECORD, SCENE, ChoiceBox, PanelState
from .RunController import CANCELLING, IDLE
from .RunTexts import durationText, problemOf, resultsRoot
from .SpeedMemory import SpeedMemory

_PRECISIONS = ("auto", "float32", "bfloat16", "float16", "float64")
_COUNTING = {"checkedLabels", "samples", "method", "overlap", "device", "inputVolume", "weights", "model", "useDrawnTarget", SCENE}


class ExplainSection:
    """Controls the section."""

    def __init__(self, state: PanelState, inputs: InputSection, speeds: SpeedMemory):
        self.state, self.ui, self._inputs, self._speeds = state, state.ui, inputs, speeds
        ui = self.ui
        self._method = ChoiceBox(ui.methodCombo, lambda value: self._set("method", value))
        self._precision = ChoiceBox(ui.precisionCombo, lambda value: self._set("precision", value))
        self._reduction = ChoiceBox(ui.reductionCombo, lambda value: self._set("reduction", value))
        ui.resultsFolderPath.filters = _directories(ui.resultsFolderPath)
        ui.resultsFolderPath.currentPathChanged.connect(self._onResultsFolder)
        ui.applyButton.clicked.connect(self._onApply)
        ui.dismissButton.clicked.connect(self._onDismiss)

    def listen(self) -> None:
        """Hear the controller; it is made after the sections."""
        assert self.state.controller is not None
        self.state.controller.onLog.append(self._onLog)
        self.state.controller.onFinished.append(self._onFinished)

    def refresh(self, changed: set[str]) -> None:
        parameters, ui = self.state.parameters, self.ui
        if parameters is None:
            return
        if "method" in changed:
            methods = [("smoothgrad", _("SmoothGrad")), ("gradient", _("Gradient"))]
            self._method.setChoices(methods, parameters.method)
        if changed & {"method", BUSY}:
            noisy = parameters.method == "smoothgrad" and not self.state.busy
            for widget in (ui.samplesSpinBox, ui.noiseSpinBox, ui.seedSpinBox):
                widget.enabled = noisy
        if "precision" in changed:
            self._precision.setChoices(
                [(name, _("Auto") if name == "auto" else name) for name in _PRECISIONS], parameters.precision
            )
        if "reduction" in changed:
            self._reduction.setChoices([("sum", _("Sum over the label")), ("mean", _("Mean over the label"))], parameters.reduction)
        if "resultsFolder" in changed and ui.resultsFolderPath.currentPath != parameters.resultsFolder:
            ui.resultsFolderPath.currentPath = parameters.resultsFolder
        if changed & (_COUNTING | {BUSY, RECORD, MISSING}):
            self._showEstimate()
        if BUSY in changed:
            busy = self.state.busy
            for widget in (
                ui.methodCombo,
                ui.overlapSpinBox,
                ui.precisionCombo,
                ui.reductionCombo,
                ui.caseNameEdit,
                ui.resultsFolderPath,
            ):
                widget.enabled = not busy
            self._showRun()
        self._showButton()

    def _showEstimate(self) -> None:
        parameters, ui = self.state.parameters, self.ui
        assert parameters is not None
        problem = problemOf(self.state, "explain")
        if problem and not self.state.busy:
            ui.estimateLabel.text = problem
            ui.estimateLabel.toolTip = problem
            return
        count = len(list(parameters.checkedLabels)) or 1
        text = _("1 label") if count == 1 else _("{count} labels").format(count=count)
        if parameters.method == "smoothgrad":
            text += _(" × {count} samples").format(count=parameters.samples)
        estimate = self._speeds.estimate(self.state.ct, self._inputs.model.card, parameters, count)
        if estimate is not None:
            known = estimate.seconds is not None
            text += ": " + (
                _("about {time}").format(time=durationText(estimate.seconds)) if known else _("time known after the first run")
            )
            text += _(", {memory:.1f} GB memory").format(memory=estimate.memory_bytes / 1e9)
        ui.estimateLabel.text = text
        ui.estimateLabel.toolTip = _("Time from earlier runs with this model on this computer. Results go to {folder}.").format(
            folder=resultsRoot(parameters.resultsFolder)
        )

    def _showButton(self) -> None:
        ui, controller = self.ui, self.state.controller
        if controller is None:
            return
        explaining = controller.busy and controller.task == "explain"
        problem = "" if controller.busy else problemOf(self.state, "explain")
        ui.applyButton.text = _("Cancel") if explaining else _("Explain")
        ui.applyButton.enabled = (explaining and controller.phase != CANCELLING) or (not controller.busy and not problem)
        tip = _("Compute for each checked label which voxels made the model draw it.")
        ui.applyButton.toolTip = problem or (_("Stop the run; nothing of it is kept.") if explaining else tip)

    def _showRun(self) -> None:
        ui, controller = self.ui, self.state.controller
        if controller is None:
            return
        busy = controller.phase != IDLE
        ui.runFrame.visible = busy or bool(controller.message)
        ui.progressBar.visible = busy
        if busy:
            # Without a known fraction the bar runs to and fro.
            ui.progressBar.maximum = 0 if controller.fraction is None else 1000
            if controller.fraction is not None:
                ui.progressBar.value = round(1000 * controller.fraction)
        ui.statusLabel.text = "\n".join(part for part in (controller.message, controller.hint) if part)
        ui.statusLabel.styleSheet = problemStyle(controller.failed)
        ui.dismissButton.visible = not busy

    def _set(self, name: str, value: Any) -> None:
        if self.state.parameters is not None:
            setattr(self.state.parameters, name, value)

    def _onResultsFolder(self, *_unused: Any) -> None:
        self._set("resultsFolder", self.ui.resultsFolderPath.currentPath)

    def _onApply(self, *_unused: Any) -> None:
        controller = self.state.controller
        if controller is None:
            return
        if controller.busy:
            controller.cancel()
            return
        self.ui.weightsPath.addCurrentPathToHistory()
        controller.explain()

    def _onDismiss(self, *_unused: Any) -> None:
        if self.state.controller is not None:
            self.state.controller.dismiss()

    def _onLog(self, line: str) -> None:
        self.ui.logText.appendPlainText(line)

    def _onFinished(self, well: bool) -> None:
        if well and self.state.controller is not None:
            self._speeds.learn(self.state.controller.lastRun)


def _directories(pathLineEdit: Any) -> Any:
    """The filter of a path edit that asks for folders."""
    import ctk

    return ctk.ctkPathLineEdit.Dirs
