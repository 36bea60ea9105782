"""The results of a record in the shape that the library reads from a results folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from slicer.i18n import tr as _

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io.volume import Volume
from Agg2ExpLib.models.labels import Label
from Agg2ExpLib.views.mrml_mask import GLOBAL_MASK
from Agg2ExpLib.views.mrml_nodes import affine_of, array_of

from .ResultRecord import TARGET_MASK, ResultRecord
from .SceneVolumes import segmentIds, segmentMask


class ResultsOfScene:
    """What :class:`Agg2ExpLib.runs.results.Results` gives, from the nodes of a record.

    Raises:
        InputError: the record has no map left to tell the grid.
    """

    def __init__(self, record: ResultRecord):
        self.record, self.run, self.patient = record, record.run, record.patient
        self.labels: tuple[Label, ...] = record.labels
        self.classes: tuple[Label, ...] = record.classes
        self._overlays = record.overlays
        if not self._overlays:
            raise InputError(_("These results hold no map: explain a label first."))
        first = next(iter(self._overlays.values()))
        self.shape = tuple(int(size) for size in first.GetImageData().GetDimensions())
        self.affine = affine_of(first)

    @property
    def explained(self) -> tuple[str, ...]:
        """Labels or classes that have a map, in the order of the matrix."""
        matrix = self.record.matrix
        return tuple(name for name in (matrix.rows if matrix is not None else self._overlays) if name in self._overlays)

    def attribution(self, label: str) -> Volume:
        """A label's map, a view of the node's memory."""
        return Volume(array_of(self._overlays[label]), self.affine, label)

    def importance(self) -> Any:
        """The matrix."""
        return self.record.matrix

    def slices(self) -> Any:
        """How much each slice matters for each class of a classifier, or None."""
        return self.record.slices

    def segmentation(self) -> Volume:
        """The predicted labels on the model grid."""
        volume = self.labelMap()
        for _label in self.fillSteps(volume):
            pass
        return volume

    def labelMap(self) -> Volume:
        """An empty label map on the model grid."""
        return Volume(np.zeros(self.shape, np.uint8), self.affine, "segmentation")

    def fillSteps(self, volume: Volume) -> Iterator[str]:
        """Put the predicted labels into :meth:`labelMap`, one in each step."""
        names = segmentIds(self.record.segmentation)
        for label in self.labels[1:]:
            if label.name in names:
                volume.array[self._onGrid(self.record.segmentation, label.name)] = label.index
                yield label.name

    def fillExtraSteps(self, volume: Volume, first: int) -> Iterator[str]:
        """Put the further regions over what is in a label map, numbered from ``first``, one in each step."""
        names = [name for name in segmentIds(self.record.extra) if name != TARGET_MASK]
        for index, name in enumerate(names, start=first):
            volume.array[self._onGrid(self.record.extra, name)] = index
            yield name

    def extra_rois(self) -> dict[str, Volume]:
        """The further regions, by name, without the drawn target."""
        names = [name for name in segmentIds(self.record.extra) if name != TARGET_MASK]
        return {name: Volume(self._onGrid(self.record.extra, name).astype(np.uint8), self.affine, name) for name in names}

    def target_mask(self) -> Volume | None:
        """The drawn target, or None."""
        if TARGET_MASK not in segmentIds(self.record.extra):
            return None
        return Volume(self._onGrid(self.record.extra, TARGET_MASK).astype(np.uint8), self.affine, TARGET_MASK)

    def global_mask(self) -> Volume | None:
        """The global mask, or None."""
        if GLOBAL_MASK not in segmentIds(self.record.globalMask):
            return None
        return Volume(self._onGrid(self.record.globalMask, GLOBAL_MASK).astype(np.uint8), self.affine, GLOBAL_MASK)

    def _onGrid(self, segmentation: Any, name: str) -> np.ndarray:
        """A segment's mask on the model grid: placed where it was cut out, or resampled when it was drawn on another grid."""
        from Agg2ExpLib.io.grid import Grid
        from Agg2ExpLib.io.resample import resample

        part, affine = segmentMask(segmentation, name)
        x, y, z = self.shape
        shift = np.linalg.inv(self.affine) @ affine
        start = np.rint(shift[:3, 3]).astype(int)
        end = start + part.shape
        same = np.abs(shift[:3, :3] - np.eye(3)).max() < 1e-4 and np.abs(shift[:3, 3] - start).max() < 1e-2
        if same and (start >= 0).all() and (end <= self.shape).all():
            mask = np.zeros(self.shape, bool)
            mask[start[0] : end[0], start[1] : end[1], start[2] : end[2]] = part
            return mask
        return np.asarray(resample(Volume(part, affine), Grid((x, y, z), self.affine), "nearest", outside=0), bool)
