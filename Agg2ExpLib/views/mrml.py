"""A results folder as nodes of an MRML scene: the same code serves 3D Slicer, the web viewer and ``agg2exp render``.

Only what both a 3D Slicer application (5.8 or newer) and the pip package slicer-core have is used; slicer is imported when a
function needs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..io.volume import Volume
from ..models.labels import Code, Label, title_of
from .mrml_colors import color_node_for, measure_overlay, set_overlay_threshold
from .mrml_mask import add_global_mask
from .mrml_nodes import Layer, Segment, add_segmentation, add_table, add_volume, prepared_layer, update_volume

if TYPE_CHECKING:
    from ..runs.results import Results

CT_WINDOW = (-1000.0, 700.0)  # HU; lungs, vessels and bone in one window
OVERLAY_OPACITY = 0.6
_DICOM_LIST = "Segmentation category and type - DICOM master list"
_STRUCTURE = Code("123037004", "Anatomical Structure")
_ATTENUATION = ("112031", "DCM", "Attenuation Coefficient")
_HOUNSFIELD = ("[hnsf'U]", "UCUM", "Hounsfield unit")
_SIGNED = ("signed-attribution", "99AGG2EXP", "Signed attribution, positive supports the label")
_NO_UNIT = ("1", "UCUM", "no units")
ROI_COLORS = ((255, 128, 0), (0, 220, 160), (220, 90, 255), (120, 220, 40), (255, 90, 140), (90, 170, 255))
TARGET_COLOR = (255, 235, 60)


@dataclass
class SceneNodes:
    """The MRML nodes of one patient's results.

    Attributes:
        scene: the vtkMRMLScene they live in.
        ct: scalar volume in HU.
        segmentation: one segment for each label the model found; the segment id is the label's name.
        overlays: signed attribution volume of each explained label.
        table: importance (mass), a row for each explained label, a column for each region.
        extra: segmentation of the extra regions and the target mask, None when there are none.
        folder_item: subject-hierarchy item of the patient's folder.
        titles: what people read for each label.
        global_mask: segmentation of the global mask, None when there is none.
    """

    scene: Any
    ct: Any
    segmentation: Any
    overlays: dict[str, Any]
    table: Any
    extra: Any = None
    folder_item: int = 0
    titles: dict[str, str] = field(default_factory=dict)
    global_mask: Any = None

    def all_nodes(self) -> list[Any]:
        """Every node that was made or used, CT first."""
        nodes = [self.ct, self.segmentation, *self.overlays.values(), self.table, self.extra, self.global_mask]
        return [node for node in nodes if node is not None]


def require_slicer() -> Any:
    """The ``slicer`` module of 3D Slicer or of slicer-core.

    Raises:
        InputError: neither is there.
    """
    try:
        import slicer
    except ImportError as error:
        raise InputError(f"Slicer views need slicer-core ({error}): run pip install 'agg2exp[views]'.") from error
    return slicer


def new_scene() -> Any:
    """An empty scene outside Slicer, with the node classes, colours and hierarchy that Slicer's application would give it."""
    slicer = require_slicer()
    scene = slicer.vtkMRMLScene()
    logic = slicer.vtkMRMLApplicationLogic()
    logic.SetMRMLScene(scene)
    colors = slicer.vtkMRMLColorLogic()
    colors.SetMRMLScene(scene)
    colors.AddDefaultColorNodes()
    segmentations = slicer.vtkSlicerSegmentationsModuleLogic()
    segmentations.SetMRMLScene(scene)
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)  # patient right at the left of the screen
    for kind in (slicer.vtkMRMLSelectionNode, slicer.vtkMRMLInteractionNode):
        if scene.GetFirstNodeByClass(kind.__name__) is None:
            node = kind()
            node.SetSingletonTag("Singleton")
            scene.AddNode(node)
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    scene.agg2exp_logics = (logic, colors, segmentations)  # they observe the scene as long as it lives
    return scene


