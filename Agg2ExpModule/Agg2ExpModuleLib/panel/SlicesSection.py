"""Section Slices: which slices a classifier's class comes from, as bars along each axis, as a list, and by keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from ..drawing.SliceBarsView import SliceBarsView
from ..scene.SlicePlaces import SliceViewWatch, goToSlice, shownSlices
from .ChoiceBox import ChoiceBox
from .PanelState import Changes, PanelState, Topic
from .SlicesModel import SlicesModel, measureTitle

if TYPE_CHECKING:
    from .SlicesModel import TopSlice

_PLANE, _PLACE, _VALUE = range(3)
_ROWS = 5  # seen without scrolling
_LATER_MS = 40  # a view that is being scrolled tells many times
_SHOWN = {Topic.RECORD, Topic.SCENE, "record", "inputVolume", "mapLabel", "sliceMeasure"}


class SlicesSection:
    """Controls the section, which is there for results of classifiers alone.

    Args:
        state: of the panel.

    Attributes:
        model: the slices of the results shown; None where they have none.
        top: the most important slices of the class shown.
    """

    def __init__(self, state: PanelState):
        self.state, self.ui = state, state.ui
        self.model: SlicesModel | None = None
        self.top: list[TopSlice] = []
        self._key: tuple[str, str] | None = None  # record and text that the model was read from
        self._at = -1
        self._opened = False
        ui = self.ui
        self.view = SliceBarsView(ui.sliceFrame)
        layout = qt.QVBoxLayout(ui.sliceFrame)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.view)
        self.view.onSliceClicked.append(self.goTo)
        self._measure = ChoiceBox(ui.sliceMeasureCombo, self._onMeasure)
        tree = ui.sliceTree
        tree.columnCount = 3
        tree.setHeaderLabels([_("Slice"), _("at"), ""])
        header = tree.header()
        header.stretchLastSection = False
        for column in range(3):
            header.setSectionResizeMode(column, qt.QHeaderView.Stretch if column == _PLANE else qt.QHeaderView.ResizeToContents)
        tree.itemClicked.connect(self._onItem)
        ui.slicesSection.visible = False
        self._later = qt.QTimer(state.root)
        self._later.singleShot = True
        self._later.timeout.connect(self._mark)
        self._watch = SliceViewWatch(self._onView)

    def refresh(self, changed: Changes) -> None:
        if self.state.parameters is None:
            self._watch.stop()
            self._later.stop()
        elif changed & _SHOWN:
            self._read()
            self._show()

    def shutdown(self) -> None:
        """The panel goes."""
        self._watch.stop()
        self._later.stop()

    def next(self) -> None:
        """Go to the next most important slice; after the last one comes the first."""
        self._step(1)

    def previous(self) -> None:
        """Go back to the slice before."""
        self._step(-1)

    def goTo(self, plane: str, number: int) -> None:
        """Move all views to a slice, where the class's map is strongest in it."""
        overlay = self._overlay
        if self.model is None or overlay is None:
            return
        goToSlice(overlay, self.model.slices.along(plane).axis, number)
        at = next((at for at, one in enumerate(self.top) if (one.plane, one.number) == (plane, number)), None)
        tree = self.ui.sliceTree
        if at is None:
            tree.clearSelection()
        else:
            self._at = at
            tree.setCurrentItem(tree.topLevelItem(at))
        self._mark()

    @property
    def _overlay(self) -> Any:
        parameters, record = self.state.parameters, self.state.record
        return record.overlays.get(parameters.mapLabel) if parameters is not None and record is not None else None

    def _step(self, by: int) -> None:
        if self.top:
            # Before the first step forward is the first slice, before the first step back the last one.
            self._at = (self._at + by) % len(self.top) if self._at >= 0 or by > 0 else len(self.top) - 1
            one = self.top[self._at]
            self.goTo(one.plane, one.number)

    def _read(self) -> None:
        """The record's slices, read again only where they have changed."""
        record = self.state.record
        key = (record.identifier, record.node.GetParameter("slices") or "") if record is not None else None
        if key != self._key:
            slices = record.slices if record is not None else None
            self._key, self.model = key, SlicesModel(slices) if slices is not None else None

    def _show(self) -> None:
        parameters, model, ui = self.state.parameters, self.model, self.ui
        assert parameters is not None
        name = parameters.mapLabel
        shown = model is not None and name in model.slices.classes
        ui.slicesSection.visible = shown
        if model is None or not shown:
            self.top = []
            self.view.setBars(None)
            ui.sliceTree.clear()
            self._watch.stop()
            return
        if not self._opened:  # the first results unfold it, afterwards it is the user's
            self._opened = True
            ui.slicesSection.collapsed = False
        known = model.measures()
        measure = parameters.sliceMeasure if parameters.sliceMeasure in known else known[-1]
        self._measure.setChoices([(one, measureTitle(one)) for one in known], measure)
        ui.sliceMeasureCombo.enabled = len(known) > 1
        self.view.setBars(model.bars(name, measure))
        self.top, self._at = model.top(name, measure), -1
        self.view.setTop((one.plane, one.number) for one in self.top)
        self._list(measure)
        self._watch.observe()
        self._mark()

    def _list(self, measure: str) -> None:
        tree = self.ui.sliceTree
        tree.clear()
        tree.headerItem().setText(_VALUE, measureTitle(measure))
        for index, one in enumerate(self.top):
            item = qt.QTreeWidgetItem()
            item.setData(_PLANE, qt.Qt.UserRole, index)
            for column, text in ((_PLANE, f"{one.title} {one.number}"), (_PLACE, one.place), (_VALUE, one.value)):
                item.setText(column, text)
                item.setToolTip(column, one.tip)
                if column != _PLANE:
                    item.setTextAlignment(column, qt.Qt.AlignRight | qt.Qt.AlignVCenter)
            tree.addTopLevelItem(item)
        if self.top:
            height = tree.sizeHintForRow(0) * min(_ROWS, len(self.top)) + tree.header().sizeHint.height() + 6
            tree.setFixedHeight(height)

    def _onView(self) -> None:
        if not self._later.active:
            self._later.start(_LATER_MS)

    def _mark(self) -> None:
        """Mark the slices that the views show."""
        overlay = self._overlay
        if self.model is not None and overlay is not None and overlay.GetImageData() is not None:
            self.view.mark(shownSlices(overlay, self.model.slices))

    def _onMeasure(self, value: str) -> None:
        if self.state.parameters is not None:
            self.state.parameters.sliceMeasure = value

    def _onItem(self, item: Any, *_unused: Any) -> None:
        index = item.data(_PLANE, qt.Qt.UserRole)
        if index is not None and int(index) < len(self.top):
            one = self.top[int(index)]
            self.goTo(one.plane, one.number)
