"""Section Input: CT, model, device, and what is missing to run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from .ChoiceBox import ChoiceBox
from .ModelInfo import DEMO_CLASSIFIER, ModelInfo, readModelInfo
from .PanelState import Changes, PanelState, Topic

if TYPE_CHECKING:
    from ..engine.Child import Child
    from ..engine.RunOutcome import RunOutcome
    from .RunController import RunController

AUTO, CPU = "auto", "cpu"


class InputSection:
    """Controls the section.

    Args:
        state: of the panel.
        demoWeights: file of the demo model.
        loadDemoCase: loads the synthetic CT and returns its node.
        child: runs the process that asks PyTorch for the graphics cards.
    """

    def __init__(self, state: PanelState, controller: RunController, demoWeights: Path, loadDemoCase: Any, child: Child):
        self.state, self.controller, self.ui, self.demoWeights = state, controller, state.ui, demoWeights
        self.model = ModelInfo("")
        self._loadDemoCase, self._child = loadDemoCase, child
        self._devices: list[tuple[str, str]] = []
        child.onFinished.append(self._onDevices)
        ui = self.ui
        self._device = ChoiceBox(ui.deviceCombo, self._onDevice)
        ui.weightsPath.currentPathChanged.connect(self._onWeights)
        ui.demoModelButton.clicked.connect(self._onDemoModel)
        ui.demoClassifierButton.clicked.connect(self._onDemoClassifier)
        ui.demoCaseButton.clicked.connect(self._onDemoCase)
        ui.requirementsFrame.visible = False

    def refresh(self, changed: Changes) -> None:
        parameters, ui = self.state.parameters, self.ui
        if parameters is None:
            return
        if "weights" in changed:
            if ui.weightsPath.currentPath != parameters.weights:
                ui.weightsPath.currentPath = parameters.weights
            self.model = readModelInfo(parameters.weights)
            ui.modelInfoLabel.text = self.model.summary
            ui.modelInfoLabel.toolTip = self.model.details or self.model.summary
            ui.modelInfoLabel.styleSheet = problemStyle(bool(self.model.problem))
            self.state.tell({Topic.MODEL})
        if "device" in changed:
            self._showDevices()
        if changed & {Topic.SCENE, "inputVolume", Topic.RECORD}:
            self._hideMaps()
        if Topic.BUSY in changed:
            for widget in (
                ui.inputSelector,
                ui.weightsPath,
                ui.deviceCombo,
                ui.demoModelButton,
                ui.demoClassifierButton,
                ui.demoCaseButton,
                ui.modelInfoLabel,
            ):
                widget.enabled = not self.state.busy

    def _hideMaps(self) -> None:
        """Attribution maps are volumes too, but nothing to explain."""
        scene = slicer.mrmlScene
        count = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
        volumes = [scene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode") for index in range(count)]
        maps = [volume.GetID() for volume in volumes if volume.GetAttribute("Agg2Exp.Label")]
        model = getattr(self.ui.inputSelector, "sortFilterProxyModel", None)
        if model is not None and list(model().hiddenNodeIDs or []) != maps:
            model().hiddenNodeIDs = maps

    def _onWeights(self, *_unused: Any) -> None:
        parameters, path = self.state.parameters, self.ui.weightsPath.currentPath
        if parameters is not None and parameters.weights != path:
            parameters.weights = path

    def _onDemoModel(self, *_unused: Any) -> None:
        self.useDemoModel()

    def useDemoModel(self) -> None:
        """Choose the demo weights."""
        self._choose(self.demoWeights)

    def _onDemoClassifier(self, *_unused: Any) -> None:
        self._choose(self.demoWeights.with_name(DEMO_CLASSIFIER))

    def _choose(self, weights: Path) -> None:
        if self.state.parameters is None:
            return
        if not weights.is_file():
            self.controller.say(_("The demo model is not installed: install the extension again."), failed=True)
            return
        self.state.parameters.weights = str(weights)

    def _onDemoCase(self, *_unused: Any) -> None:
        if self.state.parameters is None:
            return
        with slicer.util.tryWithErrorDisplay(_("The demo CT cannot be loaded."), waitCursor=True):
            node = self._loadDemoCase()
            if node is not None:
                self.state.parameters.inputVolume = node

    # Devices

    def _onDevice(self, value: str) -> None:
        if self.state.parameters is not None:
            self.state.parameters.device = value

    def _showDevices(self) -> None:
        current = self.state.parameters.device if self.state.parameters is not None else AUTO
        choices = [(AUTO, _("Auto")), *self._devices, (CPU, _("CPU"))]
        if current not in [value for value, _text in choices]:
            choices.append((current, _("{device} (not found)").format(device=current)))
        self._device.setChoices(choices, current)

    def findDevices(self) -> None:
        """Ask PyTorch, in a process of its own, which graphics cards there are; the list is filled when it answers."""
        if not self._child.running:
            self._child.start(["-m", "Agg2ExpLib.inference.devices"])

    def stopFindingDevices(self) -> None:
        """The panel goes: its helper process too."""
        self._child.forget(1000)

    def _onDevices(self, outcome: RunOutcome) -> None:
        """Without an answer Auto and CPU are offered."""
        try:
            self._devices = [(str(device["id"]), deviceText(device)) for device in outcome.content.get("devices", ())]
        except (KeyError, TypeError):
            self._devices = []
        self._showDevices()


def deviceText(device: dict[str, Any]) -> str:
    """A graphics card with its free memory."""
    free = device.get("free_bytes")
    if not free:
        return str(device["name"])
    return _("{name} ({free:.1f} GB free)").format(name=device["name"], free=free / 1e9)


def problemStyle(isProblem: bool) -> str:
    """Style sheet of a line that may tell of a problem; the colour reads on light and dark backgrounds."""
    return "color: #d9480f;" if isProblem else ""
