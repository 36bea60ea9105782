"""Keys for reading: next label, hot spot and slice, map on and off; they work while the module is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt
import slicer

from .PanelState import PanelState

if TYPE_CHECKING:
    from .HotSpotList import HotSpotList
    from .SlicesSection import SlicesSection

# With Shift: Slicer's own views take plain letters, and a text field that is being written in keeps capitals.
NEXT_LABEL, NEXT_SPOT, MAP = "Shift+N", "Shift+H", "Shift+M"
NEXT_SLICE, SLICE_BEFORE = "Shift+S", "Shift+A"


class Shortcuts:
    """Owns the keys.

    Args:
        state: of the panel.
        spots: the hot spots to go through.
        slices: the slices to go through.
    """

    def __init__(self, state: PanelState, spots: HotSpotList, slices: SlicesSection):
        self.state, self._spots, self._slices = state, spots, slices
        self._keys: list[Any] = []

    def on(self) -> None:
        """The module is opened."""
        if self._keys:
            return
        window = slicer.util.mainWindow()
        for key, does in (
            (NEXT_LABEL, self.nextLabel),
            (NEXT_SPOT, self._spots.next),
            (MAP, self.toggleMap),
            (NEXT_SLICE, self._slices.next),
            (SLICE_BEFORE, self._slices.previous),
        ):
            shortcut = qt.QShortcut(window if window is not None else self.state.root)
            shortcut.setKey(qt.QKeySequence(key))
            shortcut.activated.connect(does)
            self._keys.append(shortcut)

    def off(self) -> None:
        """Another module is opened, which may have these keys for something else."""
        for shortcut in self._keys:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._keys = []

    def nextLabel(self) -> None:
        """Show the map of the next label; after the last one comes the first."""
        parameters, record = self.state.parameters, self.state.record
        names = list(record.overlays) if record is not None else []
        if parameters is not None and names:
            at = names.index(parameters.mapLabel) if parameters.mapLabel in names else -1
            parameters.mapLabel = names[(at + 1) % len(names)]

    def toggleMap(self) -> None:
        """Show or hide the map."""
        if self.state.parameters is not None:
            self.state.parameters.showMap = not self.state.parameters.showMap
