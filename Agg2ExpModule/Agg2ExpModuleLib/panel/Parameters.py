"""Everything the user can set, kept in the scene and so saved with it."""

from collections.abc import Sequence
from typing import Annotated, Any

import slicer
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

MAX_SAMPLES = 500


@parameterNodeWrapper
class Parameters:
    """The panel's state.

    Texts that hold a choice: ``device`` (auto, cpu, cuda:0, …), ``method`` (of the library's registry), ``precision``,
    ``reduction`` (sum, mean), ``picture`` (voxels, or what organs are tinted by: share, enrichment, support), ``sign`` (both,
    supporting, opposing), ``sliceMeasure`` (contribution, weight, mass), ``graphSign`` (absolute, positive, negative),
    ``measure`` (mass, mean, enrichment, difference), ``besideWhat`` (graph, matrix), ``whatIfAction`` and ``whatIfFill`` (of
    ``agg2exp whatif``), ``counterDirection`` (both, less, more), ``layout`` (anatomical, circle), ``mapFormat`` (nrrd, nii.gz),
    ``mapGrid`` (model, ct). ``methodParameters`` is JSON, see MethodSettings.
    ``segmenter`` is what draws the regions of a classifier: demo, none, or weights. ``overlap`` below 0 stands for the model's own.
    """

    # Input
    inputVolume: slicer.vtkMRMLScalarVolumeNode
    weights: str = ""
    segmenter: str = "demo"
    device: str = "auto"
    # Labels
    checkedLabels: list[str]
    useDrawnTarget: bool = False
    targetSegmentation: slicer.vtkMRMLSegmentationNode
    targetSegment: str = ""
    # Explain
    method: str = "smoothgrad"
    methodParameters: str = ""
    samples: Annotated[int, WithinRange(1, MAX_SAMPLES)] = 20
    noise: Annotated[float, WithinRange(0.0, 1.0)] = 0.1
    seed: Annotated[int, WithinRange(0, 999999)] = 0
    globalMask: bool = False
    maskCoverage: Annotated[int, WithinRange(1, 100)] = 90
    overlap: Annotated[float, WithinRange(-0.05, 0.9)] = -0.05
    keep: Annotated[float, WithinRange(50.0, 100.0)] = 100.0
    precision: str = "auto"
    reduction: str = "sum"
    caseName: str = ""
    resultsFolder: str = ""
    # Display
    record: slicer.vtkMRMLScriptedModuleNode
    mapLabel: str = ""
    picture: str = "voxels"
    smoothing: Annotated[float, WithinRange(0.0, 10.0)] = 0.0
    absolute: bool = False
    strongest: Annotated[float, WithinRange(0.1, 100.0)] = 5.0
    opacity: Annotated[float, WithinRange(0.0, 1.0)] = 0.6
    sign: str = "both"
    outline: bool = True
    legend: bool = True
    linked: bool = True
    showMask: bool = True
    in3D: bool = False
    showMap: bool = True
    hotSpotMarkups: bool = False
    # Slices
    sliceMeasure: str = "contribution"
    # RoI importance
    measure: str = "mass"
    graphSign: str = "absolute"
    layout: str = "anatomical"
    topEdges: Annotated[int, WithinRange(1, 50)] = 3
    minimumWeight: Annotated[float, WithinRange(0.0, 100.0)] = 0.0
    background: bool = False
    beside: bool = False
    besideWhat: str = "graph"
    extraSegmentation: slicer.vtkMRMLSegmentationNode
    # Compare with a cohort
    cohortReference: str = ""
    # What if?
    whatIfAction: str = "remove"
    whatIfRegion: str = ""
    whatIfFill: str = "surroundings"
    # Counterfactual
    counterTarget: str = ""
    counterDirection: str = "both"
    autoencoder: str = ""
    # Export
    exportTables: bool = True
    exportMaps: bool = True
    exportPictures: bool = True
    exportFolderCopy: bool = False
    exportToDatabase: bool = False
    mapFormat: str = "nrrd"
    mapGrid: str = "model"


def chosenOverlap(parameters: Parameters) -> float | None:
    """Overlap of the windows, None for what the model was made for."""
    return parameters.overlap if parameters.overlap >= 0 else None


def boundWidgets(ui: Any) -> dict[str, Any]:
    """The panel's widgets by the parameter that the ``.ui`` file binds them to."""
    named = {widget.property("SlicerParameterName"): widget for widget in vars(ui).values()}
    return {name: widget for name, widget in named.items() if name}


_REFERENCE_ROLE = "referenceVolumes"


def referenceVolumes(parameters: Parameters) -> list[Any]:
    """The CTs to compare with, for methods that do so. As node references, which survive when scenes are put together."""
    node = parameters.parameterNode  # type: ignore[attr-defined]
    found = [node.GetNthNodeReference(_REFERENCE_ROLE, index) for index in range(node.GetNumberOfNodeReferences(_REFERENCE_ROLE))]
    return [volume for volume in found if volume is not None]


def setReferenceVolumes(parameters: Parameters, volumes: Sequence[Any]) -> None:
    """Choose the CTs to compare with."""
    node = parameters.parameterNode  # type: ignore[attr-defined]
    with slicer.util.NodeModify(node):
        node.RemoveNodeReferenceIDs(_REFERENCE_ROLE)
        for volume in volumes:
            node.AddNodeReferenceID(_REFERENCE_ROLE, volume.GetID())
        node.Modified()


NODE_PARAMETERS = ("inputVolume", "record", "targetSegmentation", "extraSegmentation")


def snapshot(parameters: Parameters) -> dict[str, object]:
    """All values in a form that can be compared later: nodes by their id, lists as tuples."""
    values: dict[str, object] = {}
    for name in parameters.allParameters:  # type: ignore[attr-defined]
        value = getattr(parameters, name)
        if name in NODE_PARAMETERS:
            value = value.GetID() if value is not None else None
        elif name == "checkedLabels":
            value = tuple(value)
        values[name] = value
    values["references"] = tuple(volume.GetID() for volume in referenceVolumes(parameters))
    return values
