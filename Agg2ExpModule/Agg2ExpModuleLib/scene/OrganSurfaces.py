"""Surfaces of the regions in the 3D view, tinted by their value: strong ones are opaque, weak ones let one see through."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer

from Agg2ExpLib.views.picture_colors import net_color, strength_color

from .InBackground import inBackground
from .MapSurfaces import coarser, surfaceAround

if TYPE_CHECKING:
    from .Pictures import RegionMap

_MARK = "Agg2Exp.OrganSurface"  # attribute of the models: the region's name
_VOXELS, _LEAST, _MOST = 400_000, 14**3, 40**3  # that surfaces are made from: of all regions, of each
_FAINT = 0.08


def organSurfaceSteps(regions: RegionMap) -> Generator[None, None, dict[str, Any]]:
    """Make the surface of every region, piece by piece; the scene is not touched.

    Returns:
        vtkPolyData in the RAS of the region map, by the region's name.
    """
    from scipy.ndimage import find_objects

    array, affine = regions.array, regions.affine
    boxes = yield from inBackground(partial(find_objects, array))
    here = [(index, box) for index, box in enumerate(boxes, start=1) if box is not None]
    most = int(np.clip(_VOXELS / max(1, len(here)), _LEAST, _MOST))
    found = {}
    for index, box in here:
        size = int(np.prod([part.stop - part.start for part in box]))
        block = max(1, int(np.ceil((size / most) ** (1 / 3))))
        coarse = yield from inBackground(partial(_coarse, array, box, index, block))
        toRas = affine @ np.diag([block, block, block, 1.0])
        # Its first voxel is the rim, and blocks are counted from their centres.
        start = np.array([part.start for part in box]) + (block - 1) / 2 - block
        toRas[:3, 3] = affine[:3, :3] @ start + affine[:3, 3]
        surface = surfaceAround(coarse, 0.5 * min(1.0, float(coarse.max())), toRas)
        if surface.GetNumberOfPolys():
            found[regions.names[index]] = surface
    return found


def showOrganSurfaces(surfaces: Mapping[str, Any], titles: Mapping[str, str], transform: str | None) -> None:
    """Put surfaces into the scene in the place of those that are there."""
    hideOrganSurfaces()
    scene = slicer.mrmlScene
    for name, surface in surfaces.items():
        display = slicer.vtkMRMLModelDisplayNode()
        display.SetScalarVisibility(False)
        display.SetBackfaceCulling(False)  # the patient's axes may mirror the triangles
        display.SetVisibility2D(False)
        display.SetSaveWithScene(False)
        display.SetVisibility(False)
        scene.AddNode(display)
        node = slicer.vtkMRMLModelNode()
        node.SetName(titles.get(name, name))
        node.SetAttribute(_MARK, name)
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)  # made anew from the segmentation in a moment
        node.SetAndObserveMesh(surface)
        node.SetAndObserveDisplayNodeID(display.GetID())
        node.SetAndObserveTransformNodeID(transform)
        scene.AddNode(node)


def tintOrganSurfaces(values: Mapping[str, float], limit: float, signed: bool) -> None:
    """Colour the surfaces that are there; regions without a value are hidden."""
    for node in organSurfaces():
        value, display = values.get(node.GetAttribute(_MARK)), node.GetDisplayNode()
        modified = display.StartModify()
        display.SetVisibility(value is not None)
        if value is not None:
            part = value / limit
            display.SetColor(*(float(channel) for channel in (net_color(part) if signed else strength_color(part))))
            display.SetOpacity(float(_FAINT + (1 - _FAINT) * np.sqrt(min(1.0, abs(part)))))
        display.EndModify(modified)


def hideOrganSurfaces() -> None:
    """Take them out of the scene."""
    for node in organSurfaces():
        display = node.GetDisplayNode()
        slicer.mrmlScene.RemoveNode(node)
        if display is not None and display.GetScene() is not None:
            slicer.mrmlScene.RemoveNode(display)


def organSurfaces() -> list[Any]:
    """The models in the scene."""
    scene = slicer.mrmlScene
    nodes = [scene.GetNthNodeByClass(i, "vtkMRMLModelNode") for i in range(scene.GetNumberOfNodesByClass("vtkMRMLModelNode"))]
    return [node for node in nodes if node.GetAttribute(_MARK)]


def _coarse(array: np.ndarray, box: tuple[slice, ...], index: int, block: int) -> np.ndarray:
    return coarser((array[box] == index).astype(np.float32), block)
