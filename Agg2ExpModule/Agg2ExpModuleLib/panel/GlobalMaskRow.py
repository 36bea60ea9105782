"""The rows of the Display section about the global mask: what it holds, what the model finds with it, and whether it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slicer.i18n import tr as _

from ..scene.ResultRecord import ResultRecord, allRecords
from .PanelState import Changes, PanelState, Topic

_NAMED = 4  # labels in the line; the tooltip has all


class GlobalMaskRow:
    """Controls the rows, which are there only where the results have a global mask."""

    def __init__(self, state: PanelState):
        self.state, self.ui = state, state.ui

    def refresh(self, changed: Changes) -> None:
        parameters = self.state.parameters
        if parameters is None or not changed & {Topic.RECORD, Topic.SCENE, "record", "inputVolume", "showMask"}:
            return
        record = self.state.record
        node = record.globalMask if record is not None else None
        self.ui.maskFrame.visible = node is not None
        for each in allRecords():
            mask = each.globalMask
            if mask is not None and mask.GetDisplayNode() is not None:
                mask.GetDisplayNode().SetVisibility2D(mask is node and parameters.showMask)
        if record is not None and node is not None:
            self.ui.maskNote.text = maskText(record, _NAMED)
            meaning = _(
                "Dice is the overlap with what the model drew at first, 0 to 1. High with only the mask: these regions are enough "
                "for the model. Low without it: the model needs them."
            )
            self.ui.maskNote.toolTip = f"{maskText(record)}\n{meaning}"


def maskText(record: ResultRecord, most: int | None = None) -> str:
    """What was measured for the mask.

    Args:
        record: the results.
        most: how many labels to name at most.
    """
    found = record.run.get("global_mask") or {}
    if not found:
        return ""
    text = _("{kept} of {regions} supervoxels, {coverage} of the attribution in {volume} of the volume.").format(
        kept=found.get("kept", "?"),
        regions=found.get("regions", "?"),
        coverage=_percent(found.get("coverage")),
        volume=_percent(found.get("volume_share")),
    )
    dice: Mapping[str, Mapping[str, Any]] = found.get("dice") or {}
    if not dice:
        return text
    titles = {label.name: label.title for label in record.labels}
    named = list(dice)[:most]
    with_only = ", ".join(f"{titles.get(name, name)} {_dice(dice[name].get('only_mask'))}" for name in named)
    without = ", ".join(_dice(dice[name].get("without_mask")) for name in named)
    text += "\n" + _("Dice with only the mask: {labels}; without it: {numbers}.").format(labels=with_only, numbers=without)
    if len(named) < len(dice):
        text += " " + _("{count} more labels: hover here.").format(count=len(dice) - len(named))
    return text


def _percent(share: float | None) -> str:
    if share is None:
        return "?"
    percent = 100 * share
    return f"{percent:.0f} %" if percent >= 9.95 else f"{percent:.1f} %" if percent >= 0.05 else "<0.1 %"


def _dice(value: float | None) -> str:
    """Two digits; a dash where the label is in neither volume, so that there is none."""
    return "–" if value is None else f"{value:.2f}"
