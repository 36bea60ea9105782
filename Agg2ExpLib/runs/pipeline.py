"""One job from beginning to end: read → model grid → segment → attribute → importance → results folder."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..attribution.baselines import make_baseline
from ..attribution.kernel_shap import KernelShap
from ..attribution.method import Estimate, Method
from ..attribution.methods import all_parameters, attribute, make_method
from ..attribution.stitched import StitchedGradient, Target
from ..errors import InputError, OutOfMemoryError
from ..importance.global_mask import check_mask, choose_mask, mask_record, region_mass
from ..importance.matrix import ImportanceMatrix, Regions, RegionSums, batch_means_error, importance_matrix
from ..importance.tables import write_tidy, write_wide
from ..inference.compute import BatchSize, Compute, choose_compute, is_out_of_memory
from ..inference.segmentation import segment
from ..inference.sliding_window import WindowPlan
from ..io.ct_values import scale_intensity
from ..io.grid import Grid
from ..io.read import read_ct
from ..io.regions import read_all_regions, read_mask
from ..io.source_files import sha256_of
from ..io.write import write_volume
from ..models.labels import Label, select_labels
from ..models.model import Model, load_model
from ..models.model_input import on_model_grid
from ..monitor import Monitor, Stage
from ..system.files import OutputFolder
from .job import Job
from .record import RunRecord
from .results import (
    ATTRIBUTIONS,
    CT_FILE,
    EXTRA_ROIS,
    GLOBAL_MASK_FILE,
    SEGMENTATION_FILE,
    TARGET_MASK_FILE,
    TIDY_FILE,
    WIDE_FILE,
    attribution_path,
    check_region_files,
    extra_roi_path,
)

if TYPE_CHECKING:
    import torch

# Where the stages lie on the scale of the whole run; the explanation takes nearly all the time.
_READ_END, _SEGMENT_END, _EXPLAIN_END, _IMPORTANCE_END = 0.03, 0.1, 0.97, 0.98


@dataclass
class _Case:
    """What one run works on, on the model grid."""

    job: Job
    model: Model
    compute: Compute
    method: Method
    grid: Grid
    hu: np.ndarray
    image: torch.Tensor
    plan: WindowPlan
    requested: tuple[Label, ...]
    target_mask: np.ndarray | None
    extra_rois: list[tuple[str, np.ndarray]]
    divider: KernelShap | None
    record: RunRecord


@dataclass
class _Rows:
    """The matrix in the making: sums of the final maps, and of each group of samples for the error."""

    regions: Regions
    groups: dict[str, list[np.ndarray]] = field(default_factory=dict)
    group_samples: int = 0
    final: dict[str, RegionSums] = field(default_factory=dict)

    def add_group(self, estimate: Estimate) -> None:
        self.group_samples = self.group_samples or estimate.group_samples
        for name in estimate.names:
            sums = self.regions.sums(estimate.group_mean(name))
            if not np.isfinite(sums.total):
                raise FloatingPointError(f"the gradient of '{name}' is not finite")
            # A smaller last group has a row of its own kind, so it is left out of the spread.
            if estimate.group_samples == self.group_samples:
                self.groups.setdefault(name, []).append(sums.mass)

    def matrix(self, method: Method) -> ImportanceMatrix:
        count = len(self.regions.columns)
        if method.spread_is_error:
            errors = {name: batch_means_error(self.groups[name], self.group_samples, method.samples) for name in self.final}
        else:
            errors = {name: np.full(count, np.nan if method.random else 0.0) for name in self.final}
        return importance_matrix(self.regions, self.final, errors)


def run_job(job: Job, monitor: Monitor) -> Path:
    """Do a job.

    Args:
        job: what to do.
        monitor: is told progress, notices and partial results; its ``stop`` ends the run.

    Returns:
        The results folder.

    Raises:
        InputError: something given cannot be used; nothing was written.
        OutOfMemoryError: one window does not fit into the device's memory.
        Cancelled: the monitor asked to stop; nothing was written.
    """
    compute = choose_compute(job.device, job.precision)
    method = make_method(job.method, **{name: getattr(job, name) for name in all_parameters()})
    output = OutputFolder(Path(job.output), job.overwrite)
    try:
        case = _prepare(job, compute, method, output, monitor)
        segmentation = _segment(case, output, monitor)
        if job.task == "explain":
            _explain(case, segmentation, output, monitor)
        case.record.write(output.temporary, case.compute, segmentation, monitor.notices)
        monitor.check()
        return output.publish()
    except OSError as error:
        raise _file_problem(error, output) from error
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, OutOfMemoryError) or not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(
            f"The volumes of this scan do not fit into the memory of the {compute.device_name}.",
            "Explain fewer labels at a time, close other programs, or run on the CPU with ⟨device⟩ cpu.",
        ) from error
    finally:
        output.discard()


def _file_problem(error: OSError, output: OutputFolder) -> InputError:
    """What the operating system refused, in one sentence: reading something given, or writing the results."""
    reason = error.strerror or str(error)
    if isinstance(error.filename, str) and not error.filename.startswith((str(output.temporary), str(output.final))):
        return InputError(f"{error.filename} cannot be read ({reason}): check the path and its permissions.")
    return InputError(f"Cannot write the results to {output.final.parent} ({reason}): make room or choose another ⟨output⟩.")


def _prepare(job: Job, compute: Compute, method: Method, output: OutputFolder, monitor: Monitor) -> _Case:
    """Read everything, and refuse what cannot work before anything long begins."""
    import torch

    began = time.monotonic()
    stage = Stage(monitor, "read", 0.0, _READ_END)
    stage.update(0.0, "model")
    model = load_model(Path(job.weights), Path(job.card) if job.card else None)
    card = model.card
    requested = select_labels(job.labels, card.labels) if job.labels else card.labels[1:]
    stage.update(0.3, "CT")
    ct = read_ct(Path(job.ct))
    checksum = sha256_of(Path(job.ct))
    record = RunRecord(job, model, method, ct.name, checksum, began)
    for warning in (*model.warnings, *ct.warnings):
        monitor.notice(warning)

    stage.update(0.6, "model grid")
    grid, hu = on_model_grid(ct, card)
    del ct
    room = int(np.prod(grid.shape)) * (4 * (len(requested) if job.task == "explain" else 0) + 4)
    output.require(room)
    image = torch.from_numpy(scale_intensity(hu, card.hu_window, card.intensity_range))
    hu = np.clip(np.rint(hu), -32768, 32767).astype(np.int16)

    target_mask: np.ndarray | None = None
    extra_rois: list[tuple[str, np.ndarray]] = []
    divider: KernelShap | None = None
    if job.task == "explain":
        stage.update(0.8, "regions")
        warnings: list[str] = []
        if job.target_mask is not None:
            target_mask, warnings = read_mask(Path(job.target_mask), grid)
        extra_rois, told = read_all_regions(job.extra_rois, grid, [label.name for label in card.labels])
        check_region_files(name for name, _ in extra_rois)
        for warning in (*warnings, *told):
            monitor.notice(warning)
        stage.update(0.9, "method")
        method.prepare(model, grid, monitor)
        divider = _divider(job, method)
        if divider is not None and divider is not method:
            divider.prepare(model, grid, monitor)
        _tell_unused(job, [method, divider], monitor)
    stage.update(0.95, "model")
    model.network.to(compute.device, compute.dtype)
    plan = WindowPlan(grid.shape, card.roi_size, job.overlap, job.blend)
    record.finish_stage("read")
    return _Case(job, model, compute, method, grid, hu, image, plan, requested, target_mask, extra_rois, divider, record)


def _divider(job: Job, method: Method) -> KernelShap | None:
    """What cuts the volume into supervoxels for the global mask, where one is wanted; any method's maps can be summed in them."""
    if job.mask_coverage is None and job.mask_regions is None:
        return None
    if isinstance(method, KernelShap):
        return method
    return KernelShap(job.supervoxels, job.regions, job.compactness, baseline=job.baseline, blur=job.blur, seed=job.seed)


