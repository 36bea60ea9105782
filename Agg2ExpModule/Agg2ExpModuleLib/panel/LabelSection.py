"""Section Labels: find the labels, choose which to explain, or choose a drawn segment instead; of a classifier its classes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from slicer.i18n import tr as _

from Agg2ExpLib.models.labels import Label

from ..scene.LabelAtPlace import crosshairPlace, segmentAt
from ..scene.ResultsInScene import contextShares
from ..scene.SceneVolumes import segmentIds, segmentName
from .ChoiceBox import ChoiceBox
from .CohortComparison import CohortComparison
from .InputSection import InputSection
from .LabelList import LabelEntry, LabelList
from .PanelState import Changes, PanelState, Topic
from .RunController import RunController
from .RunTexts import problemOf

_LONG = 30  # labels from which on a list is long


class LabelSection:
    """Controls the section."""

    def __init__(self, state: PanelState, controller: RunController, inputs: InputSection, comparison: CohortComparison):
        self.state, self.controller, self.ui = state, controller, state.ui
        self._inputs, self._comparison = inputs, comparison
        self.list = LabelList(self.ui.labelTree)
        self.list.onCheckedChanged.append(self._onChecked)
        self.list.onSelected.append(self._onSelected)
        self._segment = ChoiceBox(self.ui.targetSegmentCombo, self._onSegment)
        ui = self.ui
        ui.searchBox.textChanged.connect(self._onSearch)
        ui.allButton.clicked.connect(self._onAll)
        ui.noneButton.clicked.connect(self._onNone)
        ui.crosshairButton.clicked.connect(self._onCrosshair)
        ui.segmentButton.clicked.connect(self._onSegmentButton)

    def refresh(self, changed: Changes) -> None:
        parameters = self.state.parameters
        if parameters is None:
            return
        if changed & {Topic.RECORD, Topic.SCENE, Topic.COMPARISON, "record", "weights", Topic.MODEL, "inputVolume"}:
            self._fill()
        elif "checkedLabels" in changed:
            self.list.setChecked(parameters.checkedLabels)
        if changed & {"mapLabel", Topic.RECORD}:
            self.list.select(parameters.mapLabel)
        drawn = {"useDrawnTarget", "targetSegmentation", "targetSegment"}
        if changed & {*drawn, Topic.SCENE, Topic.SEGMENTS, Topic.BUSY, Topic.MODEL}:
            self._showTarget()
        if changed & {Topic.MODEL, "weights"}:
            self._showKind()
        self._showButton()

    def _showKind(self) -> None:
        """A classifier has classes, draws nothing and is asked about nothing drawn."""
        ui, classifies = self.ui, self._inputs.model.classifies
        ui.labelsSection.text = _("Classes") if classifies else _("Labels")
        ui.searchBox.placeholderText = _("Search classes") if classifies else _("Search labels")
        ui.segmentButton.visible = ui.crosshairButton.visible = ui.drawnTargetCheckBox.visible = not classifies

    def _fill(self) -> None:
        parameters = self.state.parameters
        assert parameters is not None
        record = self.state.record
        labels: tuple[Label, ...] = self._inputs.model.labels
        volumes: dict[str, float] = {}
        context: dict[str, float] = {}
        comparison = None
        probabilities: dict[str, float] = {}
        if record is not None and (not labels or _names(labels) == _names(record.explainable)):
            labels, context, probabilities = record.explainable, contextShares(record), record.probabilities
            volumes = record.volumes() if not record.classes else {}
            comparison = self._comparison.model
        self.list.setClasses(self._inputs.model.classifies or bool(probabilities))
        entries = [
            LabelEntry(
                label.name,
                label.title,
                label.color,
                label.group,
                volumes.get(label.name),
                context.get(label.name),
                comparison.badge(label.name) if comparison is not None else None,
                probabilities.get(label.name),
            )
            for label in labels
        ]
        self.list.setEntries(_foundFirst(entries), parameters.checkedLabels)
        kept = [entry.name for entry in entries if entry.name in set(self.list.checked())]
        if entries and kept != list(parameters.checkedLabels):  # of another model, or not found in this CT
            parameters.checkedLabels = kept

    def _showTarget(self) -> None:
        parameters, ui = self.state.parameters, self.ui
        assert parameters is not None
        ui.targetFrame.visible = parameters.useDrawnTarget and not self._inputs.model.classifies
        node = parameters.targetSegmentation
        node = node if node is not None and node.GetScene() is not None else None
        names = segmentIds(node)
        if parameters.targetSegment not in names and names and parameters.useDrawnTarget:
            parameters.targetSegment = names[0]
        self._segment.setChoices([(name, segmentName(node, name)) for name in names], parameters.targetSegment)

    def _showButton(self) -> None:
        ui, controller = self.ui, self.controller
        busy = self.state.busy
        segmenting = busy and controller.task == "segment"
        ui.segmentButton.text = _("Cancel") if segmenting else _("Segment CT")
        problem = "" if busy else problemOf(self.state, "segment")
        ui.segmentButton.enabled = (segmenting and controller.cancellable) or (not busy and not problem)
        tip = _("Run only the model: which labels does it find in this CT, and how large are they?")
        ui.segmentButton.toolTip = problem or (_("Stop the run; nothing of it is kept.") if segmenting else tip)
        for widget in (ui.drawnTargetCheckBox, ui.targetFrame):
            widget.enabled = not busy

    def _onChecked(self) -> None:
        if self.state.parameters is not None:
            self.state.parameters.checkedLabels = self.list.checked()

    def _onSelected(self, name: str) -> None:
        record = self.state.record
        if self.state.parameters is not None and record is not None and name in record.overlays:
            self.state.parameters.mapLabel = name

    def _onSegment(self, value: str) -> None:
        if self.state.parameters is not None:
            self.state.parameters.targetSegment = value

    def _onSearch(self, *_unused: Any) -> None:
        self.list.filter(self.ui.searchBox.text)

    def _onAll(self, *_unused: Any) -> None:
        self.list.checkListed(True)

    def _onNone(self, *_unused: Any) -> None:
        self.list.checkListed(False)

    def _onCrosshair(self, *_unused: Any) -> None:
        """Check only the label under the cross-hair."""
        parameters, record = self.state.parameters, self.state.record
        if parameters is None:
            return
        if record is None or record.segmentation is None:
            self.controller.say(_("Segment the CT first: then the label under the cross-hair is known."), failed=True)
            return
        place = crosshairPlace()
        name = segmentAt(record.segmentation, place) if place is not None else ""
        if name not in [entry.name for entry in self.list.entries]:
            self.controller.say(
                _("The model drew no label under the cross-hair: hold Shift and move the mouse to place it."), failed=True
            )
            return
        self.ui.searchBox.text = ""
        parameters.checkedLabels = [name]
        self.list.show(name)
        title = next(entry.title for entry in self.list.entries if entry.name == name)
        self.controller.say(_("{label} lies under the cross-hair and is checked.").format(label=title))

    def _onSegmentButton(self, *_unused: Any) -> None:
        if self.controller.busy:
            self.controller.cancel()
        else:
            self.controller.segment()


def _foundFirst(entries: list[LabelEntry]) -> list[LabelEntry]:
    """Of a long list those last that the model does not find in this CT, under a heading of their own."""
    absent = {entry.name for entry in entries if entry.volume == 0}
    if len(entries) < _LONG or not absent:
        return entries
    found = [entry for entry in entries if entry.name not in absent]
    return found + [replace(entry, group=_("not found in this CT")) for entry in entries if entry.name in absent]


def _names(labels: tuple[Label, ...]) -> list[str]:
    return [label.name for label in labels]
