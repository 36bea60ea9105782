"""Section What if?: change a region, see what the model draws then, and keep the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from ..engine.WorkFolder import WorkFolder
from ..scene import MapDisplay
from ..scene.Answers import Answer, answersOf, loadAnswer
from ..scene.DrawnSegments import DrawnSegment, drawnSegments
from ..scene.ResultFolder import resultFolder
from ..scene.SceneVolumes import segmentIds, writeSegment
from .Asking import askEngine
from .ChoiceBox import ChoiceBox
from .ModelInfo import readModelInfo
from .PanelState import Changes, PanelState, Topic

if TYPE_CHECKING:
    from ..engine.RunOutcome import RunOutcome
    from ..scene.ResultRecord import ResultRecord
    from .DisplaySection import DisplaySection
    from .ImportanceSection import ImportanceSection
    from .RunController import RunController

_FILLED = ("remove", "keep")
_NAME, _BEFORE, _AFTER, _CHANGE, _DICE = range(5)


class WhatIfSection:
    """Controls the section.

    Args:
        state: of the panel.
        controller: whose engine is asked, and whose progress and cancel are shared.
        importance: a click on a region there chooses it here.
        display: jumps to labels.
    """

    def __init__(self, state: PanelState, controller: RunController, importance: ImportanceSection, display: DisplaySection):
        self.state, self.ui, self.controller, self.display = state, state.ui, controller, display
        self._work: WorkFolder | None = None
        self._key: tuple[str, str] | None = None
        self._answer = ""
        self._own = ""  # label whose row was clicked: outlined, too
        self._question: dict[str, Any] = {}  # the last one
        self._loaded: Answer | None = None  # the last one that came
        ui = self.ui
        self._action = ChoiceBox(ui.whatIfActionCombo, lambda value: self._set("whatIfAction", value))
        self._region = ChoiceBox(ui.whatIfRegionCombo, lambda value: self._set("whatIfRegion", value))
        self._fill = ChoiceBox(ui.whatIfFillCombo, lambda value: self._set("whatIfFill", value))
        self._answers = ChoiceBox(ui.whatIfAnswerCombo, self._onAnswer)
        ui.whatIfButton.clicked.connect(self._onAsk)
        ui.whatIfAllButton.clicked.connect(self._onAll)
        ui.whatIfRemoveButton.clicked.connect(self._onRemove)
        ui.whatIfCtCheckBox.toggled.connect(self._onCt)
        ui.whatIfTree.columnCount = 5
        ui.whatIfTree.setHeaderLabels([_("Label"), _("ml before"), _("after"), _("change"), "Dice"])
        header = ui.whatIfTree.header()
        header.stretchLastSection = False
        for column in range(5):
            header.setSectionResizeMode(column, qt.QHeaderView.Stretch if column == _NAME else qt.QHeaderView.ResizeToContents)
        ui.whatIfTree.itemClicked.connect(self._onLabel)
        importance.graph.onNodeClicked.append(self._onRegionClicked)
        importance.table.onRegionClicked.append(self._onRegionClicked)

    def refresh(self, changed: Changes) -> None:
        parameters, ui = self.state.parameters, self.ui
        if parameters is None:
            return
        if "whatIfAction" in changed:
            choices = [("remove", _("Remove")), ("keep", _("Keep only")), ("noise", _("Noise in")), ("shift", _("Shift HU of"))]
            self._action.setChoices(choices, parameters.whatIfAction)
            filled = parameters.whatIfAction in _FILLED
            ui.whatIfFillLabel.visible = ui.whatIfFillCombo.visible = filled
            ui.whatIfAmountLabel.visible = ui.whatIfAmountSpinBox.visible = not filled
        if "whatIfFill" in changed:
            fills = [
                ("surroundings", _("its surroundings")),
                ("mean", _("the mean around it")),
                ("blurred", _("itself, blurred")),
                ("air", _("air")),
                ("soft_tissue", _("soft tissue")),
            ]
            self._fill.setChoices(fills, parameters.whatIfFill)
        if changed & {Topic.RECORD, Topic.SCENE, Topic.SEGMENTS, "record", "inputVolume", "whatIfRegion"}:
            self._fillRegions()
        if changed & {Topic.RECORD, Topic.SCENE, "record", "inputVolume"}:
            self._fillAnswers()
        if changed & {Topic.RECORD, Topic.SCENE, Topic.BUSY, "record", "inputVolume", "whatIfRegion", "weights"}:
            self._enable()

    def shutdown(self) -> None:
        """The panel goes."""
        self._forget()

    # What is shown

    def _fillRegions(self) -> None:
        parameters, record = self.state.parameters, self.state.record
        assert parameters is not None
        choices: list[tuple[str, str]] = []
        if record is not None:
            found = set(segmentIds(record.segmentation))
            choices = [(label.name, label.title) for label in record.labels[1:] if label.name in found]
            choices += [(name, name.replace("_", " ")) for name in record.run.get("extra_rois", ())]
            choices += [(drawn.key, drawn.title) for drawn in drawnSegments()]
        names = [name for name, _title in choices]
        chosen = parameters.whatIfRegion if parameters.whatIfRegion in names else ""
        self._region.setChoices(choices, chosen or (names[0] if names else ""))

    def _fillAnswers(self) -> None:
        answers = answersOf(self.state.record)
        if self._answer not in [answer.identifier for answer in answers]:
            self._answer, self._own = answers[-1].identifier if answers else "", ""
        self._answers.setChoices([(answer.identifier, answer.title) for answer in answers], self._answer)
        self._show()

    def _show(self) -> None:
        ui, shown = self.ui, None
        for answer in (every := answersOf(self.state.record)):
            shown = answer if answer.identifier == self._answer else shown
        self._outline()
        ui.whatIfAnswerFrame.visible = bool(every)
        ui.whatIfTree.clear()
        for row in shown.rows if shown is not None else ():
            item = qt.QTreeWidgetItem()
            item.setData(_NAME, qt.Qt.UserRole, row.name)
            change = f"{100 * (row.after / row.before - 1):+.1f} %" if row.before else ""
            dice = f"{row.dice:.3f}" if row.dice is not None else ""
            for column, text in ((_NAME, row.title), (_BEFORE, f"{row.before:.1f}"), (_AFTER, f"{row.after:.1f}"),
                                 (_CHANGE, change), (_DICE, dice)):  # fmt: skip
                item.setText(column, text)
                if column != _NAME:
                    item.setTextAlignment(column, qt.Qt.AlignRight | qt.Qt.AlignVCenter)
            ui.whatIfTree.addTopLevelItem(item)
        self._showCt(shown)

    def _outline(self) -> None:
        """The labels that the chosen answer outlines and the one that was clicked, before and now; say how many more change."""
        names: list[str] = []
        text = _("Strong lines: now. Thin pale lines: before.")
        for answer in answersOf(self.state.record):
            if answer.identifier != self._answer:
                answer.show(False)
                continue
            changed, names = answer.changed, answer.outlined
            names += [name for name in changed if name == self._own and name not in names]
            answer.show(True, names)
            if len(changed) > len(names):
                text += " " + _("Outlined: the {shown} of {all} changed labels that matter most; click another to see it.").format(
                    shown=len(names), all=len(changed)
                )
        self.display.showBefore(names)
        self.ui.whatIfLegendLabel.text = text

    def _showCt(self, answer: Answer | None) -> None:
        ui, ct = self.ui, self.state.ct
        changed = answer.ct if answer is not None else None
        ui.whatIfCtCheckBox.enabled = changed is not None
        if changed is not None and ui.whatIfCtCheckBox.checked:
            MapDisplay.showBackground(changed)
        elif ct is not None and answer is not None:
            MapDisplay.showBackground(ct)

    def _enable(self) -> None:
        ui, record = self.ui, self.state.record
        asked = self.state.parameters.weights.strip() if self.state.parameters is not None else ""
        draws = not (record is not None and record.classes) and not readModelInfo(asked).classifies
        known = record is not None and record.segmentation is not None and bool(self._region.value)
        for button in (ui.whatIfButton, ui.whatIfAllButton):
            button.enabled = known and draws and bool(asked) and not self.state.busy
        ui.whatIfRemoveButton.enabled = bool(self._answer) and not self.state.busy
        ui.whatIfNote.visible = not self._region.value or not draws or not asked
        ui.whatIfNote.text = _("Segment or explain this CT first: then ask what the model would draw without a region.")
        if self._region.value and not asked:
            ui.whatIfNote.text = _("Choose the model that made these results first (Input).")
        if not draws:
            ui.whatIfNote.text = _(
                "A classifier draws nothing: choose a segmentation model and its results to ask what it would draw."
            )

    # What the user does

    def _onRegionClicked(self, name: str) -> None:
        self._set("whatIfRegion", name)

    def _onAnswer(self, identifier: str) -> None:
        self._answer, self._own = identifier, ""
        with slicer.util.RenderBlocker():
            self._show()
        self._enable()

    def _onCt(self, *_unused: Any) -> None:
        shown = next((answer for answer in answersOf(self.state.record) if answer.identifier == self._answer), None)
        with slicer.util.RenderBlocker():
            self._showCt(shown)

    def _onLabel(self, item: Any, *_unused: Any) -> None:
        name = item.data(_NAME, qt.Qt.UserRole)
        if name:
            self._own = str(name)
            with slicer.util.RenderBlocker():
                self._outline()
            self.display.jumpTo(str(name))

    def _onRemove(self, *_unused: Any) -> None:
        for answer in answersOf(self.state.record):
            if answer.identifier == self._answer:
                if self.ui.whatIfCtCheckBox.checked:
                    self.ui.whatIfCtCheckBox.checked = False
                answer.remove()
        self.state.tell({Topic.RECORD})

    def _onAsk(self, *_unused: Any) -> None:
        parameters = self.state.parameters
        if parameters is None:
            return
        filled = parameters.whatIfAction in _FILLED
        request: dict[str, Any] = {"do": "what_if", "action": parameters.whatIfAction, "regions": [self._region.value]}
        drawn = next((each for each in drawnSegments() if each.key == self._region.value), None)
        request |= {"fill": parameters.whatIfFill} if filled else {"amount": float(self.ui.whatIfAmountSpinBox.value)}
        self._ask(request, _("Asking the model …"), self._load, self._told, drawn=drawn)

    def _onAll(self, *_unused: Any) -> None:
        parameters = self.state.parameters
        if parameters is not None:
            request = {"do": "causal", "fill": parameters.whatIfFill}
            self._ask(request, _("Removing every region in turn …"), self._loadAll, self._toldAll, self._whereAll)

    def _ask(
        self,
        request: dict[str, Any],
        message: str,
        loading: Callable[[ResultRecord, RunOutcome], Iterator[str]],
        told: Callable[[RunOutcome], str],
        hint: Callable[[RunOutcome], str] = lambda outcome: "",
        drawn: DrawnSegment | None = None,
    ) -> None:
        record, parameters = self.state.record, self.state.parameters
        if record is None or parameters is None or self.controller.busy or not self.controller.isAgreed():
            return
        try:
            work = self._folder(record)
        except OSError as error:
            text = _("No temporary folder can be made ({reason}): make room on the disk.").format(reason=error.strerror)
            self.controller.say(text, failed=True)
            return
        self._question = question = dict(request)

        def steps(_work: Path) -> Iterator[str]:
            return self._prepare(record, work, question, drawn)

        askEngine(self.controller, "whatIf", message, steps, question, lambda outcome: loading(record, outcome), told, hint)

    def _prepare(self, record: ResultRecord, work: Path, question: dict[str, Any], drawn: DrawnSegment | None) -> Iterator[str]:
        """Write what is read, where it is not there from the last question; a drawn segment may have changed since then."""
        parameters = self.state.parameters
        assert parameters is not None
        ct = yield from self.controller.ctFile.steps(record.ct, parameters.caseName.strip())
        folder = yield from resultFolder(record, work)
        question |= {"result": str(folder), "ct": str(ct), "weights": parameters.weights}
        if drawn is not None:
            taken = [label.name for label in record.labels] + list(record.run.get("extra_rois", ()))
            name = drawn.name if drawn.name not in taken else _("{name} drawn").format(name=drawn.name)
            writeSegment(drawn.node, drawn.identifier, work / "drawn.nrrd")
            question |= {"extra_rois": [f"{work / 'drawn.nrrd'}:{name}"], "regions": [name]}
            yield _("Preparing the drawn segment …")
        question |= {"device": parameters.device, "precision": str(record.run.get("precision") or "auto")}

    def _folder(self, record: ResultRecord) -> Path:
        """The files of the record that is asked about; those of another are deleted."""
        key = (record.identifier, record.ct.GetID() if record.ct is not None else "")
        if self._work is None or key != self._key:
            self._forget()
            self._work, self._key = WorkFolder(), key
        return self._work.path

    def _forget(self) -> None:
        work, self._work, self._key = self._work, None, None
        if work is not None:
            work.remove()

    # What comes back

    def _load(self, record: ResultRecord, outcome: RunOutcome) -> Iterator[str]:
        content = outcome.content
        folder, labels = Path(str(content["answer"])), list(content["labels"])
        answer = yield from loadAnswer(folder, record, labels, str(content["title"]), self._question["regions"])
        self._answer, self._own, self._loaded = answer.identifier, "", answer

    def _told(self, outcome: RunOutcome) -> str:
        title, labels = str(outcome.content["title"]), list(outcome.content["labels"])
        rows = self._loaded.rows if self._loaded is not None else ()
        changed = [row for row in rows if row.dice is None or row.dice < 1]
        text = _("{title}: {count} of {all} labels change.").format(
            title=title[:1].upper() + title[1:], count=len(changed), all=len(labels)
        )
        if changed and changed[0].dice is not None:
            text += " " + _("Most: {label}, Dice {dice:.2f}.").format(label=changed[0].title, dice=changed[0].dice)
        return text

    def _loadAll(self, record: ResultRecord, outcome: RunOutcome) -> Iterator[str]:
        from Agg2ExpLib.interventions.effects_table import read_effects

        yield _("Loading the answer …")
        record.effects = read_effects(Path(str(outcome.content["answer"])))  # goes with the scene, and the sentences tell it

    def _toldAll(self, outcome: RunOutcome) -> str:
        import json

        titles = {label.name: label.title for label in self.state.record.labels} if self.state.record is not None else {}
        file = Path(str(outcome.content["answer"])) / "causal.json"
        ranks = json.loads(file.read_text(encoding="utf-8")).get("rank_correlation", {})
        told = ", ".join(f"{titles.get(name, name)} {value:+.2f}" for name, value in ranks.items() if value is not None)
        if told:
            return _("Effects of removing regions rank as their importance does (1: the same order): {ranks}.").format(ranks=told)
        return _("Every region was removed in turn.")

    def _whereAll(self, outcome: RunOutcome) -> str:
        return _("Table and more: {folder}").format(folder=outcome.content["answer"])

    def _set(self, name: str, value: Any) -> None:
        if self.state.parameters is not None and getattr(self.state.parameters, name) != value:
            setattr(self.state.parameters, name, value)
