"""Explanations as files: the results folder, whole or step by step."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np

from ..attribution.method import Estimate
from ..errors import InputError
from ..io.grid import Grid
from ..io.write import write_volume
from ..monitor import Monitor
from ..roi_importance.slices import write_slices
from ..roi_importance.tables import write_tidy, write_wide
from ..system.files import write_json
from .explanation import Explanation, Watcher
from .results import (
    ATTRIBUTIONS,
    CT_FILE,
    EXTRA_ROIS,
    GLOBAL_MASK_FILE,
    NOISE,
    RUN_FILE,
    SEGMENTATION_FILE,
    SLICES_FILE,
    TARGET_MASK_FILE,
    TIDY_FILE,
    WIDE_FILE,
    attribution_path,
    check_region_files,
    extra_roi_path,
    noise_path,
)


def write_segmentation(folder: Path, found: Explanation) -> None:
    """Write the CT, the segmentation and the masks that were given.

    Raises:
        InputError: two extra regions would share a file, or one cannot be written.
    """
    affine = found.grid.affine
    check_region_files(found.extra_rois)
    write_volume(folder / CT_FILE, found.hu, affine, compress=True)
    write_volume(folder / SEGMENTATION_FILE, found.segmentation, affine, compress=True)
    if found.extra_rois:
        (folder / EXTRA_ROIS).mkdir()
    for name, mask in found.extra_rois.items():
        write_volume(extra_roi_path(folder, name), mask.astype(np.uint8), affine, compress=True)
    if found.target_mask is not None:
        write_volume(folder / TARGET_MASK_FILE, found.target_mask.astype(np.uint8), affine, compress=True)


def write_explanation(folder: Path, found: Explanation) -> None:
    """Write maps, matrix, global mask and ``run.json``; preliminary maps of labels that have none in the end are removed."""
    affine = found.grid.affine
    if found.matrix is not None:
        (folder / ATTRIBUTIONS).mkdir(exist_ok=True)
        for file in (folder / ATTRIBUTIONS).iterdir():
            if file.name not in {attribution_path(folder, name).name for name in found.maps}:
                file.unlink()
        for name, attribution in found.maps.items():
            write_volume(attribution_path(folder, name), attribution, affine, compress=False)
        if found.noise:
            (folder / NOISE).mkdir()
        for name, noise in found.noise.items():
            noise.save(noise_path(folder, name))
        write_tidy(folder / TIDY_FILE, found.matrix, found.patient)
        write_wide(folder / WIDE_FILE, found.matrix, found.patient)
    if found.slices is not None:
        write_slices(folder / SLICES_FILE, found.slices, found.patient)
    if found.global_mask is not None:
        write_volume(folder / GLOBAL_MASK_FILE, found.global_mask, affine, compress=True)
    write_json(folder / RUN_FILE, found.run)


class FolderWatcher(Watcher):
    """Writes what a run has found so far into the folder, and tells a monitor that wants it.

    Args:
        folder: where the results grow.
        grid: the model grid.
        monitor: of the run.
    """

    def __init__(self, folder: Path, grid: Grid, monitor: Monitor):
        self._folder, self._grid, self._monitor = folder, grid, monitor

    def segmented(self, explanation: Explanation) -> None:
        """The segmentation is written at once, so that it can be shown."""
        write_segmentation(self._folder, explanation)
        self._monitor.partial("segmentation", self._folder / SEGMENTATION_FILE)

    def estimated(self, estimate: Estimate, samples: int) -> None:
        """Preliminary maps, where somebody wants them."""
        if not self._monitor.wants_partial or estimate.samples >= samples:
            return
        (self._folder / ATTRIBUTIONS).mkdir(exist_ok=True)
        for name in estimate.names:
            path = attribution_path(self._folder, name)
            # A viewer may hold the last one open, which Windows does not let us replace; the next may succeed.
            with contextlib.suppress(InputError):
                write_volume(path, estimate.mean(name).astype(np.float32, copy=False), self._grid.affine, compress=False)
            self._monitor.partial("attribution", path, label=name, samples=estimate.samples, of=samples)
