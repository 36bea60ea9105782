"""Section Counterfactual: what this CT would have to look like for the model to answer otherwise, on a slider from less to more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from ..drawing.CurveView import CurveView
from ..scene import MapDisplay
from ..scene.Counterfactuals import Way, loadWay, waysOf
from ..scene.SceneVolumes import segmentIds
from .ChoiceBox import ChoiceBox
from .CounterfactualJob import writeCounterfactualJob
from .CounterfactualModel import CounterfactualModel, changeText
from .ModelInfo import isThere
from .PanelState import Changes, PanelState, Topic
from .RunTexts import problemOf

if TYPE_CHECKING:
    from ..engine.Child import Child
    from ..engine.RunOutcome import RunOutcome
    from .DisplaySection import DisplaySection
    from .InputSection import InputSection
    from .RunController import RunController

_NAME, _BEFORE, _NOW, _CHANGE = range(4)
_ROWS = 6  # seen without scrolling
_ASKING = {Topic.MODEL, Topic.RECORD, Topic.SCENE, Topic.BUSY, "record", "inputVolume", "weights", "segmenter", "counterTarget"}
_OURS = {"mapLabel", "record", "inputVolume"}  # who changes these wants to see a map again


class CounterfactualSection:
    """Controls the section.

    Args:
        state: of the panel.
        controller: whose progress and cancel are shared.
        inputs: knows the model.
        display: of the maps, which come back when the counterfactual is not shown.
        child: runs the process that makes one.

    Attributes:
        way: what the slider goes along; None without one.
        index: of the frame that is shown.
    """

    def __init__(self, state: PanelState, controller: RunController, inputs: InputSection, display: DisplaySection, child: Child):
        self.state, self.ui, self.controller = state, state.ui, controller
        self._inputs, self._display, self._child = inputs, display, child
        self.way: Way | None = None
        self.index = 0
        self._model: CounterfactualModel | None = None
        self._file: Path | None = None
        self._showing = False
        self._own: tuple[str, ...] = ()  # labels that are outlined; and the one whose row was clicked
        self._clicked = ""
        self._busy = False  # the slider is being set from here
        self._unwatch: Callable[[], None] = lambda: None
        ui = self.ui
        self.curves = CurveView(ui.counterCurveFrame)
        layout = qt.QVBoxLayout(ui.counterCurveFrame)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.curves)
        self.curves.onPoint.append(self.go)
        self._target = ChoiceBox(ui.counterTargetCombo, lambda value: self._set("counterTarget", value))
        self._direction = ChoiceBox(ui.counterDirectionCombo, lambda value: self._set("counterDirection", value))
        self._ways = ChoiceBox(ui.counterAnswerCombo, self._onWay)
        ui.counterButton.clicked.connect(self._onMake)
        ui.counterRemoveButton.clicked.connect(self._onRemove)
        ui.counterSlider.valueChanged.connect(self._onSlider)
        self._boxes = (ui.counterCtCheckBox, ui.counterDifferenceCheckBox, ui.counterOutlinesCheckBox)
        for box in self._boxes:
            box.toggled.connect(self._onShown)
        ui.autoencoderPath.currentPathChanged.connect(self._onAutoencoder)
        tree = ui.counterTree
        tree.columnCount = 4
        tree.setHeaderLabels([_("Label"), _("ml at λ = 0"), _("now"), _("change")])
        header = tree.header()
        header.stretchLastSection = False
        for column in range(4):
            header.setSectionResizeMode(column, qt.QHeaderView.Stretch if column == _NAME else qt.QHeaderView.ResizeToContents)
        tree.itemClicked.connect(self._onLabel)
        ui.counterAnswerFrame.visible = False

    def refresh(self, changed: Changes) -> None:
        parameters = self.state.parameters
        if parameters is None:
            self._unwatch()
            self._unwatch = lambda: None
            self.way = self._model = None
            return
        if "counterDirection" in changed:
            choices = [("both", _("Less and more")), ("less", _("Less")), ("more", _("More"))]
            self._direction.setChoices(choices, parameters.counterDirection)
        if "autoencoder" in changed and self.ui.autoencoderPath.currentPath != parameters.autoencoder:
            self.ui.autoencoderPath.currentPath = parameters.autoencoder
        if changed & {Topic.MODEL, Topic.RECORD, Topic.SCENE, "record", "inputVolume", "weights", "counterTarget"}:
            self._fillTargets()
        if changed & {Topic.SCENE, Topic.RECORD, "inputVolume"}:
            self._fillWays()
        if changed & _OURS and self._showing:
            self._give(back=False)
        if changed & _ASKING:
            self._enable()

    def shutdown(self) -> None:
        """The panel goes: what is being made is given up."""
        self._child.shutdown()
        self._unwatch()

    def go(self, index: int) -> None:
        """Show a frame."""
        self.ui.counterSlider.value = index

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
        parameters = self.state.parameters
        if parameters is None:
            return ""
        problem = problemOf(self.state, "counterfactual")
        if not problem and isThere(parameters.weights):
            return _("Counterfactuals are made on this computer: choose a model that lies here.")
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
        ui.counterRemoveButton.enabled = self.way is not None and not busy
        name = _("Class:") if self._inputs.model.classifies else _("Label:")
        ui.counterTargetLabel.text = name

    # Making one

    def make(self) -> bool:
        """Make one of what is chosen; False when something else goes on."""
        parameters, controller, ct = self.state.parameters, self.controller, self.state.ct
        if parameters is None or ct is None or controller.busy:
            return False
        target = self._target.value

        def steps() -> Iterator[str]:
            assert controller.folder is not None
            work = controller.folder.path
            self._file = yield from writeCounterfactualJob(self.state, self._inputs.model.classifies, ct, target, work)

        def loading(outcome: RunOutcome) -> Iterator[str]:
            way = yield from loadWay(Path(str(outcome.content["result"])), ct)
            self._loaded(way)

        def told(outcome: RunOutcome) -> str:
            assert self._model is not None
            return self._model.summary()

        return controller.workInChild(
            "counterfactual", _("Making the counterfactual …"), steps(), self._child, self._arguments, told, loading
        )

    def _arguments(self) -> list[str]:
        return ["-m", "Agg2ExpLib.api.counterfactual_job", str(self._file)]

    def load(self, folder: Path) -> bool:
        """Bring a folder that ``agg2exp counterfactual`` wrote, of the chosen CT; False when something else goes on."""
        ct = self.state.ct
        if ct is None:
            self.controller.say(_("Load the CT of this counterfactual first, and choose it (Input)."), failed=True)
            return False

        def steps() -> Iterator[str]:
            way = yield from loadWay(folder, ct, check=True)
            self._loaded(way)

        def done() -> str:
            return self._model.summary() if self._model is not None else ""

        return self.controller.work(steps(), _("Loading the counterfactual …"), done)

    def _loaded(self, way: Way) -> None:
        """It is there: show its end."""
        self._choose(way.identifier)
        ui = self.ui
        ui.counterSection.collapsed = False
        for box in self._boxes:
            box.checked = True
        self.go(0 if way.start > 0 else len(way.steps) - 1)  # at λ = 0 there is nothing to see
        with slicer.util.RenderBlocker():
            self._show()
            if way.target in [label.name for label in way.labels]:
                way.jumpTo(way.target, self._display.sections)

    # What is shown

    def _fillWays(self) -> None:
        ways = waysOf(self.state.ct)
        identifier = self.way.identifier if self.way is not None else ""
        if identifier not in [way.identifier for way in ways]:
            identifier = ways[-1].identifier if ways else ""
        if self.way is None or identifier != self.way.identifier:
            self._choose(identifier)
        titles = [way.title for way in ways]
        choices = [
            (way.identifier, title if titles.count(title) == 1 else f"{title} ({number})")
            for number, (way, title) in enumerate(zip(ways, titles, strict=True), start=1)
        ]
        self._ways.setChoices(choices, identifier)
        self.ui.counterAnswerCombo.visible = len(ways) > 1

    def _choose(self, identifier: str) -> None:
        """Take another counterfactual; it is shown where one was."""
        ui = self.ui
        before, was = self.way, self._showing
        self._unwatch()
        if before is not None and before.node.GetScene() is not None:
            before.outline(())
        self.way = next((way for way in waysOf(self.state.ct) if way.identifier == identifier), None)
        self._model = CounterfactualModel(self.way) if self.way is not None else None
        ui.counterAnswerFrame.visible = self.way is not None
        if self.way is None or self._model is None:
            self._showing = False
            self.curves.setCurves(None)
            ui.counterTree.clear()
            return
        self.index = self.way.start
        self._busy = True
        ui.counterSlider.maximum = max(0, len(self.way.steps) - 1)
        ui.counterSlider.value = self.index
        self._busy = False
        self.curves.setCurves(self._model.curves())
        ui.counterNotes.text = "\n".join(f"• {note}" for note in self.way.notes)
        ui.counterNotes.visible = bool(self.way.notes)
        ui.counterDifferenceCheckBox.enabled = self.way.difference is not None
        ui.counterOutlinesCheckBox.enabled = bool(self.way.drawn)
        first = [row.name for row in self._model.rows(self.index)]
        self._own, self._clicked = tuple(first[:1] if self.way.target in first else first[:3]), ""
        self._fillTree()
        self._tell()
        self._unwatch = self.way.frames.observe(self._onToolbar)
        if was:
            self._show()

    def _fillTree(self) -> None:
        tree = self.ui.counterTree
        tree.clear()
        for row in self._model.rows(self.index) if self._model is not None else ():
            item = qt.QTreeWidgetItem()
            item.setData(_NAME, qt.Qt.UserRole, row.name)
            item.setText(_NAME, row.title)
            for column in (_BEFORE, _NOW, _CHANGE):
                item.setTextAlignment(column, qt.Qt.AlignRight | qt.Qt.AlignVCenter)
            tree.addTopLevelItem(item)
        count = tree.topLevelItemCount
        tree.visible = bool(count)
        if count:
            tree.setFixedHeight(tree.sizeHintForRow(0) * min(_ROWS, count) + tree.header().sizeHint.height() + 6)

    def _tell(self) -> None:
        """Numbers of the frame shown."""
        model, ui = self._model, self.ui
        if model is None:
            return
        ui.counterLine.text = model.line(self.index)
        self.curves.current = self.index
        for number, row in enumerate(model.rows(self.index)):
            item = ui.counterTree.topLevelItem(number)
            for column, text in ((_BEFORE, f"{row.before:.1f}"), (_NOW, f"{row.now:.1f}"), (_CHANGE, changeText(row.change))):
                item.setText(column, text)

    def _show(self) -> None:
        """Put the frame, the difference and the outlines into the views, as they are checked."""
        way, ui = self.way, self.ui
        if way is None:
            return
        self._showing = True
        way.show(self.index)
        ct, difference = ui.counterCtCheckBox.checked, ui.counterDifferenceCheckBox.checked and way.difference is not None
        parameters = self.state.parameters
        opacity = parameters.opacity if parameters is not None else 1.0
        background = way.volume if ct else self.state.ct
        if difference:
            MapDisplay.showLayers(background, way.difference, opacity)
            MapDisplay.showLegend(way.difference, self._overlays(), _("HU against λ = 0\nred denser\nblue less dense"), True)
        else:
            if way.difference is not None:
                MapDisplay.removeLayers([way.difference])
                MapDisplay.showLegend(None, [way.difference], "", False)
            if background is not None:
                MapDisplay.showBackground(background)
        outlines = ui.counterOutlinesCheckBox.checked
        way.outline({*self._own, self._clicked} if outlines else ())
        if not (ct or difference or outlines):
            self._give()

    def _overlays(self) -> list[Any]:
        record = self.state.record
        return record.shownNodes() if record is not None else []

    def _give(self, back: bool = True) -> None:
        """The views are those of the maps again."""
        way, self._showing = self.way, False
        if way is None or way.node.GetScene() is None:
            return
        way.outline(())
        if way.difference is not None:
            MapDisplay.removeLayers([way.difference])
            MapDisplay.showLegend(None, [way.difference], "", False)
        if self.state.ct is not None:
            MapDisplay.showBackground(self.state.ct)
        self._display.showAgain()
        if not back:  # the boxes tell what is seen
            self._check(False)

    def _check(self, checked: bool) -> None:
        """Set the boxes without doing what they ask for."""
        for box in self._boxes:
            box.blockSignals(True)
            box.checked = checked
            box.blockSignals(False)

    # What the user does

    def _onMake(self, *_unused: Any) -> None:
        if self.controller.busy:
            self.controller.cancel()
        else:
            self.make()

    def _onSlider(self, *_unused: Any) -> None:
        if self._busy or self.way is None:
            return
        self.index = int(self.ui.counterSlider.value)
        with slicer.util.RenderBlocker():
            self.way.show(self.index)
        self._tell()
        if not self._showing:  # who moves it wants to see it
            if not any(box.checked for box in self._boxes):
                self._check(True)
            with slicer.util.RenderBlocker():
                self._show()

    def _onToolbar(self, index: int) -> None:
        """Slicer's sequence toolbar goes through the frames, too."""
        if 0 <= index != self.index:
            self.go(index)

    def _onShown(self, *_unused: Any) -> None:
        with slicer.util.RenderBlocker():
            self._show()

    def _onWay(self, identifier: str) -> None:
        with slicer.util.RenderBlocker():
            self._choose(identifier)
        self._enable()

    def _onRemove(self, *_unused: Any) -> None:
        way = self.way
        if way is None:
            return
        with slicer.util.RenderBlocker():
            self._give(back=False)
            way.remove()
        self.way = None
        self.state.tell({Topic.RECORD})

    def _onLabel(self, item: Any, *_unused: Any) -> None:
        name = item.data(_NAME, qt.Qt.UserRole)
        if name and self.way is not None:
            with slicer.util.RenderBlocker():
                self._clicked = str(name)
                if self._showing:
                    self._show()
                self.way.jumpTo(str(name), self._display.sections)

    def _onAutoencoder(self, *_unused: Any) -> None:
        self._set("autoencoder", self.ui.autoencoderPath.currentPath)

    def _set(self, name: str, value: Any) -> None:
        if self.state.parameters is not None and getattr(self.state.parameters, name) != value:
            setattr(self.state.parameters, name, value)
