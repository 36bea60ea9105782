"""Section Compare with a cohort: the reference, which labels are unusual, and where this patient lies in the row of one label."""

from __future__ import annotations

from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ..drawing.BoxPlotView import BoxPlotView
from .ChoiceBox import ChoiceBox
from .CohortComparison import CohortComparison
from .DifferenceModel import DIFFERENCE
from .DisplaySection import DisplaySection
from .InputSection import problemStyle
from .PanelState import Changes, PanelState, Topic


class CompareSection:
    """Controls the section."""

    def __init__(self, state: PanelState, comparison: CohortComparison, display: DisplaySection):
        self.state, self.ui, self.comparison, self._display = state, state.ui, comparison, display
        ui = self.ui
        self.boxes = BoxPlotView(ui.boxFrame)
        layout = qt.QVBoxLayout(ui.boxFrame)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.boxes)
        self._label = ChoiceBox(ui.compareLabelCombo, self._onLabel)
        self.boxes.onRegionClicked.append(display.jumpTo)
        ui.referencePath.currentPathChanged.connect(self._onReference)
        ui.referenceFolderButton.clicked.connect(self._onFolder)
        ui.compareButton.clicked.connect(self._onCompare)
        ui.differenceButton.clicked.connect(self._onDifference)

    def refresh(self, changed: Changes) -> None:
        parameters, ui = self.state.parameters, self.ui
        if parameters is None:
            return
        if "cohortReference" in changed and ui.referencePath.currentPath != parameters.cohortReference:
            ui.referencePath.currentPath = parameters.cohortReference
        if changed & {Topic.COMPARISON, Topic.COMPARISON_PROGRESS, Topic.MISSING, Topic.RECORD, Topic.SCENE, "cohortReference"}:
            self._tell()
        if changed & {Topic.COMPARISON, "mapLabel", "background"}:
            self._show()

    def _tell(self) -> None:
        ui, comparison, parameters = self.ui, self.comparison, self.state.parameters
        assert parameters is not None
        model, result = comparison.model, comparison.result
        text, notes = comparison.message, []
        if model is not None and result is not None:
            if not comparison.message:
                text = model.summary()
            if result.missing:
                needed = _("The badges need {package}: click “Install requirements…” in the section Input.")
                notes.append(needed.format(package=result.missing))
            notes += result.notices
        elif not text:
            record = self.state.record
            if not parameters.cohortReference.strip():
                text = _("Choose a reference: the results of other patients, explained with the same model.")
            elif record is None or not record.node.GetParameter("matrix"):
                text = _("Explain a label of this CT to compare it.")
        ui.compareSummary.text = text
        ui.compareSummary.styleSheet = problemStyle(comparison.failed)
        ui.compareNotes.text = "\n".join(f"• {note}" for note in notes)
        ui.compareNotes.visible = bool(notes)
        ui.compareButton.enabled = bool(parameters.cohortReference.strip()) and not comparison.running
        ui.differenceButton.enabled = result is not None

    def _show(self) -> None:
        """The boxes of the chosen label."""
        parameters, ui, model = self.state.parameters, self.ui, self.comparison.model
        assert parameters is not None
        ui.compareFrame.visible = model is not None
        choices = []
        for one in model.comparison.labels if model is not None else ():
            badge = model.badge(one.label)
            title = model.model.title(one.label)
            choices.append((one.label, f"{title} ({badge.text})" if badge is not None and badge.standsOut else title))
        chosen = parameters.mapLabel if parameters.mapLabel in [name for name, _text in choices] else ""
        chosen = chosen or (choices[0][0] if choices else "")
        self._label.setChoices(choices, chosen)
        badge = model.badge(chosen) if model is not None else None
        ui.compareLabelCombo.toolTip = badge.tip if badge is not None else _("Whose row is shown.")
        ui.compareVerdict.text = badge.tip.split("\n")[0] if badge is not None and not self.comparison.running else ""
        self.boxes.setBoxes(model.boxes(chosen, parameters.background) if model is not None else None)

    # What the user does

    def _onReference(self, *_unused: Any) -> None:
        parameters, path = self.state.parameters, self.ui.referencePath.currentPath
        if parameters is not None and parameters.cohortReference != path:
            parameters.cohortReference = path

    def _onFolder(self, *_unused: Any) -> None:
        title = _("Folder with the results of other patients")
        chosen = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title)
        if chosen and self.state.parameters is not None:
            self.state.parameters.cohortReference = str(chosen)

    def _onCompare(self, *_unused: Any) -> None:
        self.comparison.again()

    def _onDifference(self, *_unused: Any) -> None:
        if self.state.parameters is not None:
            self.state.parameters.measure = DIFFERENCE
            self.ui.importanceSection.collapsed = False

    def _onLabel(self, value: str) -> None:
        if self.state.parameters is not None:
            self.state.parameters.mapLabel = value
