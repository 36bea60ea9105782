"""Hot spots of a map in the scene: found while the application answers, and as markups on wish."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from Agg2ExpLib.models.labels import BACKGROUND
from Agg2ExpLib.roi_importance.hot_spots import hot_spots
from Agg2ExpLib.views.mrml_nodes import affine_of, array_of

from .InBackground import inBackground
from .ResultsOfScene import ResultsOfScene
from .SceneVolumes import transformToWorld

if TYPE_CHECKING:
    from Agg2ExpLib.roi_importance.hot_spots import HotSpot

    from .ResultRecord import ResultRecord

_MARK = "Agg2Exp.HotSpots"  # attribute of the markups, the explained label


def hotSpotSteps(record: ResultRecord, overlay: Any) -> Generator[None, None, list[HotSpot]]:
    """Find the hot spots of a map, piece by piece; the scene is not touched.

    Args:
        record: that the map belongs to.
        overlay: an attribution map's volume node.

    Returns:
        The spots, those with the most attribution first; their places are in world RAS.

    Raises:
        InputError: a segment of the record cannot be turned into voxels.
    """
    results = ResultsOfScene(record)
    labels = results.labelMap()
    for _label in results.fillSteps(labels):
        yield None
    names = [label.name for label in results.labels]
    values, affine = array_of(overlay), transformToWorld(overlay) @ affine_of(overlay)
    return (yield from inBackground(partial(hot_spots, values, labels.array, names, affine)))


def placeOf(spot: HotSpot, titles: Mapping[str, str]) -> str:
    """What people call the region that a spot lies in."""
    return _("No labelled region") if spot.region == BACKGROUND else titles.get(spot.region, spot.region)


def showMarkups(label: str, title: str, spots: Sequence[HotSpot], titles: Mapping[str, str]) -> Any:
    """Put a point on every spot, in the place of the points of another label; returns their node."""
    scene = slicer.mrmlScene
    hideMarkups()
    node = slicer.vtkMRMLMarkupsFiducialNode()
    node.SetName(_("Hot spots: {label}").format(label=title))
    node.SetAttribute(_MARK, label)
    scene.AddNode(node)
    node.CreateDefaultDisplayNodes()
    for number, spot in enumerate(spots, start=1):
        node.AddControlPoint(list(spot.place), f"{number} {placeOf(spot, titles)} {100 * spot.share:.1f} %")
    node.SetLocked(True)
    return node


def hideMarkups() -> None:
    """Take the points out of the scene."""
    for node in markups():
        slicer.mrmlScene.RemoveNode(node)


def markups() -> list[Any]:
    """The nodes with hot spots in the scene, one at most."""
    scene = slicer.mrmlScene
    nodes = [scene.GetNthNodeByClass(i, _CLASS) for i in range(scene.GetNumberOfNodesByClass(_CLASS))]
    return [node for node in nodes if node.GetAttribute(_MARK) is not None]


def markedLabel(node: Any) -> str:
    """The label whose spots a node marks."""
    return str(node.GetAttribute(_MARK) or "")


_CLASS = "vtkMRMLMarkupsFiducialNode"