def _tell_unused(job: Job, used: list[Method | None], monitor: Monitor) -> None:
    """Say which parameters were set although what is used does not have them."""
    method = used[0]
    assert method is not None
    own = {entry.name for each in used if each is not None for entry in each.parameters()}
    unused = [
        name for name, entry in all_parameters().items() if name not in own and getattr(job, name) not in (entry.default, None)
    ]
    if unused:
        monitor.notice(f"The method {method.name} has no {' and no '.join(unused)}: what was set for it was not used.")


def _segment(case: _Case, output: OutputFolder, monitor: Monitor) -> np.ndarray:
    stage = Stage(monitor, "segment", _READ_END, _SEGMENT_END if case.job.task == "explain" else _EXPLAIN_END)
    batch = BatchSize(case.compute, monitor, case.job.window_batch)
    low = case.model.card.intensity_range[0]
    labels = segment(case.model.network, case.image, case.plan, case.compute, batch, stage, low)
    write_volume(output.temporary / CT_FILE, case.hu, case.grid.affine, compress=True)
    write_volume(output.temporary / SEGMENTATION_FILE, labels, case.grid.affine, compress=True)
    if case.extra_rois:
        (output.temporary / EXTRA_ROIS).mkdir()
    for name, mask in case.extra_rois:
        write_volume(extra_roi_path(output.temporary, name), mask.astype(np.uint8), case.grid.affine, compress=True)
    if case.target_mask is not None:
        mask = case.target_mask.astype(np.uint8)
        write_volume(output.temporary / TARGET_MASK_FILE, mask, case.grid.affine, compress=True)
    monitor.partial("segmentation", output.temporary / SEGMENTATION_FILE)
    case.record.finish_stage("segment")
    return labels


