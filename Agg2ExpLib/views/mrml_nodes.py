"""Arrays ``[x, y, z]`` as MRML nodes: volumes, segmentations and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

CodeTriple = tuple[str, str, str]  # value, scheme, meaning
_GREY = "vtkMRMLColorTableNodeGrey"


@dataclass(frozen=True)
class Segment:
    """One segment of a label map: its id, the name people read, colour in 0..255, voxel value and serialised terminology."""

    identifier: str
    title: str
    color: Sequence[int]
    value: int
    terminology: str | None = None


def add_volume(
    scene: Any,
    array: np.ndarray,
    affine: np.ndarray,
    name: str,
    quantity: CodeTriple | None = None,
    units: CodeTriple | None = None,
    image: Any = None,
    colors: Any = None,
    attributes: Mapping[str, str] | None = None,
) -> Any:
    """A vtkMRMLScalarVolumeNode with a display node; ``affine`` becomes its IJK to RAS matrix as it is.

    Views draw a volume in the moment it enters the scene, and fail without colours: those and the display are there before.

    Args:
        scene: where the nodes go.
        array: ``[x, y, z]``.
        affine: 4×4, voxel index to RAS.
        name: the node's name.
        quantity, units: what a value means.
        image: what :func:`image_in_steps` made of the array, where that was done before.
        colors: colour node in the scene, by default Slicer's grey.
        attributes: of the volume node.
    """
    import slicer

    node = slicer.vtkMRMLScalarVolumeNode()
    node.SetName(name)
    node.SetIJKToRASMatrix(_matrix(affine))
    node.SetAndObserveImageData(_image(array) if image is None else image)
    for key, value in (attributes or {}).items():
        node.SetAttribute(key, value)
    if quantity:
        node.SetVoxelValueQuantity(_coded(quantity))
    if units:
        node.SetVoxelValueUnits(_coded(units))
    display = slicer.vtkMRMLScalarVolumeDisplayNode()
    scene.AddNode(display)
    display.SetAndObserveColorNodeID(colors.GetID() if colors is not None else _GREY)
    node.SetAndObserveDisplayNodeID(display.GetID())
    scene.AddNode(node)
    return node


def update_volume(node: Any, array: np.ndarray, image: Any = None) -> None:
    """Replace the voxels of a volume node by ``array`` ``[x, y, z]`` of the same shape; ``image`` as for :func:`add_volume`.

    Raises:
        ValueError: the shapes differ.
    """
    if tuple(node.GetImageData().GetDimensions()) != array.shape:
        raise ValueError(f"The volume has {node.GetImageData().GetDimensions()} voxels, the new values {array.shape}.")
    node.SetAndObserveImageData(_image(array) if image is None else image)


def array_of(node: Any) -> np.ndarray:
    """The voxels of a volume node as ``[x, y, z]``, a view of the node's memory."""
    from vtk.util.numpy_support import vtk_to_numpy

    image = node.GetImageData()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1]).transpose(2, 1, 0)


