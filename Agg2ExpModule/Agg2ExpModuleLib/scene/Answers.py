"""Answered what-if questions in the scene: the new outlines, the changed CT, and the numbers; saved with the scene."""

from __future__ import annotations

import json
from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from Agg2ExpLib.views.mrml import terminology
from Agg2ExpLib.views.mrml_nodes import Segment, add_segmentation, add_volume, image_in_steps, prepared_layer

from . import MapDisplay
from .InBackground import inBackground
from .ResultsInScene import gatherNodes, removeNode
from .SceneVolumes import CHANGED_CT, segmentIds, showOutlines

if TYPE_CHECKING:
    from .ResultRecord import ResultRecord

_MARK, _RECORD, _CHANGED_CT = "Agg2Exp.WhatIf", "agg2expRecord", "agg2expChangedCt"
_LITTLE = 0.9995  # labels that overlap themselves at least so much are not outlined


@dataclass(frozen=True)
class LabelRow:
    """One label before and after.

    Attributes:
        name, title: of the label.
        before, after: volume in ml.
        dice: overlap, None where it was not there before.
    """

    name: str
    title: str
    before: float
    after: float
    dice: float | None


class Answer:
    """One answered question; a thin view of its segmentation node."""

    def __init__(self, node: Any):
        self.node = node
        self._content = json.loads(node.GetAttribute(_MARK) or "{}")

    @property
    def identifier(self) -> str:
        """The node's id."""
        return self.node.GetID() or ""

    @property
    def title(self) -> str:
        """What was changed."""
        return str(self._content.get("title", ""))

    @property
    def ct(self) -> Any:
        """The changed CT, None when it was deleted."""
        return self.node.GetNodeReference(_CHANGED_CT)

    @property
    def rows(self) -> list[LabelRow]:
        """Every label, the most changed first."""
        return [LabelRow(*row) for row in self._content.get("rows", ())]

    @property
    def changed(self) -> list[str]:
        """Labels that are drawn otherwise now, or that are gone, the most changed first."""
        here = set(segmentIds(self.node))
        return [row.name for row in self.rows if row.name in here or (row.before and not row.after)]

    @property
    def outlined(self) -> list[str]:
        """Those of them that are outlined: what was asked about, and the few that change most."""
        from Agg2ExpLib.interventions.outcome import outlined

        return outlined(self.changed, self._content.get("regions", ()))

    def show(self, visible: bool, names: Collection[str] = ()) -> None:
        """Outline what is drawn now of these labels in their own colours, thicker than other outlines."""
        showOutlines(self.node, visible, 3, names=names)

    def remove(self) -> None:
        """Take it out of the scene."""
        ct = self.ct
        removeNode(self.node)
        removeNode(ct)


def isAnswer(node: Any) -> bool:
    """Whether a segmentation node is an answer."""
    return bool(node.GetAttribute(_MARK))


def answersOf(record: ResultRecord | None) -> list[Answer]:
    """The answers about a record, oldest first."""
    if record is None:
        return []
    nodes = MapDisplay.nodesOfClass("vtkMRMLSegmentationNode")
    return [Answer(node) for node in nodes if isAnswer(node) and node.GetNodeReference(_RECORD) is record.node]


def loadAnswer(
    folder: Path, record: ResultRecord, labels: list[dict[str, Any]], title: str, regions: Sequence[str] = ()
) -> Generator[str, None, Answer]:
    """Bring an answer into the scene.

    Args:
        folder: of the answer.
        record: that was asked about.
        labels: what the answer tells of every label.
        title: what was changed.
        regions: that were changed.

    Raises:
        InputError: a file of it cannot be read.
    """
    from Agg2ExpLib.interventions.outcome import CT_AFTER, SEGMENTATION_AFTER
    from Agg2ExpLib.io.read import read_volume

    what = _("Loading the answer …")
    yield what
    reading = inBackground(lambda: (read_volume(folder / CT_AFTER), read_volume(folder / SEGMENTATION_AFTER)))
    while True:
        try:
            next(reading)
        except StopIteration as end:
            ct, drawn = end.value
            break
        yield what
    titles = {label.name: label for label in record.labels}
    changed = {entry["label"] for entry in labels if entry["dice"] is None or entry["dice"] < _LITTLE}
    segments = [
        Segment(label.name, label.title, label.color, label.index, terminology(label))
        for label in record.labels[1:]
        if label.name in changed
    ]
    making = inBackground(lambda: prepared_layer(drawn.array, drawn.affine, segments))
    while True:
        try:
            next(making)
        except StopIteration as end:
            layer = end.value
            break
        yield what
    image = None
    for image in image_in_steps(ct.array):  # noqa: B007
        yield what
    scene = slicer.mrmlScene
    before = [answer for answer in answersOf(record) if answer.title == title]
    with slicer.util.RenderBlocker():
        node = add_segmentation(scene, [layer], f"{record.patient}: {title}", record.ct)
        volume = add_volume(scene, ct.array, ct.affine, f"{record.patient}: CT {title}", image=image, attributes={CHANGED_CT: "1"})
        source = record.ct.GetDisplayNode() if record.ct is not None else None
        if source is not None and volume.GetDisplayNode() is not None:
            volume.GetDisplayNode().AutoWindowLevelOff()
            volume.GetDisplayNode().SetWindowLevel(source.GetWindow(), source.GetLevel())
        rows = [
            [entry["label"], titles[entry["label"]].title, entry["before_ml"], entry["after_ml"], entry["dice"]]
            for entry in labels
            if entry["label"] in titles and (entry["before_ml"] or entry["after_ml"])
        ]
        node.SetAttribute(_MARK, json.dumps({"title": title, "rows": rows, "regions": list(regions)}))
        node.SetNodeReferenceID(_RECORD, record.node.GetID())
        node.SetNodeReferenceID(_CHANGED_CT, volume.GetID())
        for answer in before:  # the same question asked again
            answer.remove()
        gatherNodes(record, False)
    return Answer(node)