def _targets(case: _Case, segmentation: np.ndarray, monitor: Monitor) -> list[Target]:
    """The labels to explain with their fixed voxels ``ŷ_c``; labels that the segmentation lacks are said, not invented."""
    if case.target_mask is not None:
        return [Target(label.name, label.index, case.target_mask) for label in _labels_of_mask(case, segmentation, monitor)]
    counts = np.bincount(segmentation.ravel(), minlength=len(case.model.card.labels))
    present = [label for label in case.requested if counts[label.index]]
    case.record.absent = tuple(label.name for label in case.requested if not counts[label.index])
    if not present:
        found = ", ".join(label.name for label in case.model.card.labels[1:] if counts[label.index]) or "nothing"
        raise InputError(
            f"The model found none of the requested labels in this CT ({', '.join(case.record.absent)}), so there is nothing to "
            f"explain; it found {found}."
        )
    if case.record.absent and case.job.labels:
        monitor.notice(f"Not found in this CT and so not explained: {', '.join(case.record.absent)}.")
    return [Target(label.name, label.index, segmentation == label.index) for label in present]


def _labels_of_mask(case: _Case, segmentation: np.ndarray, monitor: Monitor) -> tuple[Label, ...]:
    """The labels whose logits are explained over a drawn mask: those asked for, else the one predicted most in it."""
    if case.job.labels:
        return case.requested
    counts = np.bincount(segmentation[case.target_mask], minlength=len(case.model.card.labels))
    counts[0] = 0
    if not counts.any():
        raise InputError("The model sees only background in the target mask: name the label to explain with ⟨labels⟩.")
    label = case.model.card.labels[int(counts.argmax())]
    monitor.notice(f"Explaining '{label.name}', the label that the model predicts most in the target mask.")
    return (label,)


