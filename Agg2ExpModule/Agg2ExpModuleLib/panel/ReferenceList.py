"""The checkable list of CTs in the scene to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ..scene.SceneVolumes import isCt
from .PanelState import PanelState
from .Parameters import setReferenceVolumes

_ROWS, _SPACING = 4, 1


class ReferenceList:
    """A QListWidget of the scene's CTs without the one that is explained and without maps.

    Args:
        state: of the panel.
        parent: of the widget.
    """

    def __init__(self, state: PanelState, parent: Any):
        self.state = state
        self.widget = qt.QListWidget(parent)
        self.widget.selectionMode = qt.QAbstractItemView.NoSelection
        self.widget.horizontalScrollBarPolicy = qt.Qt.ScrollBarAlwaysOff
        self.widget.spacing = _SPACING
        self.widget.textElideMode = qt.Qt.ElideMiddle
        self.widget.itemChanged.connect(self._onItem)
        self._volumes: list[Any] = []
        self._busy = False

    def show(self, chosen: Sequence[Any]) -> None:
        """List the scene's CTs, with these checked; nobody is told."""
        self._busy = True
        try:
            volumes = self._candidates()
            # The rows are made anew only where they differ: this may be the answer to a click on one of them.
            if volumes != self._volumes or not self.widget.count:
                self._build(volumes)
            for row, volume in enumerate(volumes):
                item = self.widget.item(row)
                if item.text() != volume.GetName():
                    item.setText(volume.GetName())
                item.setToolTip(volume.GetName())
                item.setCheckState(qt.Qt.Checked if volume in chosen else qt.Qt.Unchecked)
        finally:
            self._busy = False

    def _build(self, volumes: list[Any]) -> None:
        self._volumes = volumes
        self.widget.clear()
        for volume in volumes:
            self.widget.addItem(volume.GetName())
            self.widget.item(self.widget.count - 1).setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable)
        if not volumes:
            self.widget.addItem(_("Load other CTs first"))
            self.widget.item(0).setFlags(qt.Qt.NoItemFlags)
        rows = min(max(len(volumes), 1), _ROWS)
        self.widget.setFixedHeight(rows * (self.widget.sizeHintForRow(0) + 2 * _SPACING) + 2 * self.widget.frameWidth)

    def _candidates(self) -> list[Any]:
        scene = slicer.mrmlScene
        count = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
        volumes = [scene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode") for index in range(count)]
        ct = self.state.ct
        return [volume for volume in volumes if isCt(volume) and volume is not ct]

    def _onItem(self, *_unused: Any) -> None:
        if self._busy or self.state.parameters is None:
            return
        checked = [self.widget.item(row).checkState() == qt.Qt.Checked for row in range(len(self._volumes))]
        setReferenceVolumes(self.state.parameters, [volume for volume, on in zip(self._volumes, checked, strict=True) if on])