def show_results(
    results: Results, scene: Any = None, ct: Any = None, percentile: float = 95.0, labels: Iterable[str] | None = None
) -> SceneNodes:
    """Put a results folder into a scene: CT, segments, one signed overlay a label, importance table, folder for the patient.

    Args:
        results: the opened results folder.
        scene: a vtkMRMLScene; ``slicer.mrmlScene`` by default, or a new one outside Slicer.
        ct: the CT's volume node when the scene has it already, or the CT to add; by default the model-grid CT of the results.
        percentile: voxels of an overlay below this percentile of ``|value|`` are transparent.
        labels: explained labels to add overlays for, all by default.

    Raises:
        InputError: slicer is not installed, or a file of the results cannot be read.
    """
    slicer = require_slicer()
    if scene is None:
        scene = getattr(slicer, "mrmlScene", None) or new_scene()
    titles = {label.name: label.title for label in (*results.labels, *results.classes)}
    scene.StartState(scene.BatchProcessState)  # views update once, not for each node
    try:
        own_ct = ct is None or isinstance(ct, Volume)
        if ct is None or isinstance(ct, Volume):
            ct = add_ct(scene, ct or results.ct(), results.patient)
        segmentation = add_labels(scene, results, ct)
        overlays = {}
        for name in results.explained if labels is None else labels:
            title = titles.get(name, name)
            overlays[name] = add_overlay(scene, results.attribution(name), f"{title} attribution", name, percentile)
        table = add_importance_table(scene, results.importance(), f"{results.patient} RoI importance")
        extra = add_regions(scene, results, ct, set(titles))
        mask = add_global_mask(scene, results, ct)
        nodes = SceneNodes(scene, ct, segmentation, overlays, table, extra, titles=titles, global_mask=mask)
        nodes.folder_item = gather(scene, results.patient, nodes.all_nodes(), own_ct)
    finally:
        scene.EndState(scene.BatchProcessState)
    return nodes


def add_overlay(
    scene: Any,
    volume: Volume,
    name: str,
    label: str,
    percentile: float = 95.0,
    image: Any = None,
    quantiles: np.ndarray | None = None,
) -> Any:
    """A signed attribution map as a volume node with its own diverging, in the middle transparent colours.

    Args:
        scene: where the nodes go.
        volume: signed float values ``[x, y, z]`` with their affine.
        name: the node's name.
        label: name of the explained label, kept as the node's attribute ``Agg2Exp.Label``.
        percentile: see :func:`~Agg2ExpLib.views.mrml_colors.set_overlay_threshold`.
        image: see :func:`~Agg2ExpLib.views.mrml_nodes.add_volume`.
        quantiles: what :func:`~Agg2ExpLib.views.mrml_colors.absolute_quantiles` gave for the values, where that was done before.
    """
    colors = color_node_for(scene, name)
    tag = {"Agg2Exp.Label": label}  # who hears that a volume has come must know at once that it is no CT
    node = add_volume(scene, volume.array, volume.affine, name, _SIGNED, _NO_UNIT, image, colors, tag)
    measure_overlay(node, volume.array, quantiles)
    set_overlay_threshold(node, percentile)
    return node


def update_overlay(
    node: Any, array: np.ndarray, percentile: float | None = None, image: Any = None, quantiles: np.ndarray | None = None
) -> None:
    """Replace an overlay's values ``[x, y, z]`` (a refined map of the same shape); the shown percentile stays unless given.

    ``image`` and ``quantiles`` as for :func:`add_overlay`.
    """
    from .mrml_colors import overlay_state

    update_volume(node, array, image)
    measure_overlay(node, array, quantiles)
    set_overlay_threshold(node, overlay_state(node)[0] if percentile is None else percentile)


