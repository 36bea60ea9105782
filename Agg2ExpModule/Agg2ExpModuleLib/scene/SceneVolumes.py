"""Volumes and segments of the scene as arrays ``[x, y, z]`` with affines to patient RAS, transforms included."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io.nrrd import nrrd_header
from Agg2ExpLib.views.mrml_nodes import affine_of, array_of

CHANGED_CT = "Agg2Exp.ChangedCt"  # attribute of a CT that was changed to ask the model about it
_BYTES_A_STEP = 1 << 25
_MOST_BYTES = 90  # disks take 255 for a name


def fileNameOf(name: str) -> str:
    """A node's name as a file name, or part of one; so short that every disk takes it with what is added to it."""
    safe = re.sub(r"[^\w .+()-]", "_", name).strip(" .")
    return safe.encode("utf-8")[:_MOST_BYTES].decode("utf-8", "ignore").rstrip(" .") or "ct"


def isCt(node: Any) -> bool:
    """Whether a node may be a CT: a plain volume that is no map of ours, and no CT that we have changed."""
    if node is None or node.GetClassName() != "vtkMRMLScalarVolumeNode" or node.GetHideFromEditors():
        return False
    if node.GetAttribute(CHANGED_CT):
        return False
    return not node.GetAttribute("Agg2Exp.Label") and node.GetImageData() is not None


def transformToWorld(node: Any) -> np.ndarray:
    """4×4 of the linear transforms above a node.

    Raises:
        InputError: there is a warping one.
    """
    transform = node.GetParentTransformNode()
    if transform is None:
        return np.eye(4)
    if not transform.IsTransformToWorldLinear():
        raise InputError(
            _("{name} lies under a warping transform: harden it (Transforms module) and try again.").format(name=node.GetName())
        )
    matrix = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(matrix)
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def volumeAffine(node: Any) -> np.ndarray:
    """Voxel index to world RAS of a volume node."""
    return transformToWorld(node) @ affine_of(node)


def checkVolume(node: Any) -> None:
    """Refuse what cannot be explained.

    Raises:
        InputError: no voxels, several values a voxel, a flat image or a warping transform.
    """
    image = node.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None:
        raise InputError(_("{name} holds no voxels: load the CT again.").format(name=node.GetName()))
    if image.GetNumberOfScalarComponents() != 1:
        raise InputError(_("{name} is a colour image: choose the CT itself.").format(name=node.GetName()))
    if min(image.GetDimensions()) < 2:
        raise InputError(_("{name} is a single slice: choose a CT volume.").format(name=node.GetName()))
    transformToWorld(node)


def writeVolumeSteps(node: Any, path: Path) -> Iterator[str]:
    """Write a volume node as NRRD, a few slices in each step.

    Raises:
        InputError: see :func:`checkVolume`.
        OSError: it cannot be written.
    """
    checkVolume(node)
    for _piece in writeArraySteps(array_of(node), volumeAffine(node), path):
        yield _("Preparing the CT …")


def writeArraySteps(array: np.ndarray, affine: np.ndarray, path: Path) -> Iterator[None]:
    """Write ``[x, y, z]`` as NRRD without compression, a few slices in each step.

    Raises:
        OSError: it cannot be written.
    """
    array = array.view(np.uint8) if array.dtype == np.bool_ else array
    dtype = _storedType(array.dtype)
    planes = max(1, _BYTES_A_STEP // max(1, array.shape[0] * array.shape[1] * dtype.itemsize))
    with path.open("wb") as stream:
        stream.write(nrrd_header(dtype, array.shape, affine))
        for start in range(0, array.shape[2], planes):
            part = array[:, :, start : start + planes]
            stream.write(np.ascontiguousarray(part.transpose(2, 1, 0), dtype=dtype.newbyteorder("<")).data)
            yield None


def segmentMask(segmentation: Any, segmentId: str) -> tuple[np.ndarray, np.ndarray]:
    """A segment's mask and its affine to world RAS.

    Raises:
        InputError: there is no such segment, it is empty, or it lies under a warping transform.
    """
    from Agg2ExpLib.views.render import segment_mask

    content = segmentation.GetSegmentation()
    segment = content.GetSegment(segmentId)
    if segment is None:
        raise InputError(_("The chosen segment is gone: choose another one."))
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    if not content.ContainsRepresentation(name) and not content.CreateRepresentation(name):
        raise InputError(_("The segment {name} cannot be turned into voxels.").format(name=segment.GetName()))
    image = segment.GetRepresentation(name)
    if image is None or image.GetPointData().GetScalars() is None:
        raise InputError(_("The segment {name} is empty: draw it first.").format(name=segment.GetName()))
    mask, affine = segment_mask(segmentation, segmentId)
    if not mask.any():
        raise InputError(_("The segment {name} is empty: draw it first.").format(name=segment.GetName()))
    return mask, transformToWorld(segmentation) @ affine


def writeSegment(segmentation: Any, segmentId: str, path: Path) -> None:
    """Write a segment as a NRRD label map of 0 and 1; raises as :func:`segmentMask`."""
    from Agg2ExpLib.io.write import write_volume

    mask, affine = segmentMask(segmentation, segmentId)
    write_volume(path, mask.astype(np.uint8), affine)


def segmentIds(segmentation: Any) -> list[str]:
    """The segments of a segmentation node (or of none), in their order."""
    content = segmentation.GetSegmentation() if segmentation is not None else None
    return [content.GetNthSegmentID(index) for index in range(content.GetNumberOfSegments())] if content else []


def segmentName(segmentation: Any, segmentId: str) -> str:
    """What people call the segment."""
    segment = segmentation.GetSegmentation().GetSegment(segmentId)
    return segment.GetName() if segment is not None else segmentId


def _storedType(dtype: np.dtype) -> np.dtype:
    if dtype.kind == "f":
        return np.dtype(np.float32)
    if dtype.itemsize == 8:
        return np.dtype(np.int32)
    return dtype.newbyteorder("=")


def showOutlines(node: Any, visible: bool, pixels: int, opacity: float = 1.0, names: Collection[str] | None = None) -> None:
    """Show a segmentation in the slices by its outlines alone, in 3D not at all.

    Args:
        node: the segmentation; without a display nothing happens.
        visible: whether it is seen.
        pixels: width of the outlines.
        opacity: of the outlines.
        names: ids of the segments that are seen; None leaves them as they are.
    """
    display = node.GetDisplayNode()
    if display is None:
        return
    modified = display.StartModify()
    display.SetVisibility(visible)
    display.SetVisibility2D(visible)
    display.SetVisibility2DFill(False)
    display.SetVisibility2DOutline(True)
    display.SetVisibility3D(False)
    display.SetSliceIntersectionThickness(pixels)
    display.SetOpacity2DOutline(opacity)
    if names is not None:
        for name in segmentIds(node):
            display.SetSegmentVisibility(name, name in names)
    display.EndModify(modified)