def affine_of(node: Any) -> np.ndarray:
    """IJK to RAS of a volume node, 4×4."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


@dataclass(frozen=True)
class Layer:
    """A label map ready for a segmentation node: its oriented image, cut to what is not 0, and the segments that have voxels."""

    image: Any
    segments: tuple[Segment, ...]


def prepared_layer(array: np.ndarray, affine: np.ndarray, segments: Sequence[Segment]) -> Layer:
    """Of a label map ``[x, y, z]`` with its affine; the part of :func:`add_segmentation` that takes time and needs no scene."""
    present = np.bincount(array.reshape(-1) if array.flags.c_contiguous else array.T.reshape(-1), minlength=2) > 0
    found = tuple(entry for entry in segments if entry.value < present.size and present[entry.value])
    return Layer(_oriented_image(array, affine), found)


def add_segmentation(
    scene: Any, layers: Iterable[tuple[np.ndarray, np.ndarray, list[Segment]] | Layer], name: str, reference: Any
) -> Any:
    """A segmentation node from label maps.

    Args:
        scene: where the node goes.
        layers: ``(label map [x, y, z], affine, segments)``, or what :func:`prepared_layer` made of it; segments of one layer
            share its memory, segments without a voxel are left out.
        name: the node's name.
        reference: volume node whose geometry editing uses.
    """
    import slicer

    node = slicer.vtkMRMLSegmentationNode()
    node.SetName(name)
    scene.AddNode(node)
    display = slicer.vtkMRMLSegmentationDisplayNode()
    scene.AddNode(display)
    node.SetAndObserveDisplayNodeID(display.GetID())
    segmentation = node.GetSegmentation()
    representation = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    segmentation.SetSourceRepresentationName(representation)
    for layer in layers:
        ready = layer if isinstance(layer, Layer) else prepared_layer(*layer)
        for entry in ready.segments:
            segment = slicer.vtkSegment()
            segment.SetName(entry.title)
            segment.SetNameAutoGenerated(False)
            segment.SetColor(*(part / 255 for part in entry.color))
            segment.SetColorAutoGenerated(False)
            segment.SetLabelValue(entry.value)
            segment.AddRepresentation(representation, ready.image)
            if entry.terminology:
                segment.SetTag(segment.GetTerminologyEntryTagName(), entry.terminology)
            segmentation.AddSegment(segment, entry.identifier)
    node.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    display.SetVisibility2DFill(False)
    return node


def add_table(scene: Any, columns: Mapping[str, Iterable], name: str) -> Any:
    """A vtkMRMLTableNode with text columns for strings and double columns for numbers, in the order given."""
    import slicer
    import vtk

    node = slicer.vtkMRMLTableNode()
    node.SetName(name)
    for title, values in columns.items():
        entries = list(values)
        is_text = bool(entries) and isinstance(entries[0], str)
        column = vtk.vtkStringArray() if is_text else vtk.vtkDoubleArray()
        column.SetName(title)
        for entry in entries:
            column.InsertNextValue(entry if is_text else float(entry))
        node.AddColumn(column)
    node.SetUseColumnTitleAsColumnHeader(True)
    node.SetUseFirstColumnAsRowHeader(True)
    scene.AddNode(node)
    return node


def image_in_steps(array: np.ndarray, parts: int = 12) -> Iterator[Any]:
    """A vtkImageData of ``[x, y, z]``, copied in pieces for those who must not be kept waiting: None until it is complete."""
    import vtk
    from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

    image = vtk.vtkImageData()
    image.SetDimensions(*array.shape)
    image.AllocateScalars(get_vtk_array_type(array.dtype), 1)
    target = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(array.shape[::-1])
    step = max(1, -(-target.shape[0] // parts))
    for start in range(0, target.shape[0], step):
        target[start : start + step] = array.T[start : start + step]
        yield None
    yield image


def _fill(image: Any, array: np.ndarray) -> None:
    from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

    if array.dtype == np.bool_:
        array = array.view(np.uint8)
    image.AllocateScalars(get_vtk_array_type(array.dtype), 1)
    # VTK runs through x first: the same order as the transposed array in C order
    vtk_to_numpy(image.GetPointData().GetScalars()).reshape(array.shape[::-1])[...] = array.T


def _image(array: np.ndarray) -> Any:
    import vtk

    image = vtk.vtkImageData()
    image.SetDimensions(*array.shape)
    _fill(image, array)
    return image


def _oriented_image(array: np.ndarray, affine: np.ndarray) -> Any:
    """The part of a label map that is not 0, at its place."""
    import slicer

    inside = [np.flatnonzero((array != 0).any(axis=tuple(other for other in range(3) if other != axis))) for axis in range(3)]
    box = [(int(index[0]), int(index[-1])) if index.size else (0, 0) for index in inside]
    image = slicer.vtkOrientedImageData()
    image.SetExtent([bound for pair in box for bound in pair])
    _fill(image, array[tuple(slice(first, last + 1) for first, last in box)])
    image.SetGeometryFromImageToWorldMatrix(_matrix(affine))
    return image


def _matrix(affine: np.ndarray) -> Any:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    for row in range(4):
        for column in range(4):
            matrix.SetElement(row, column, float(affine[row, column]))
    return matrix


def _coded(code: CodeTriple) -> Any:
    import slicer

    entry = slicer.vtkCodedEntry()
    entry.SetValueSchemeMeaning(*code)
    return entry
