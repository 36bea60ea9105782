"""Pictures made of a map: smoothed, without its signs, or one value for each region.

A picture is a volume of its own in front of the CT, so that neither the map nor the colours of the segmentation are touched.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from Agg2ExpLib.io.volume import Volume
from Agg2ExpLib.models.labels import BACKGROUND
from Agg2ExpLib.views.mrml import add_overlay, update_overlay
from Agg2ExpLib.views.mrml_colors import absolute_quantiles
from Agg2ExpLib.views.mrml_nodes import affine_of, array_of, image_in_steps
from Agg2ExpLib.views.picture_colors import set_picture_colors

from .InBackground import inBackground
from .PictureKey import ENRICHMENT, KEY, SUPPORT, VOXELS
from .ResultRecord import PICTURE, TARGET_MASK
from .ResultsInScene import gatherNodes
from .ResultsOfScene import ResultsOfScene
from .SceneVolumes import segmentIds

if TYPE_CHECKING:
    from .ResultRecord import ResultRecord

_OUTSIDE = 2.0  # times the limit, below zero: where there is no region


@dataclass(frozen=True)
class Request:
    """What shall be shown.

    Attributes:
        record: of the results.
        label: whose map.
        kind: ``voxels``, or what regions are tinted by: ``share``, ``enrichment``, ``support``.
        smoothing: standard deviation of a Gaussian in mm, 0 for none (voxels).
        absolute: whether signs are left out (voxels).
    """

    record: ResultRecord
    label: str
    kind: str = VOXELS
    smoothing: float = 0.0
    absolute: bool = False

    @property
    def plain(self) -> bool:
        """Whether this is the map itself."""
        return self.kind == VOXELS and not self.smoothing and not self.absolute

    @property
    def organs(self) -> bool:
        """Whether regions are tinted."""
        return self.kind != VOXELS

    @property
    def key(self) -> str:
        """Tells pictures apart, also in a scene that was saved: other numbers, other key."""
        record = self.record
        if self.organs:
            names = [*segmentIds(record.segmentation), *segmentIds(record.extra)]
            content = f"{record.node.GetParameter('matrix')}{names}"
            return json.dumps([self.label, self.kind, zlib.crc32(content.encode())])
        content = record.overlays[self.label].GetAttribute("Agg2Exp.Quantiles") or ""
        return json.dumps([self.label, self.kind, self.smoothing, self.absolute, zlib.crc32(content.encode())])


def pictureFor(request: Request) -> Any:
    """The volume that shows a request, None where it is not there yet; the map itself for a plain one."""
    if request.plain:
        return request.record.overlays.get(request.label)
    node = request.record.picture
    return node if node is not None and node.GetAttribute(KEY) == request.key else None


def pictureSteps(request: Request, regions: RegionMap) -> Generator[None, None, None]:
    """Make the volume of a request, piece by piece, in the place of another picture of the same results.

    Raises:
        InputError: a segment of the record cannot be turned into voxels.
    """
    overlay = request.record.overlays[request.label]
    if request.organs:
        yield from regions.fillSteps(request.record)
        numbers, limit = regionValues(request)
        array = yield from inBackground(partial(_painted, regions, numbers, limit))
    else:
        values, affine = array_of(overlay), affine_of(overlay)
        array = yield from inBackground(partial(smoothed, values, affine, request.smoothing, request.absolute))
    quantiles = yield from inBackground(partial(absolute_quantiles, array))
    image = None
    for image in image_in_steps(array):  # noqa: B007
        yield None
    if overlay.GetScene() is not slicer.mrmlScene:
        return
    with slicer.util.RenderBlocker():
        node = _put(request, overlay, array, image, quantiles)
        if request.organs:
            set_picture_colors(node, limit, request.kind == SUPPORT)


def _put(request: Request, overlay: Any, array: np.ndarray, image: Any, quantiles: np.ndarray) -> Any:
    """The values into the record's picture, or into a new one."""
    record, node = request.record, request.record.picture
    name = _("{map} picture").format(map=record.patient)
    if node is not None and tuple(node.GetImageData().GetDimensions()) == array.shape:
        update_overlay(node, array, image=image, quantiles=quantiles)
    else:
        node = add_overlay(slicer.mrmlScene, Volume(array, affine_of(overlay)), name, request.label, 95.0, image, quantiles)
        record.setReference(PICTURE, node)
        gatherNodes(record, False)
    node.GetDisplayNode().SetInterpolate(True)
    node.GetDisplayNode().SetApplyThreshold(False)
    node.SetAndObserveTransformNodeID(overlay.GetTransformNodeID())
    node.SetAttribute("Agg2Exp.Label", request.label)
    node.SetAttribute(KEY, request.key)
    return node


