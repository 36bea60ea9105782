"""Surfaces around the strongest parts of a map, for the 3D view.

They are made in short pieces and have few triangles, so that the application answers meanwhile and a computer without a graphics
card draws them in a moment; Slicer's volume rendering of the same map takes such a computer seconds a picture.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk

from Agg2ExpLib.views.mrml_nodes import affine_of, array_of

from .InBackground import inBackground

SUPPORTING, OPPOSING = "supporting", "opposing"
COLORS = {SUPPORTING: (0.92, 0.25, 0.15), OPPOSING: (0.20, 0.50, 1.00)}
_ROLES = {SUPPORTING: "Agg2Exp.SupportingSurface", OPPOSING: "Agg2Exp.OpposingSurface"}
_MARK = "Agg2Exp.Surface"
_VOXELS = 64**3  # of the coarser map, at most
_TRIANGLES = 30_000  # of both surfaces, at most: software draws about a million a second


def surfaceSteps(overlay: Any, strongest: float, sign: str) -> Generator[None, None, dict[str, Any]]:
    """Make the surfaces of a map, piece by piece; the scene is not touched.

    The map is averaged over blocks of voxels and smoothed a little; the surfaces lie around the strongest part of that. The blocks
    grow until the surfaces are small enough.

    Args:
        overlay: an attribution map's volume node.
        strongest: percent of the (coarser) map's voxels within the surfaces.
        sign: ``both``, ``supporting`` or ``opposing``.

    Returns:
        vtkPolyData in the volume's RAS, one for each sign that is asked for.
    """
    values, affine = array_of(overlay), affine_of(overlay)
    block = max(1, int(np.ceil((values.size / _VOXELS) ** (1 / 3))))
    while True:
        coarse, threshold = yield from inBackground(partial(_coarse, values, block, strongest))
        toRas = affine @ np.diag([block, block, block, 1.0])
        # Its first voxel is the rim, and blocks are counted from their centres.
        toRas[:3, 3] += affine[:3, :3] @ np.full(3, (block - 1) / 2 - block)
        found = {}
        for name in (SUPPORTING, OPPOSING):
            if sign in ("both", name):
                yield None
                found[name] = surfaceAround(coarse if name == SUPPORTING else -coarse, threshold, toRas)
        if sum(surface.GetNumberOfPolys() for surface in found.values()) <= _TRIANGLES or min(coarse.shape) < 8:
            return found
        block += 1


def showSurfaces(overlay: Any, surfaces: dict[str, Any]) -> None:
    """Put the surfaces of a map into the scene in the place of those that it has; of all other maps none are shown."""
    hideSurfaces([overlay])
    nodes = surfacesOf(overlay)
    for name in (SUPPORTING, OPPOSING):
        surface, node = surfaces.get(name), nodes.get(name)
        if node is None and surface is not None:
            node = _add(overlay, name, surface)
        elif node is not None and surface is not None:
            node.SetAndObserveMesh(surface)
        if node is not None:
            node.SetAndObserveTransformNodeID(overlay.GetTransformNodeID())
            node.GetDisplayNode().SetVisibility(surface is not None)


def hideSurfaces(butOf: list[Any] | None = None) -> None:
    """Hide the surfaces of all maps but these, also of maps that are gone."""
    shown = [surface for overlay in butOf or () for surface in surfacesOf(overlay).values()]
    scene = slicer.mrmlScene
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLModelNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLModelNode")
        if node.GetAttribute(_MARK) and node not in shown and node.GetDisplayNode() is not None:
            node.GetDisplayNode().SetVisibility(False)


def surfacesOf(overlay: Any) -> dict[str, Any]:
    """The model nodes that a map has, by their sign."""
    found = {name: overlay.GetNodeReference(role) for name, role in _ROLES.items()}
    return {name: node for name, node in found.items() if node is not None and node.GetDisplayNode() is not None}


def _coarse(values: np.ndarray, block: int, strongest: float) -> tuple[np.ndarray, float]:
    """The coarser map, and the threshold that its strongest part is above."""
    rimmed = coarser(values, block)
    inner = np.abs(rimmed[1:-1, 1:-1, 1:-1])
    return rimmed, max(float(np.quantile(inner, 1.0 - strongest / 100.0)), float(np.finfo(np.float32).tiny))


def coarser(values: np.ndarray, block: int) -> np.ndarray:
    """``values [x, y, z]`` averaged over blocks of voxels and smoothed a little, with a rim of nothing around them."""
    part = values.transpose(2, 1, 0)  # as it lies in memory
    for axis in range(3):
        starts = np.arange(0, part.shape[axis], block)
        sizes = np.diff([*starts, part.shape[axis]]).astype(np.float32)
        part = np.add.reduceat(part, starts, axis=axis, dtype=np.float32)
        part /= sizes.reshape([-1 if other == axis else 1 for other in range(3)])
    rimmed = np.pad(part, 1)
    for axis in range(3):
        middle = [slice(1, -1) if other == axis else slice(None) for other in range(3)]
        before, after = list(middle), list(middle)
        before[axis], after[axis] = slice(None, -2), slice(2, None)
        rimmed[tuple(middle)] = 0.5 * rimmed[tuple(middle)] + 0.25 * (rimmed[tuple(before)] + rimmed[tuple(after)])
    return rimmed.transpose(2, 1, 0)


def surfaceAround(values: np.ndarray, threshold: float, toRas: np.ndarray) -> Any:
    """Where ``values [x, y, z]`` are above the threshold."""
    image = vtk.vtkImageData()
    image.SetDimensions(*values.shape)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(values.transpose(2, 1, 0)).reshape(-1), deep=True))
    edges = vtk.vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, threshold)
    edges.ComputeScalarsOff()
    edges.ComputeNormalsOn()
    matrix = vtk.vtkMatrix4x4()
    for row in range(4):
        for column in range(4):
            matrix.SetElement(row, column, float(toRas[row, column]))
    place = vtk.vtkTransform()
    place.SetMatrix(matrix)
    moved = vtk.vtkTransformPolyDataFilter()
    moved.SetTransform(place)
    moved.SetInputConnection(edges.GetOutputPort())
    moved.Update()
    return moved.GetOutput()


def _add(overlay: Any, name: str, surface: Any) -> Any:
    """A model node beside its map in the data tree; its display is there before it enters the scene."""
    scene = slicer.mrmlScene
    display = slicer.vtkMRMLModelDisplayNode()
    display.SetColor(*COLORS[name])
    display.SetScalarVisibility(False)
    display.SetBackfaceCulling(False)  # the patient's axes may mirror the triangles
    display.SetVisibility2D(False)
    scene.AddNode(display)
    node = slicer.vtkMRMLModelNode()
    titles = {SUPPORTING: _("{map}: supports"), OPPOSING: _("{map}: opposes")}
    node.SetName(titles[name].format(map=overlay.GetName()))
    node.SetAttribute(_MARK, name)
    node.SetSaveWithScene(overlay.GetSaveWithScene())
    node.SetAndObserveMesh(surface)
    node.SetAndObserveDisplayNodeID(display.GetID())
    scene.AddNode(node)
    overlay.SetNodeReferenceID(_ROLES[name], node.GetID())
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    place = hierarchy.GetItemByDataNode(overlay)
    if place:
        folder = hierarchy.GetItemParent(place)
        hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(folder, node), folder)
    return node
