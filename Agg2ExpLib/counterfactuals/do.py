"""One counterfactual job from beginning to end: read → answer → results folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..inference.compute import choose_compute
from ..io.grid import Grid
from ..io.regions import read_all_regions, read_mask
from ..io.source_files import sha256_of
from ..models.model import Model, demo_autoencoder
from ..models.model_card import CLASSIFICATION, SEGMENTATION
from ..monitor import Monitor, Stage
from ..runs.kept import Kept
from ..runs.new_results import check_apart, new_results
from ..runs.privacy import private_names
from .answer import Models, Placed, Setting, answer
from .job import CounterfactualJob
from .outcome import Counterfactual

_READ_END = 0.03
_PICTURES = 0.97
# Bytes a voxel on the disk, before compression where there is any: of a CT, and of the differences of a direction.
_FRAME_BYTES, _DIRECTION_BYTES = 2, 8


def do_counterfactual(
    job: CounterfactualJob,
    monitor: Monitor,
    kept: Kept | None = None,
    draw: Callable[[Counterfactual, Path], object] | None = None,
) -> Path:
    """Do a job.

    Args:
        job: what to do.
        monitor: is told progress and notices; its ``stop`` ends the work.
        kept: models and CT of earlier jobs of this process.
        draw: draws pictures into the folder, where the job asks for some.

    Returns:
        The results folder.

    Raises:
        InputError: something given cannot be used, or nothing would change; nothing was written.
        OutOfMemoryError: one window does not fit into the device's memory.
        Cancelled: the monitor asked to stop; nothing was written.
    """
    began = time.monotonic()
    stage = Stage(monitor, "read", 0.0, _READ_END)
    stage.update(0.0, "model")
    check_apart(Path(job.ct), Path(job.output))
    compute = choose_compute(job.device, job.precision)
    kept = kept or Kept()
    with new_results(Path(job.output), job.overwrite, compute) as output:
        models = _models(job, kept)
        stage.update(0.4, "CT")
        ct = kept.ct(job.ct)
        setting = Setting(
            ct,
            sha256_of(Path(job.ct)),
            compute,
            began,
            job.overlap,
            job.blend,
            job.window_batch,
            job.patient_id,
            {"device": job.device, "precision": job.precision},
            private_names(job.ct, job.extra_rois, filter(None, [job.target_mask])),
        )
        stage.update(0.8, "model grid")

        def place(grid: Grid, taken: Sequence[str]) -> Placed:
            directions = len(job.question.directions)
            output.require(int(np.prod(grid.shape)) * directions * (_FRAME_BYTES * job.frames + _DIRECTION_BYTES))
            return _placed(job, grid, taken)

        found = answer(job.question, models, setting, place, monitor)
        found.write(output.temporary)
        if job.picture and draw is not None:
            monitor.progress("pictures", _PICTURES)
            draw(found, output.temporary)
        monitor.check()
    return output.final


def _models(job: CounterfactualJob, kept: Kept) -> Models:
    """The models that the job names.

    Raises:
        InputError: one cannot be used, or the target is of the other kind.
    """
    model = kept.model(job.weights, job.card, folds=job.folds, mirror=job.mirror)
    _check_kind(job, model)
    autoencoder = kept.autoencoder(job.autoencoder or str(demo_autoencoder()))
    models = Models(model, autoencoder, kept.segmenter(job.segmenter) if job.segmenter is not None else None)
    models.check(job.target)
    return models


def _check_kind(job: CounterfactualJob, model: Model) -> None:
    if model.task != CLASSIFICATION:
        model.require(SEGMENTATION, "A counterfactual")
    own, other = ("class", "classifier") if model.task == CLASSIFICATION else ("label", "segmentation network")
    if job.kind is not None and job.kind != own:
        raise InputError(f"{model.name} is a {other}: name what is to change with ⟨{own}⟩.")


def _placed(job: CounterfactualJob, grid: Grid, taken: Sequence[str]) -> Placed:
    mask: np.ndarray | None = None
    warnings: list[str] = []
    if job.target_mask is not None:
        mask, warnings = read_mask(Path(job.target_mask), grid)
    extra, told = read_all_regions(job.extra_rois, grid, taken)
    return Placed(extra, mask, [*warnings, *told])