def add_importance_table(scene: Any, matrix: Any, name: str, variant: str = "absolute") -> Any:
    """An importance matrix as a table node: first column the explained label, then one column for each region."""
    columns: Mapping[str, Iterable] = {"label": list(matrix.rows)} | dict(
        zip(matrix.columns, matrix.variant(variant).T, strict=True)
    )
    node = add_table(scene, columns, name)
    node.SetAttribute("Agg2Exp.Variant", variant)
    return node


def terminology(label: Label) -> str | None:
    """Slicer's serialised terminology entry of a label's SNOMED CT code; None for labels without a code."""
    if label.code is None:
        return None
    parts = [_STRUCTURE, label.code, label.side]
    coded = "~".join(f"{part.scheme}^{part.value}^{part.meaning}" if part else "^^" for part in parts)
    return f"{_DICOM_LIST}~{coded}~Anatomic codes - DICOM master list~^^~^^"


def save_scene(scene: Any, path: Path) -> None:
    """Write a scene with all its data as one ``.mrb`` file, beside and renamed when complete.

    Raises:
        InputError: the file cannot be written.
    """
    from .mrml_bundle import write_bundle

    write_bundle(scene, path)


def add_ct(scene: Any, volume: Volume, patient: str, image: Any = None) -> Any:
    """A CT in HU as a volume node; ``image`` as for :func:`~Agg2ExpLib.views.mrml_nodes.add_volume`."""
    node = add_volume(scene, volume.array, volume.affine, f"{patient} CT", quantity=_ATTENUATION, units=_HOUNSFIELD, image=image)
    display = node.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(*CT_WINDOW)
    return node


def add_labels(scene: Any, results: Results, ct: Any, layers: list[Layer] | None = None) -> Any:
    """The predicted labels as a segmentation node, one segment for each label found; the segment id is the label's name.

    ``layers`` is what :func:`label_layers` gave, where that was done before.
    """
    return add_segmentation(scene, layers or label_layers(results, results.segmentation()), f"{results.patient} segmentation", ct)


def label_layers(results: Results, volume: Volume) -> list[Layer]:
    """The predicted labels (``volume``) ready for a segmentation node; needs no scene, so that a thread may do it."""
    segments = [
        Segment(label.name, label.title, label.color, label.index, terminology(label))
        for label in results.labels
        if label.index > 0
    ]
    return [prepared_layer(volume.array, volume.affine, segments)]


def add_regions(scene: Any, results: Results, ct: Any, taken: set[str]) -> Any:
    """The extra regions and the target mask as a segmentation node, None without any; ``taken`` are segment ids of the labels."""
    layers = []
    for index, (name, volume) in enumerate(results.extra_rois().items()):
        title = title_of(name)
        layers.append(
            (
                volume.array,
                volume.affine,
                [Segment(name if name not in taken else f"{name} (region)", title, ROI_COLORS[index % len(ROI_COLORS)], 1)],
            )
        )
    target = results.target_mask()
    if target is not None:
        layers.append((target.array, target.affine, [Segment("target_mask", "Target mask", TARGET_COLOR, 1)]))
    return add_segmentation(scene, layers, f"{results.patient} regions", ct) if layers else None


def gather(scene: Any, patient: str, nodes: Sequence[Any], own_ct: bool) -> int:
    """A folder with the patient's name beside the CT with all nodes in it; a CT that was there before stays where it is."""
    slicer = require_slicer()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    ct_item = hierarchy.GetItemByDataNode(nodes[0])
    parent = hierarchy.GetItemParent(ct_item) if ct_item else 0
    folder = hierarchy.CreateFolderItem(parent or hierarchy.GetSceneItemID(), patient)
    for node in nodes if own_ct else nodes[1:]:
        item = hierarchy.GetItemByDataNode(node)  # Slicer's application makes one for each node, slicer-core does not
        if item:
            hierarchy.SetItemParent(item, folder)
        else:
            hierarchy.CreateItem(folder, node)
    return int(folder)
