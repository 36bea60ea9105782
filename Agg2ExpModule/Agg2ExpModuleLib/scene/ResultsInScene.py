"""Brings a results folder into the scene, step by step, and keeps what is shown up to date."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from Agg2ExpLib.views.mrml import add_importance_table, add_labels, add_overlay, add_regions, gather, label_layers, update_overlay
from Agg2ExpLib.views.mrml_colors import absolute_quantiles, set_overlay_threshold
from Agg2ExpLib.views.mrml_mask import add_global_mask
from Agg2ExpLib.views.mrml_nodes import image_in_steps

from .InBackground import inBackground, telling
from .MapSurfaces import surfacesOf
from .ResultRecord import EXTRA, MASK, SEGMENTATION, TABLE, ResultRecord, recordsOf

if TYPE_CHECKING:
    from Agg2ExpLib.io.volume import Volume
    from Agg2ExpLib.models.labels import Label

PRELIMINARY = "Agg2Exp.Preliminary"
_LARGE = 3_000_000  # voxels


class Loading:
    """One results folder on its way into the scene.

    Args:
        folder: results folder.
        ct: the CT's volume node, or None to add the model-grid CT of the results.
        candidate: a volume node that is taken in its place where it is the same CT, as far as its voxels tell.
        percentile, sign: how new maps are shown.

    Attributes:
        record: the record, once :meth:`steps` has run through.
    """

    def __init__(self, folder: Path, ct: Any = None, percentile: float = 95.0, sign: str = "both", candidate: Any = None):
        self.candidate = candidate
        self.folder, self.ct, self.percentile, self.sign = Path(folder), ct, percentile, sign
        self.record: ResultRecord | None = None

    def steps(self) -> Iterator[str]:
        """Do it; yields what is being done.

        Raises:
            InputError: no results folder, or a file of it cannot be read.
        """
        from Agg2ExpLib.runs.results import Results

        results = Results.open(self.folder)
        yield (what := _("Loading the CT …"))
        own = self.ct is None
        if own:
            from Agg2ExpLib.views.mrml import add_ct

            ct = yield from telling(what, results.ct)
            known = self.candidate
            same = known is not None and (yield from telling(what, partial(isSame, volumeOf(known), ct)))
            if same and known.GetScene() is slicer.mrmlScene:
                self.ct, own = self.candidate, False
            else:
                image = None
                for image in image_in_steps(ct.array):  # noqa: B007
                    yield what
                with slicer.util.RenderBlocker():
                    self.ct = add_ct(slicer.mrmlScene, ct, results.patient, image)
            yield what
        volume = yield from telling(_("Loading the segmentation …"), results.segmentation)
        record, isNew = self._record(results)
        try:
            yield from self._fill(record, results, volume)
        except BaseException:
            if isNew:
                removeRecord(record)
                if own:
                    removeNode(self.ct)
            raise
        gatherNodes(record, own)
        self.record = record

    def _record(self, results: Any) -> tuple[ResultRecord, bool]:
        """The record that these results join, or a new one."""
        from Agg2ExpLib.roi_importance.merge import mergeable

        for record in reversed(recordsOf(self.ct)):
            if mergeable(record.run, results.run) and (record.matrix is None or self._sameColumns(record, results)):
                return record, False
        return ResultRecord.create(self.ct, results.run), True

    @staticmethod
    def _sameColumns(record: ResultRecord, results: Any) -> bool:
        if not results.explained:
            return True
        before, after = record.matrix, results.importance()
        return before.columns == after.columns and np.array_equal(before.roi_voxels, after.roi_voxels)

    def _fill(self, record: ResultRecord, results: Any, volume: Any) -> Iterator[str]:
        from Agg2ExpLib.roi_importance.merge import merge_matrices
        from Agg2ExpLib.roi_importance.slices import merge_slices

        scene = slicer.mrmlScene
        if record.segmentation is None:
            layers = yield from telling(_("Loading the segmentation …"), lambda: label_layers(results, volume))
            record.setReference(SEGMENTATION, add_labels(scene, results, self.ct, layers))
            yield _("Loading the segmentation …")
        titles = {label.name: label.title for label in (*results.labels, *results.classes)}
        order = tuple(label.name for label in results.explainable)
        overlays = record.overlays
        for name in results.explained:
            yield (what := _("Loading the map of {label} …").format(label=titles.get(name, name)))
            values, image = results.attribution(name), None
            quantiles = yield from telling(what, partial(absolute_quantiles, values.array))
            for image in image_in_steps(values.array):  # noqa: B007
                yield what
            node = overlays.get(name)
            if node is not None and tuple(node.GetImageData().GetDimensions()) == values.array.shape:
                update_overlay(node, values.array, image=image, quantiles=quantiles)
                continue
            title = _("{label} attribution").format(label=titles.get(name, name))
            node = add_overlay(scene, values, title, name, self.percentile, image, quantiles)
            set_overlay_threshold(node, self.percentile, self.sign)  # type: ignore[arg-type]
            record.addMap(node)
        if not results.explained:
            if not record.positions:
                places = yield from telling(_("Loading the segmentation …"), lambda: quickPositions(volume, results.labels))
                record.positions = places
            return
        yield (what := _("Loading the importance …"))
        extra = yield from telling(what, results.extra_rois)
        replaceNode(record, EXTRA, add_regions(scene, results, self.ct, set(titles)))
        masks = {name: region.array > 0 for name, region in extra.items()}
        record.positions = yield from telling(what, lambda: quickPositions(volume, results.labels, masks))
        matrix, before = results.importance(), record.matrix
        explained = list(results.explained)
        if before is not None:
            matrix = merge_matrices(before, matrix, order)
            explained = [name for name in order if name in matrix.rows]
        run = {**results.run, "explained": explained}
        yield (what := _("Loading the global mask …"))
        mask = add_global_mask(scene, results, self.ct)
        if mask is not None or "global_mask" in run:
            replaceNode(record, MASK, mask)
        elif "global_mask" in record.run:  # of an earlier run: it stays, with what was measured for it
            run["global_mask"] = record.run["global_mask"]
        record.run = run
        setMatrix(record, matrix)
        slices, earlier = (yield from telling(what, results.slices)), record.slices
        record.slices = merge_slices(earlier, slices, order) if slices is not None and earlier is not None else slices
        record.folder = self.folder if before is None else None  # the folder has only the newest labels
        record.keepNoiseOf(self.folder)
        yield what


def volumeOf(ct: Any) -> Volume:
    """A volume node as others read it; what it holds is not copied."""
    from Agg2ExpLib.io.volume import Volume
    from Agg2ExpLib.views.mrml_nodes import array_of

    from .SceneVolumes import volumeAffine

    return Volume(array_of(ct), volumeAffine(ct))


def isSame(mine: Volume, theirs: Volume) -> bool:
    """Whether a volume of the scene is the CT of a result, as far as its voxels on the model grid tell; its name may differ."""
    from Agg2ExpLib.io.grid import Grid
    from Agg2ExpLib.io.resample import resample

    from ..setup.LibraryPath import isInstalled

    if not isInstalled("scipy"):  # an older Slicer before "Install requirements"
        return False
    # Every twelfth voxel along each axis is enough to tell two patients apart, and quick.
    coarse = theirs.affine @ np.diag([12.0, 12.0, 12.0, 1.0])
    x, y, z = (max(2, size // 12) for size in theirs.array.shape)
    sampled = resample(mine, Grid((x, y, z), coarse), "linear")
    expected = theirs.array[::12, ::12, ::12][:x, :y, :z]
    sampled = sampled[: expected.shape[0], : expected.shape[1], : expected.shape[2]]
    return bool(np.mean(np.abs(sampled - expected) < 2.0) > 0.95)


def quickPositions(
    volume: Volume, labels: Sequence[Label], extra: Mapping[str, np.ndarray] | None = None
) -> dict[str, tuple[float, float]]:
    """Places of the regions for the graph, from every second voxel of large volumes; regions that these miss from all."""
    from Agg2ExpLib.roi_importance.graph import region_positions

    extra = extra or {}
    step = 2 if volume.array.size > _LARGE else 1
    every = (slice(None, None, step),) * 3
    affine = volume.affine @ np.diag([step, step, step, 1.0])
    places = region_positions(volume.array[every], affine, labels, {name: mask[every] for name, mask in extra.items()})
    if step > 1:
        counts = np.bincount(volume.array.reshape(-1, order="A"), minlength=len(labels))
        missed = [label for label in labels[1:] if label.name not in places and counts[label.index]]
        lost = {name: mask for name, mask in extra.items() if name not in places}
        if missed or lost:
            places |= region_positions(volume.array, volume.affine, missed, lost)
    return places


def setMatrix(record: ResultRecord, matrix: Any) -> None:
    """Give a record a matrix and the table node that goes with it."""
    record.matrix = matrix
    name = _("{case} RoI importance").format(case=record.patient)
    replaceNode(record, TABLE, add_importance_table(slicer.mrmlScene, matrix, name))


def replaceNode(record: ResultRecord, role: str, node: Any) -> None:
    """Put a node in the place of the one that a record has for a role; that one is removed."""
    before = record.node.GetNodeReference(role)
    record.setReference(role, node)
    removeNode(before)


def removeRecord(record: ResultRecord) -> None:
    """Remove a record with everything made for it; the CT stays."""
    scene = slicer.mrmlScene
    for volume in record.shownNodes():
        removeOverlay(volume)
    for node in (record.segmentation, record.table, record.extra, record.globalMask):
        removeNode(node)
    if record.node.GetScene() is scene:
        scene.RemoveNode(record.node)


def removeOverlay(volume: Any) -> None:
    """Remove an attribution volume with its colours and surfaces."""
    display = volume.GetDisplayNode()
    colors = display.GetColorNode() if display is not None else None
    for surface in surfacesOf(volume).values():
        removeNode(surface)
    removeNode(volume)
    if colors is not None and colors.GetName().endswith(" colours"):  # made with the volume, for it alone
        slicer.mrmlScene.RemoveNode(colors)


def removeNode(node: Any) -> None:
    """Remove a node (or none) from the scene with what only displays it."""
    scene = slicer.mrmlScene
    if node is None or node.GetScene() is not scene:
        return
    count = node.GetNumberOfDisplayNodes() if node.IsA("vtkMRMLDisplayableNode") else 0
    displays = [node.GetNthDisplayNode(index) for index in range(count)]
    rendered = [display for display in displays if display is not None and display.IsA("vtkMRMLVolumeRenderingDisplayNode")]
    parts = [part for display in rendered for part in (display.GetVolumePropertyNode(), display.GetROINode())]
    for each in (node, *displays, *parts):
        if each is not None and each.GetScene() is scene:
            scene.RemoveNode(each)


def gatherNodes(record: ResultRecord, own: bool) -> None:
    """One folder beside the CT in the data tree that holds everything of a record (the CT too, if we added it)."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    nodes = [record.segmentation, *record.overlays.values(), record.table, record.extra]
    nodes += [record.globalMask, record.picture]
    nodes = [node for node in nodes if node is not None]
    name = _("{case} explanation").format(case=record.ct.GetName())
    parents = [hierarchy.GetItemParent(item) for node in nodes if (item := hierarchy.GetItemByDataNode(node))]
    folder = next((item for item in parents if item and hierarchy.GetItemName(item) == name), 0)
    if not folder:
        gather(slicer.mrmlScene, name, [record.ct, *nodes], own)
        return
    for node in nodes:
        item = hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(folder, node)
        hierarchy.SetItemParent(item, folder)