def smoothed(values: np.ndarray, affine: np.ndarray, millimetres: float, absolute: bool) -> np.ndarray:
    """A map ``[x, y, z]`` seen through a Gaussian of this standard deviation, with or without its signs."""
    from scipy.ndimage import gaussian_filter

    part = np.abs(values) if absolute else values
    if millimetres <= 0:
        return np.asarray(part, dtype=np.float32)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    turned = part.T  # as it lies in memory
    return np.asarray(gaussian_filter(turned, (millimetres / spacing)[::-1], output=np.float32, mode="constant", truncate=3.0).T)


def regionValues(request: Request) -> tuple[dict[str, float], float]:
    """A number for each region (share and net support in per cent, enrichment as a factor), and the largest of them.

    Net support is what supports minus what opposes, in per cent of the label's attribution; regions whose number is not known and
    the background are left out.
    """
    matrix = request.record.matrix
    if matrix is None or request.label not in matrix.rows:
        return {}, 1.0
    row = matrix.rows.index(request.label)
    if request.kind == ENRICHMENT:
        numbers = matrix.best("enrichment")[row]
    elif request.kind == SUPPORT:
        numbers = 100 * (matrix.best("positive_mass")[row] - matrix.best("negative_mass")[row])
    else:
        numbers = 100 * matrix.best()[row]
    found = {
        name: float(number)
        for name, number in zip(matrix.columns, numbers, strict=True)
        if name != BACKGROUND and np.isfinite(number)
    }
    here = [abs(found[name]) for name in found if matrix.roi_voxels[matrix.columns.index(name)]]
    return found, max(here, default=0.0) or 1.0


class RegionMap:
    """Which region every voxel of the model grid lies in; kept for the results shown, since it takes a while.

    Attributes:
        names: of the regions, by their number; the first is the background.
        array: ``[x, y, z]``, further regions lie over the labels.
        affine: 4×4, voxel index → RAS.
        key: of the segmentations that it was made from.
    """

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.array = np.zeros((0, 0, 0), np.uint8)
        self.affine = np.eye(4)
        self.key: tuple[Any, ...] = ()

    def fillSteps(self, record: ResultRecord) -> Generator[None, None, None]:
        """Make it for a record, piece by piece, unless it is there."""
        nodes = [node for node in (record.segmentation, record.extra) if node is not None]
        key = (record.identifier, *((node.GetID(), node.GetSegmentation().GetMTime()) for node in nodes))
        if key == self.key:
            return
        results = ResultsOfScene(record)
        labels = tuple(label.name for label in results.labels)
        extra = [name for name in segmentIds(record.extra) if name != TARGET_MASK]
        volume = results.labelMap()
        if len(labels) + len(extra) > np.iinfo(volume.array.dtype).max:
            volume = Volume(volume.array.astype(np.uint16), volume.affine)
        for _label in results.fillSteps(volume):
            yield None
        for _region in results.fillExtraSteps(volume, len(labels)):
            yield None
        # Making voxels of a segment counts as a change of its segmentation.
        key = (record.identifier, *((node.GetID(), node.GetSegmentation().GetMTime()) for node in nodes))
        self.names, self.array, self.affine, self.key = (*labels, *extra), volume.array, results.affine, key


def _painted(regions: RegionMap, values: dict[str, float], limit: float) -> np.ndarray:
    table = np.array([values.get(name, -_OUTSIDE * limit) for name in regions.names], dtype=np.float32)
    return np.asarray(table[regions.array.T].T)
