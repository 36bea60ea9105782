"""The list of hot spots in the section Display: where the map shown is strongest, a click goes there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from ..scene import MapDisplay
from ..scene.HotSpotsOfMap import hideMarkups, hotSpotSteps, markedLabel, markups, placeOf, showMarkups
from .PanelState import Changes, PanelState, Topic
from .Steps import Steps

if TYPE_CHECKING:
    from Agg2ExpLib.roi_importance.hot_spots import HotSpot

_REGION, _SHARE, _VOLUME = range(3)
_ROWS = 5  # seen without scrolling


class HotSpotList:
    """Controls the list; spots are looked for when they can be seen, or when somebody asks for the next one.

    Args:
        state: of the panel.

    Attributes:
        spots: of the map shown, strongest first; empty while they are being looked for.
    """

    def __init__(self, state: PanelState):
        self.state, self.ui = state, state.ui
        self.spots: list[HotSpot] = []
        self._key: tuple[Any, ...] | None = None  # of the map that the spots belong to, or are looked for in
        self._at = -1
        self._goOn = False  # to the first spot, as soon as it is known
        self._finding = Steps(state.root)
        tree = self.ui.hotSpotTree
        tree.columnCount = 3
        tree.setHeaderLabels([_("Region"), "%", "ml"])
        header = tree.header()
        header.stretchLastSection = False
        for column in range(3):
            header.setSectionResizeMode(column, qt.QHeaderView.Stretch if column == _REGION else qt.QHeaderView.ResizeToContents)
        tips = (
            _("Region in which the spot lies."),
            _("Share of the map's attribution that lies in the spot, in per cent."),
            _("Volume of the spot in millilitres."),
        )
        for column, tip in enumerate(tips):
            tree.headerItem().setToolTip(column, tip)
        tree.itemClicked.connect(self._onClicked)
        self.ui.hotSpotFrame.visible = False
        self.ui.displaySection.contentsCollapsed.connect(self._onUnfolded)

    @property
    def busy(self) -> bool:
        """Whether spots are being looked for."""
        return self._finding.running

    def refresh(self, changed: Changes) -> None:
        if self.state.parameters is None:
            self._finding.stop()
            self._key = None
        elif changed & {Topic.RECORD, Topic.SCENE, Topic.BUSY, "record", "inputVolume", "mapLabel", "hotSpotMarkups"}:
            self._update()

    def next(self) -> None:
        """Go to the next spot; after the last one comes the first."""
        if self._find() and self.spots:
            self.goTo((self._at + 1) % len(self.spots))
        else:
            self._goOn = self.busy

    def goTo(self, index: int) -> None:
        """Move all views to a spot."""
        self._at = index
        tree = self.ui.hotSpotTree
        tree.setCurrentItem(tree.topLevelItem(index))
        MapDisplay.jumpTo(self.spots[index].place)

    def _update(self) -> None:
        parameters = self.state.parameters
        assert parameters is not None
        wanted = not self.ui.displaySection.collapsed or parameters.hotSpotMarkups
        if wanted and not self.state.busy:
            self._find()
        elif self._wanted() != self._key:
            self._forget()
        self._mark()

    def _wanted(self) -> tuple[Any, ...] | None:
        """What decides the spots; None without a map."""
        parameters, record = self.state.parameters, self.state.record
        overlay = record.overlays.get(parameters.mapLabel) if parameters is not None and record is not None else None
        if record is None or overlay is None or overlay.GetImageData() is None:
            return None
        drawn = record.segmentation.GetSegmentation().GetMTime() if record.segmentation is not None else 0
        return record.identifier, overlay.GetID(), overlay.GetImageData().GetMTime(), drawn

    def _find(self) -> bool:
        """Look for the spots of the map shown; True where they are known."""
        parameters, record, key = self.state.parameters, self.state.record, self._wanted()
        if key == self._key:
            return key is not None and not self.busy
        self._forget()
        if key is None or record is None or parameters is None:
            return False
        self._key = key
        self._show(_("Looking for the strongest spots …"))
        found: list[HotSpot] = []

        def steps() -> Any:
            found.extend((yield from hotSpotSteps(record, record.overlays[parameters.mapLabel])))

        def done() -> None:
            self.spots = found
            self._show("" if found else _("No spot holds more than a thousandth of the attribution."))
            self._mark()
            if self._goOn and found:
                self.goTo(0)
            self._goOn = False

        self._finding.start(steps(), done, self._onFailed)
        return False

    def _forget(self) -> None:
        self._finding.stop()
        self.spots, self._key, self._at = [], None, -1
        self._show("")

    def _onFailed(self, error: Exception) -> None:
        self._show(_("Hot spots cannot be found: {reason}").format(reason=error))
        logging.warning("Hot spots cannot be found: %s", error)

    def _show(self, note: str) -> None:
        ui, titles = self.ui, self._titles()
        shown = self.state.parameters.mapLabel if self.state.parameters is not None else ""
        title = titles.get(shown, shown)
        ui.hotSpotFrame.visible = self._key is not None
        ui.hotSpotNote.text = note
        ui.hotSpotNote.visible = bool(note)
        ui.hotSpotTree.visible = bool(self.spots)
        ui.hotSpotTree.clear()
        for index, spot in enumerate(self.spots):
            item = qt.QTreeWidgetItem()
            item.setData(_REGION, qt.Qt.UserRole, index)
            texts = (placeOf(spot, titles), f"{100 * spot.share:.1f}", f"{spot.volume_ml:.1f}")
            side = _("supports") if spot.net > 0 else _("opposes")
            tip = _("In sum it {side} {label} (net {net:.0f} %). RAS {place} mm.").format(
                side=side, label=title, net=100 * spot.net, place=" ".join(f"{part:.0f}" for part in spot.place)
            )
            for column, text in enumerate(texts):
                item.setText(column, text)
                item.setToolTip(column, tip)
                if column != _REGION:
                    item.setTextAlignment(column, qt.Qt.AlignRight | qt.Qt.AlignVCenter)
            ui.hotSpotTree.addTopLevelItem(item)
        if self.spots:
            height = ui.hotSpotTree.sizeHintForRow(0) * min(_ROWS, len(self.spots)) + ui.hotSpotTree.header().sizeHint.height() + 6
            ui.hotSpotTree.setFixedHeight(height)

    def _mark(self) -> None:
        """Points in the scene, where they are wanted, of the label shown."""
        parameters = self.state.parameters
        assert parameters is not None
        before = markups()
        if not parameters.hotSpotMarkups or not (self.spots or self.busy):
            if before:
                hideMarkups()
        elif self.spots and not (len(before) == 1 and markedLabel(before[0]) == self._mark_of()):
            titles = self._titles()
            with slicer.util.RenderBlocker():
                showMarkups(self._mark_of(), titles.get(parameters.mapLabel, parameters.mapLabel), self.spots, titles)

    def _mark_of(self) -> str:
        """Tells whose spots they are, also in a scene that was saved: the results, the label, and the strongest place."""
        parameters, record = self.state.parameters, self.state.record
        assert parameters is not None
        title = record.title if record is not None else ""
        return f"{title}/{parameters.mapLabel}/{' '.join(f'{part:.1f}' for part in self.spots[0].place)}"

    def _titles(self) -> dict[str, str]:
        record = self.state.record
        return record.titles if record is not None else {}

    def _onClicked(self, item: Any, *_unused: Any) -> None:
        index = item.data(_REGION, qt.Qt.UserRole)
        if index is not None and int(index) < len(self.spots):
            self.goTo(int(index))

    def _onUnfolded(self, *_unused: Any) -> None:
        if self.state.parameters is not None:
            self._update()
