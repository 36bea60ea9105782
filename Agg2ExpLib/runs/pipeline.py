"""One job from beginning to end: read → case → explanation → results folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..attribution.method import Method
from ..inference.compute import Compute, choose_compute
from ..inference.network import at_work
from ..io.regions import read_all_regions, read_mask
from ..io.source_files import sha256_of
from ..models.labels import Label
from ..models.model import Model
from ..monitor import Monitor, Stage
from ..system.files import OutputFolder
from .case import Case, make_case
from .explanation import READ_END, Question, explain_case
from .job import Job
from .kept import Kept
from .new_results import check_apart, new_results
from .partition import Partition, check_segmenter, draw_partition
from .privacy import private_names
from .record import RunRecord
from .results import check_region_files
from .suits import check_suits
from .targets import requested_labels
from .write import FolderWatcher, write_explanation


def run_job(job: Job, monitor: Monitor, kept: Kept | None = None) -> Path:
    """Do a job.

    Args:
        job: what to do.
        monitor: is told progress, notices and partial results; its ``stop`` ends the run.
        kept: model and CT of earlier jobs of this process.

    Returns:
        The results folder.

    Raises:
        InputError: something given cannot be used; nothing was written.
        OutOfMemoryError: one window does not fit into the device's memory.
        Cancelled: the monitor asked to stop; nothing was written.

    Examples:
        >>> job = agg2exp.Job(ct="chest.nii.gz", weights="swin_unetr.pt", output="segmented", task="segment")
        >>> folder = agg2exp.run_job(job, agg2exp.Monitor())
    """
    check_apart(Path(job.ct), Path(job.output))
    compute = choose_compute(job.device, job.precision)
    method = job.method.make() if job.task == "explain" else None
    with new_results(Path(job.output), job.overwrite, compute) as output:
        _do(job, compute, method, output, monitor, kept or Kept())
    return output.final


def _do(job: Job, compute: Compute, method: Method | None, output: OutputFolder, monitor: Monitor, kept: Kept) -> None:
    """Read everything, refuse what cannot work before anything long begins, run, and write."""
    began = time.monotonic()
    stage = Stage(monitor, "read", 0.0, READ_END)
    stage.update(0.0, "model")
    model, segmenter, requested = read_models(job, method, kept)
    stage.update(0.3, "CT")
    ct = kept.ct(job.ct)
    parameters = {name: getattr(job, name) for name in ("target", "overlap", "blend", "device", "precision")}
    record = RunRecord(model, ct.name, sha256_of(Path(job.ct)), began, job.patient_id, parameters)
    if job.patient_id is not None:
        record.private = private_names(job.ct, job.extra_rois, [*job.files_of_method(), *filter(None, [job.target_mask])])
    for warning in (*model.warnings, *(segmenter.warnings if segmenter is not None else ()), *ct.warnings):
        monitor.notice(warning)
    stage.update(0.6, "model grid")
    case = make_case(ct, model, compute, monitor, job.overlap, job.blend, job.window_batch)
    record.parameters |= case.windows
    partition = None
    if segmenter is not None:
        partition = draw_partition(ct, segmenter, case.grid, compute, monitor, Stage(monitor, "segment", 0.6 * READ_END, READ_END))
    del ct
    output.require(int(np.prod(case.grid.shape)) * (4 * (len(requested) if method else 0) + 4))
    question = None
    if method is not None:
        question = _question(job, method, case, partition, stage, monitor)
        record.ask(method, job.target_mask is not None)
        if job.mask is not None:
            record.parameters |= job.mask.to_json()
        record.parameters["keep"] = job.keep
    stage.update(0.95, "model")
    with at_work(model.network, compute):
        record.finish_stage("read")
        found = explain_case(case, question, record, FolderWatcher(output.temporary, case.grid, monitor))
    write_explanation(output.temporary, found)


def read_models(job: Job, method: Method | None, kept: Kept) -> tuple[Model, Model | None, Sequence[Label]]:
    """The model of a job, the one that draws a classifier's regions where there is one, and the labels that are asked for.

    Raises:
        InputError: one cannot be read, cannot do what is asked, or has no such label.
    """
    model = kept.model(job.weights, job.card, folds=job.folds, mirror=job.mirror)
    check_suits(model, method, job.target_mask is not None, job.mask is not None, job.segmenter is not None)
    segmenter = kept.segmenter(job.segmenter) if job.segmenter is not None else None
    if segmenter is not None:
        check_segmenter(segmenter, model.labels)
    return model, segmenter, requested_labels(job.labels, model.card)


def _question(job: Job, method: Method, case: Case, partition: Partition | None, stage: Stage, monitor: Monitor) -> Question:
    """What the job asks, with everything that it names read."""
    stage.update(0.8, "regions")
    mask: np.ndarray | None = None
    warnings: list[str] = []
    if job.target_mask is not None:
        mask, warnings = read_mask(Path(job.target_mask), case.grid)
    own = [label.name for label in partition.labels] if partition is not None else []
    extra, told = read_all_regions(job.extra_rois, case.grid, (*case.model.labels, *own))
    check_region_files(name for name, _ in extra)
    for warning in (*warnings, *told):
        monitor.notice(warning)
    stage.update(0.9, "method")
    method.prepare(case.model, case.grid, monitor)
    if job.unused:
        monitor.notice(f"The method {method.name} has no {' and no '.join(job.unused)}: what was set for it was not used.")
    if case.classifies and partition is None and not extra:
        monitor.notice(
            "No regions were given, so the importance matrix has a single column: name a segmentation model with ⟨segmenter⟩ or "
            "regions with ⟨extra_rois⟩."
        )
    return Question(method, job.labels, job.target, mask, tuple(extra), job.mask, job.keep, partition)
