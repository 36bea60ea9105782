"""Further regions of interest from any segmentation of the scene, without running the model again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.views.mrml import ROI_COLORS, TARGET_COLOR
from Agg2ExpLib.views.mrml_nodes import Segment, add_segmentation

from ..engine.WorkFolder import WorkFolder
from .ResultRecord import EXTRA, TARGET_MASK, ResultRecord
from .ResultsInScene import gatherNodes, replaceNode, setMatrix
from .ResultsOfScene import ResultsOfScene
from .SceneVolumes import segmentIds, segmentName, writeSegment

_FORBIDDEN = re.compile(r'[/\\:*?"<>|,>=\x00-\x1f\x7f]')


def regionNames(segmentation: Any, hidden: bool = False) -> dict[str, str]:
    """Segment id to region name for every segment, or every one that is not hidden."""
    display = segmentation.GetDisplayNode() if segmentation is not None else None
    names: dict[str, str] = {}
    for identifier in segmentIds(segmentation):
        if not hidden and display is not None and not display.GetSegmentVisibility(identifier):
            continue
        base = name = _FORBIDDEN.sub("_", segmentName(segmentation, identifier)).strip(" ._-") or identifier
        number = 2
        while name.casefold() in [taken.casefold() for taken in names.values()]:
            name, number = f"{base} {number}", number + 1
        names[identifier] = name
    return names


class ExtraRegions:
    """One addition of regions to a record.

    Attributes:
        added: names of the regions, after :meth:`steps`.
        warnings: what the user should know about them.
    """

    def __init__(self, record: ResultRecord, segmentation: Any):
        self.record, self.segmentation = record, segmentation
        self.added: list[str] = []
        self.warnings: list[str] = []

    def steps(self) -> Iterator[str]:
        """Do it; yields what is being done. Regions of the same name are replaced.

        Raises:
            InputError: a region that cannot be used.
            OSError: no temporary folder can be made.
        """
        from Agg2ExpLib.io.grid import Grid
        from Agg2ExpLib.io.regions import read_all_regions
        from Agg2ExpLib.runs.recompute import extended_matrix, extended_regions
        from Agg2ExpLib.runs.results import check_region_files

        if self.segmentation in (self.record.segmentation, self.record.extra):
            raise InputError(_("These regions are in the matrix already: choose another segmentation."))
        results = ResultsOfScene(self.record)
        labels = [label.name for label in results.labels]
        names = {key: name if name not in labels else f"{name} (added)" for key, name in regionNames(self.segmentation).items()}
        kept = {name: volume for name, volume in results.extra_rois().items() if name not in names.values()}
        x, y, z = results.shape
        found: list[tuple[str, np.ndarray]] = []
        with WorkFolder() as folder:
            for index, (identifier, name) in enumerate(names.items()):
                yield _("Summing over the regions …")
                file = folder / f"region{index}.nrrd"
                writeSegment(self.segmentation, identifier, file)
                taken = [*kept, *(name for name, _mask in found)]
                regions, warnings = read_all_regions([f"{file}:{name}"], Grid((x, y, z), results.affine), labels, taken)
                found += regions
                check_region_files([*kept, *(name for name, _mask in found)])
                self.warnings += warnings
        if not found:
            raise InputError(_("The segmentation has no visible segment: draw one, or show it."))
        before = [(name, volume.array > 0) for name, volume in kept.items()]
        extended = extended_regions(results, [*before, *found])  # type: ignore[arg-type]
        sums = {}
        for label in results.explained:
            for found_sums in extended.sums_in_steps(results.attribution(label).array):
                yield _("Summing over the regions …")
                if found_sums is not None:
                    sums[label] = found_sums
        matrix = extended_matrix(results.importance(), extended, sums, self.record.noise)
        yield _("Summing over the regions …")
        self._store(results, matrix, [*before, *found])
        self.added = [name for name, _mask in found]

    def _store(self, results: ResultsOfScene, matrix: Any, regions: list[tuple[str, np.ndarray]]) -> None:
        from Agg2ExpLib.roi_importance.graph import region_positions

        record = self.record
        layers = [
            (
                mask.astype(np.uint8),
                results.affine,
                [Segment(name, name.replace("_", " "), ROI_COLORS[index % len(ROI_COLORS)], 1)],
            )
            for index, (name, mask) in enumerate(regions)
        ]
        target = results.target_mask()
        if target is not None:
            layers.append((target.array, results.affine, [Segment(TARGET_MASK, _("Target mask"), TARGET_COLOR, 1)]))
        node = add_segmentation(slicer.mrmlScene, layers, _("{case} regions").format(case=record.patient), record.ct)
        node.GetDisplayNode().SetVisibility2D(False)
        node.GetDisplayNode().SetVisibility3D(False)
        replaceNode(record, EXTRA, node)
        places = region_positions(np.zeros((1, 1, 1), np.uint8), results.affine, (), dict(regions))
        record.positions = {**{name: xy for name, xy in record.positions.items() if name not in dict(regions)}, **places}
        record.run = {**record.run, "extra_rois": [name for name, _mask in regions]}
        setMatrix(record, matrix)
        record.folder = None  # the folder on disk lacks the regions
        gatherNodes(record, False)

    def summary(self) -> str:
        """What was added, and the warnings."""
        return "\n".join([_("Added {names}.").format(names=", ".join(self.added)), *self.warnings])
