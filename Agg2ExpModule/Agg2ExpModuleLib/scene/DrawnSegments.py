"""Segments of the scene that are no part of any result: drawn by the user, or loaded from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from . import MapDisplay
from .Answers import isAnswer
from .ExtraRegions import regionNames
from .ResultRecord import allRecords


@dataclass(frozen=True)
class DrawnSegment:
    """One segment.

    Attributes:
        node: the segmentation.
        identifier: the segment's, in it.
        name: as a region.
    """

    node: Any
    identifier: str
    name: str

    @property
    def key(self) -> str:
        """What tells it from all other segments, and from the names of labels and regions."""
        return f"{self.node.GetID()}/{self.identifier}"

    @property
    def title(self) -> str:
        """For people."""
        return _("{segment} (drawn: {segmentation})").format(segment=self.name, segmentation=self.node.GetName())


def drawnSegments() -> list[DrawnSegment]:
    """Every such segment, in the order of the scene."""
    ours = [node for record in allRecords() for node in (record.segmentation, record.extra, record.globalMask)]
    found = []
    for node in MapDisplay.nodesOfClass("vtkMRMLSegmentationNode"):
        if not node.GetHideFromEditors() and node not in ours and not isAnswer(node):
            found += [DrawnSegment(node, identifier, name) for identifier, name in regionNames(node, hidden=True).items()]
    return found