class LiveMap:
    """The map of one label while its run goes on: a volume that is refined in place and removed at the end."""

    def __init__(self) -> None:
        self.node: Any = None
        self.label = ""

    def steps(self, path: Path, label: str, title: str, percentile: float, sign: str) -> Iterator[None]:
        """Read a partial map and make it the node, in pieces; a file that is being replaced just now is left alone."""
        from Agg2ExpLib.errors import InputError
        from Agg2ExpLib.io.read import read_map

        try:
            volume = read_map(path)
        except (InputError, OSError):
            return
        image = None
        quantiles = yield from inBackground(lambda: absolute_quantiles(volume.array))
        for image in image_in_steps(volume.array):  # noqa: B007
            yield None
        if self.node is not None and (self.label != label or self.node.GetScene() is None):
            self.remove()
        if self.node is None:
            self.node = add_overlay(slicer.mrmlScene, volume, title, label, percentile, image, quantiles)
            self.node.SetAttribute(PRELIMINARY, "1")
            # Half-done maps do not belong into a scene saved meanwhile.
            self.node.SetSaveWithScene(False)
            set_overlay_threshold(self.node, percentile, sign)  # type: ignore[arg-type]
            self.label = label
        else:
            update_overlay(self.node, volume.array, image=image, quantiles=quantiles)
            self.node.SetName(title)

    def remove(self) -> None:
        """Take the preliminary map out of the scene."""
        node, self.node, self.label = self.node, None, ""
        if node is not None and node.GetScene() is not None:
            removeOverlay(node)


def contextShares(record: ResultRecord) -> dict[str, float]:
    """For each explained label its context: the share of its attribution outside its own segment, 0..1."""
    matrix = record.matrix
    if matrix is None:
        return {}
    shares = matrix.best()
    return {
        row: 1.0 - float(shares[index, matrix.columns.index(row)]) for index, row in enumerate(matrix.rows) if row in matrix.columns
    }
