"""Which segment lies at a place in the patient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import slicer
import vtk

from .SceneVolumes import segmentIds


def crosshairPlace() -> tuple[float, float, float] | None:
    """RAS of the slice views' cross-hair, None where there is none."""
    node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    if node is None:
        return None
    x, y, z = node.GetCrosshairRAS()
    return x, y, z


def segmentAt(segmentation: Any, place: Sequence[float]) -> str:
    """Id of the segment at a place (world RAS, mm); empty where there is none. Of overlapping ones the last drawn."""
    if segmentation is None:
        return ""
    local = list(place)
    if segmentation.GetParentTransformNode() is not None:
        transform = vtk.vtkGeneralTransform()
        slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(None, segmentation.GetParentTransformNode(), transform)
        local = list(transform.TransformPoint(local))
    found = ""
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    for segmentId in segmentIds(segmentation):
        segment = segmentation.GetSegmentation().GetSegment(segmentId)
        image = segment.GetRepresentation(name)
        if image is None:
            continue
        toVoxels = vtk.vtkMatrix4x4()
        image.GetWorldToImageMatrix(toVoxels)
        i, j, k = (round(part) for part in toVoxels.MultiplyPoint([*local, 1.0])[:3])
        x0, x1, y0, y1, z0, z1 = image.GetExtent()
        inside = x0 <= i <= x1 and y0 <= j <= y1 and z0 <= k <= z1
        if inside and int(image.GetScalarComponentAsDouble(i, j, k, 0)) == segment.GetLabelValue():
            found = segmentId
    return found
