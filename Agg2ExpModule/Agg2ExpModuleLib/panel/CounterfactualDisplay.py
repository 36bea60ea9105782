"""What is seen of the counterfactuals of a CT: slider, curves, volumes, and frame, difference and outlines in the views."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from ..drawing.CurveView import CurveView
from ..scene import MapDisplay
from ..scene.Counterfactuals import Way, waysOf
from .ChoiceBox import ChoiceBox
from .CounterfactualModel import CounterfactualModel, changeText
from .PanelState import Changes, PanelState, Topic

if TYPE_CHECKING:
    from .DisplaySection import DisplaySection

_NAME, _BEFORE, _NOW, _CHANGE = range(4)
_ROWS = 6  # seen without scrolling
_OURS = {"mapLabel", "record", "inputVolume"}  # who changes these wants to see a map again


class CounterfactualDisplay:
    """Shows one of them at a time.

    Args:
        state: of the panel.
        display: of the maps, which come back when the counterfactual is not shown.

    Attributes:
        way: what the slider goes along; None without one.
        model: the same in words and curves.
        index: of the frame that is shown.
        showing: whether the views show it.
        onChosen: are called when another one was chosen.
    """

    def __init__(self, state: PanelState, display: DisplaySection):
        self.state, self.ui, self._display = state, state.ui, display
        self.way: Way | None = None
        self.model: CounterfactualModel | None = None
        self.index = 0
        self.showing = False
        self.onChosen: list[Callable[[], None]] = []
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
        self._ways = ChoiceBox(ui.counterAnswerCombo, self._onWay)
        ui.counterRemoveButton.clicked.connect(self._onRemove)
        ui.counterSlider.valueChanged.connect(self._onSlider)
        self._boxes = (ui.counterCtCheckBox, ui.counterDifferenceCheckBox, ui.counterOutlinesCheckBox)
        for box in self._boxes:
            box.toggled.connect(self._onShown)
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
        if self.state.parameters is None:
            self.shutdown()
            self.way = self.model = None
            return
        if changed & {Topic.SCENE, Topic.RECORD, "inputVolume"}:
            self._fillWays()
        if changed & _OURS and self.showing:
            self._give(back=False)

    def shutdown(self) -> None:
        """Nothing is listened to any more."""
        self._unwatch()
        self._unwatch = lambda: None

    def go(self, index: int) -> None:
        """Show a frame."""
        self.ui.counterSlider.value = index

    def open(self, way: Way) -> None:
        """Show one that has just come into the scene, at its end."""
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
        before, was = self.way, self.showing
        self._unwatch()
        if before is not None and before.node.GetScene() is not None:
            before.outline(())
        self.way = next((way for way in waysOf(self.state.ct) if way.identifier == identifier), None)
        self.model = CounterfactualModel(self.way) if self.way is not None else None
        ui.counterAnswerFrame.visible = self.way is not None
        if self.way is None or self.model is None:
            self.showing = False
            self.curves.setCurves(None)
            ui.counterTree.clear()
            return
        self.index = self.way.start
        self._busy = True
        ui.counterSlider.maximum = max(0, len(self.way.steps) - 1)
        ui.counterSlider.value = self.index
        self._busy = False
        self.curves.setCurves(self.model.curves())
        ui.counterNotes.text = "\n".join(f"• {note}" for note in self.way.notes)
        ui.counterNotes.visible = bool(self.way.notes)
        ui.counterDifferenceCheckBox.enabled = self.way.difference is not None
        ui.counterOutlinesCheckBox.enabled = bool(self.way.drawn)
        first = [row.name for row in self.model.rows(self.index)]
        self._own, self._clicked = tuple(first[:1] if self.way.target in first else first[:3]), ""
        self._fillTree()
        self._tell()
        self._unwatch = self.way.frames.observe(self._onToolbar)
        if was:
            self._show()

    def _fillTree(self) -> None:
        tree = self.ui.counterTree
        tree.clear()
        for row in self.model.rows(self.index) if self.model is not None else ():
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
        model, ui = self.model, self.ui
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
        self.showing = True
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
        way, self.showing = self.way, False
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

    def _onSlider(self, *_unused: Any) -> None:
        if self._busy or self.way is None:
            return
        self.index = int(self.ui.counterSlider.value)
        with slicer.util.RenderBlocker():
            self.way.show(self.index)
        self._tell()
        if not self.showing:  # who moves it wants to see it
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
        for callback in list(self.onChosen):
            callback()

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
                if self.showing:
                    self._show()
                self.way.jumpTo(str(name), self._display.sections)