def _explain(case: _Case, segmentation: np.ndarray, output: OutputFolder, monitor: Monitor) -> None:
    targets = _targets(case, segmentation, monitor)
    names = [label.name for label in case.model.card.labels]
    (output.temporary / ATTRIBUTIONS).mkdir()
    rows = _Rows(Regions(segmentation, names, case.extra_rois))
    try:
        maps = _attribute(case, targets, segmentation, rows, output, monitor)
    except FloatingPointError as error:
        if case.compute.autocast is None:
            raise InputError(f"These weights cannot explain this CT: {error}.") from None
        monitor.notice(f"The gradients left the range of {case.compute.precision}: starting again in float32.")
        case.compute = replace(case.compute, autocast=None)
        rows.groups.clear()
        maps = _attribute(case, targets, segmentation, rows, output, monitor)

    stage = Stage(monitor, "importance", _EXPLAIN_END, _IMPORTANCE_END)
    regions = case.divider.divide(case.image, segmentation, Monitor()) if case.divider else None
    masses: dict[str, np.ndarray] = {}
    explained = []
    for number, name in enumerate(list(maps)):
        stage.update(number / len(targets), name)
        attribution = maps.pop(name).numpy().astype(np.float32, copy=False)
        sums = rows.regions.sums(attribution)
        if sums.total == 0:
            monitor.notice(f"The attribution of '{name}' is zero everywhere, so it has no importance.")
            attribution_path(output.temporary, name).unlink(missing_ok=True)
            continue
        write_volume(attribution_path(output.temporary, name), attribution, case.grid.affine, compress=False)
        rows.final[name] = sums
        explained.append(name)
        if regions is not None:
            masses[name] = region_mass(regions, attribution)
    if not explained:
        raise InputError(
            f"The attribution by {case.method.name} is zero everywhere for every label: these weights cannot be explained so; try "
            "another ⟨method⟩."
        )
    case.record.explained = tuple(explained)
    case.record.extra_rois = tuple(name for name, _ in case.extra_rois)
    matrix = rows.matrix(case.method)
    write_tidy(output.temporary / TIDY_FILE, matrix, case.record.patient)
    write_wide(output.temporary / WIDE_FILE, matrix, case.record.patient)
    case.record.finish_stage("importance")
    if regions is not None:
        _global_mask(case, segmentation, regions, masses, output, monitor)
        case.record.finish_stage("mask")


def _global_mask(
    case: _Case,
    segmentation: np.ndarray,
    regions: np.ndarray,
    masses: dict[str, np.ndarray],
    output: OutputFolder,
    monitor: Monitor,
) -> None:
    """Write the global mask and note what the model draws with and without it."""
    import torch

    assert case.divider is not None
    found = choose_mask(regions, masses, case.job.mask_coverage, case.job.mask_regions)
    low = case.model.card.intensity_range[0]
    start = make_baseline(case.divider.baseline, case.image, low, case.divider.blur, case.divider.seed)
    middle = (1 + _IMPORTANCE_END) / 2
    stages = [Stage(monitor, "mask", _IMPORTANCE_END, middle), Stage(monitor, "mask", middle, 1.0)]

    def segment_with(kept: np.ndarray) -> np.ndarray:
        image = torch.where(torch.from_numpy(kept), case.image, start)
        batch = BatchSize(case.compute, monitor, case.job.window_batch)
        return segment(case.model.network, image, case.plan, case.compute, batch, stages.pop(0), low)

    indices = {label.name: label.index for label in case.model.card.labels if label.name in masses}
    dice = check_mask(found, indices, segmentation, segment_with)
    write_volume(output.temporary / GLOBAL_MASK_FILE, found.mask.astype(np.uint8), case.grid.affine, compress=True)
    case.record.global_mask = mask_record(found, case.divider.supervoxels, dice)


def _attribute(
    case: _Case, targets: list[Target], segmentation: np.ndarray, rows: _Rows, output: OutputFolder, monitor: Monitor
) -> dict[str, torch.Tensor]:
    batch = BatchSize(case.compute, monitor, case.job.window_batch)
    low = case.model.card.intensity_range[0]
    engine = StitchedGradient(case.model.network, case.plan, targets, case.compute, batch, low)

    def on_estimate(estimate: Estimate) -> None:
        rows.add_group(estimate)
        if monitor.wants_partial and estimate.samples < case.method.samples:
            for name in estimate.names:
                path = attribution_path(output.temporary, name)
                # A viewer may hold the last one open, which Windows does not let us replace; the next may succeed.
                with contextlib.suppress(InputError):
                    write_volume(path, estimate.mean(name).astype(np.float32, copy=False), case.grid.affine, compress=False)
                monitor.partial("attribution", path, label=name, samples=estimate.samples, of=case.method.samples)

    stage = Stage(monitor, "explain", _SEGMENT_END, _EXPLAIN_END)
    scales = {target.name: 1 / int(target.mask.sum()) for target in targets} if case.job.target == "mean" else None
    maps = attribute(engine, case.image, case.method, stage, scales, on_estimate, segmentation)
    case.record.batch = batch.current
    case.record.explained_windows, case.record.passes = len(engine.visits), engine.cost
    case.record.finish_stage("explain")
    return maps
