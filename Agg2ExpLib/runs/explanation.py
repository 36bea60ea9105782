"""One explanation from the case to the matrix, in memory: what job files, the command line and the Python API share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..attribution.keep import KEEP
from ..attribution.method import Estimate, Method
from ..attribution.methods import attribute
from ..attribution.stitched import Target
from ..errors import InputError
from ..inference.segmentation import Segmented
from ..inference.slice_memory import SliceMemory
from ..inference.window_memory import WindowMemory
from ..io.grid import Grid
from ..models.labels import Label, labels_of
from ..monitor import Monitor, Stage
from ..roi_importance.global_mask import region_mass
from ..roi_importance.kept_noise import KeptNoise
from ..roi_importance.matrix import ImportanceMatrix, Regions
from ..roi_importance.slices import SliceImportance, slice_importance
from .case import Case
from .classes import class_scores, slice_parts
from .estimate import estimate_run
from .mask import global_mask
from .mask_settings import MaskSettings
from .partition import Partition, nothing_drawn
from .record import RunRecord
from .rows import Rows
from .targets import class_targets, find_targets

# Where the stages lie on the scale of the whole run; the explanation takes nearly all the time.
READ_END, SEGMENT_END, EXPLAIN_END, IMPORTANCE_END = 0.03, 0.1, 0.97, 0.98


@dataclass(frozen=True)
class Question:
    """What is asked of a case.

    Attributes:
        method: prepared for the model and grid.
        labels: names to explain; none for all that are found.
        target: ``sum`` or ``mean`` of the label's logits.
        target_mask: boolean ``[x, y, z]`` explained in place of the labels' own voxels, or None.
        extra_rois: further regions, name and boolean mask ``[x, y, z]``; they may overlap.
        mask: of the supervoxels that matter most, or None.
        partition: for a classifier, the regions of the matrix; None for one region, the whole volume.
        keep: share of each label's weight whose windows are passed; 1 for all of them.
    """

    method: Method
    labels: tuple[str, ...] = ()
    target: str = "sum"
    target_mask: np.ndarray | None = None
    extra_rois: tuple[tuple[str, np.ndarray], ...] = ()
    mask: MaskSettings | None = None
    keep: float = KEEP
    partition: Partition | None = None


@dataclass
class Explanation:
    """What a run found, on the model grid; arrays are ``[x, y, z]``.

    Attributes:
        grid: the model grid.
        labels: of the model, in channel order; for a classifier those of the model that drew the regions.
        hu: the CT, int16.
        segmentation: predicted labels, uint8.
        maps: signed attribution of each explained label or class, float32.
        matrix: local RoI importance; None where nothing was explained.
        extra_rois: further regions, boolean masks by name.
        target_mask: the mask explained in place of the labels' own voxels.
        global_mask: the supervoxels that matter most, uint8, where they were asked for.
        noise: what is kept of each explained label's noise samples, for regions that are added later.
        slices: for a classifier, how much each slice matters for each explained class.
        run: content of ``run.json``.
    """

    grid: Grid
    labels: tuple[Label, ...]
    hu: np.ndarray
    segmentation: np.ndarray
    maps: dict[str, np.ndarray] = field(default_factory=dict)
    matrix: ImportanceMatrix | None = None
    extra_rois: dict[str, np.ndarray] = field(default_factory=dict)
    target_mask: np.ndarray | None = None
    global_mask: np.ndarray | None = None
    noise: Mapping[str, KeptNoise] = field(default_factory=dict)
    slices: SliceImportance | None = None
    run: dict[str, Any] = field(default_factory=dict)

    @property
    def explainable(self) -> tuple[Label, ...]:
        """What the maps can be of: the classes of a classifier, else the labels without the background."""
        return labels_of(self.run.get("classes", [])) or self.labels[1:]

    @property
    def patient(self) -> str:
        """Patient id."""
        return str(self.run["patient"])


class Watcher:
    """Is shown what a run has found so far; this one looks away."""

    def segmented(self, explanation: Explanation) -> None:
        """The segmentation is there."""

    def estimated(self, estimate: Estimate, samples: int) -> None:
        """The maps are there from a part of the samples."""


def explain_case(case: Case, question: Question | None, record: RunRecord, watcher: Watcher | None = None) -> Explanation:
    """Segment a case and, where something is asked, explain it; a classifier does not segment.

    Args:
        case: with its network at work.
        question: what to explain; None to segment only.
        record: gathers what ``run.json`` tells.
        watcher: is shown results on the way.

    Raises:
        InputError: nothing can be explained.
        OutOfMemoryError: one window does not fit into the device's memory.
        Cancelled: the case's monitor asked to stop.
    """
    watcher = watcher or Watcher()
    whole = np.clip(np.rint(case.hu), -32768, 32767).astype(np.int16)
    stage = Stage(case.monitor, "segment", READ_END, SEGMENT_END if question else EXPLAIN_END)
    memory = case.window_memory()
    case.monitor.expected(_expected_bytes(case, question, memory))
    if question is not None and case.classifies:
        partition = question.partition or nothing_drawn(case.grid)
        record.classify(class_scores(case), partition)
    else:
        partition = Partition(case.model.card.labels, case.segment(stage))
    drawn = partition.drawn
    found = Explanation(case.grid, partition.labels, whole, drawn.labels)
    if question:
        found.extra_rois = dict(question.extra_rois) | _whole_labels(partition, question.extra_rois)
        found.target_mask = question.target_mask
    watcher.segmented(found)
    record.finish_stage("segment")
    if question:
        with memory:
            _Run(case, question, found, drawn, record, watcher, memory).explain()
            if case.classifies:
                found.slices = slice_importance(case.grid, found.maps, slice_parts(case))
    record.window_memory = memory.record()
    found.run = record.content(case.compute, case.grid, found.labels, drawn.count(len(found.labels)), case.monitor.notices)
    case.monitor.check()
    return found


def _expected_bytes(case: Case, question: Question | None, memory: WindowMemory | SliceMemory) -> float:
    """Peak memory of the run, as far as it can be told before it."""
    card = case.model.card
    labels = 0 if question is None else len(question.labels) or len(card.explainable)
    method = question.method if question is not None else None
    needed = memory.needed(gradients=question is not None)
    if needed is not None and case.window_batch == "auto" and isinstance(memory, WindowMemory) and memory.in_pairs:
        needed *= 2
    device = case.compute.device.type
    return estimate_run(case.grid.shape, card, labels, method, case.plan.overlap, device, window_bytes=needed).memory_bytes


def whole_name(label: str) -> str:
    """The region that holds all voxels of a label of which others hide a part."""
    return f"{label}_whole"


def _whole_labels(partition: Partition, taken: Sequence[tuple[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Labels of which others hide a part, as regions of their own: ``NAME_whole``, beside the sum like every extra region."""
    drawn = partition.drawn
    if drawn.overlapping is None:
        return {}
    names = {name for name, _ in taken}
    found = {}
    for label in partition.labels[1:]:
        mask = drawn.mask(label.index)
        if whole_name(label.name) not in names and not np.array_equal(mask, drawn.labels == label.index):
            found[whole_name(label.name)] = mask
    return found


class _Run:
    """The steps of one explanation, which fill ``found``."""

    def __init__(
        self,
        case: Case,
        question: Question,
        found: Explanation,
        drawn: Segmented,
        record: RunRecord,
        watcher: Watcher,
        memory: WindowMemory | SliceMemory,
    ):
        self.case, self.question, self.found, self.record, self.watcher = case, question, found, record, watcher
        self.drawn, self.memory = drawn, memory
        self.monitor: Monitor = case.monitor

    def explain(self) -> None:
        """Maps, matrix and global mask."""
        card, question, found = self.case.model.card, self.question, self.found
        if self.case.classifies:
            targets = class_targets(question.labels, card, self.case.grid.shape)
        else:
            targets, self.record.absent = find_targets(self.drawn, question.labels, card, question.target_mask, self.monitor)
        names = [label.name for label in found.labels]
        rows = Rows(Regions(found.segmentation, names, tuple(found.extra_rois.items())))
        try:
            maps = self._attribute(targets, rows)
        except FloatingPointError as error:
            if self.case.compute.autocast is None:
                raise InputError(f"These weights cannot explain this CT: {error}.") from None
            self.monitor.notice(f"The gradients left the range of {self.case.compute.precision}: starting again in float32.")
            self.case.compute = replace(self.case.compute, autocast=None)
            rows.restart()
            maps = self._attribute(targets, rows)
        regions = self._supervoxels()
        masses = self._keep(maps, rows, regions)
        found.matrix, found.noise = rows.matrix(question.method), rows.noise
        if question.method.wanted_error is not None:
            self._tell_precision(question.method.wanted_error, rows, found.matrix)
        self.record.explained = tuple(found.maps)
        self.record.extra_rois = tuple(found.extra_rois)
        self.record.finish_stage("importance")
        if question.mask is not None and regions is not None:
            middle = (1 + IMPORTANCE_END) / 2
            stages = (Stage(self.monitor, "mask", IMPORTANCE_END, middle), Stage(self.monitor, "mask", middle, 1.0))
            found.global_mask, self.record.global_mask = global_mask(
                self.case, question.mask, found.segmentation, regions, masses, stages
            )
            self.record.finish_stage("mask")

    def _attribute(self, targets: list[Target], rows: Rows) -> dict[str, Any]:
        method, batch = self.question.method, self.case.batch()
        if method.cost() is not None:  # other methods pass the windows in ways of their own, which keep little
            self.memory.prepare()
            batch = self.case.batch(self.memory.save)
        engine = self.case.engine(targets, batch, keep=self.question.keep)
        self.record.left_out = engine.left_out if self.question.keep < 1 else {}

        def on_estimate(estimate: Estimate) -> dict[str, float] | None:
            rows.add_group(estimate, method)
            self.watcher.estimated(estimate, method.samples)
            return rows.needed(estimate, method.wanted_error) if method.wanted_error is not None else None

        stage = Stage(self.monitor, "explain", SEGMENT_END, EXPLAIN_END)
        scales = {target.name: 1 / int(target.mask.sum()) for target in targets} if self.question.target == "mean" else None
        maps = attribute(engine, self.case.image, method, stage, scales, on_estimate, self.found.segmentation, self.case.hu)
        self.record.batch = batch.current
        self.record.explained_windows, self.record.passes = len(engine.visits), engine.cost
        if method.wanted_error is not None:
            self.record.passes_done = engine.passes
        self.record.finish_stage("explain")
        return maps

    def _tell_precision(self, tolerance: float, rows: Rows, matrix: ImportanceMatrix) -> None:
        """Note how many samples each label took, and say where they did not suffice."""
        errors = {name: 100 * float(matrix.limit_error[index].max()) for index, name in enumerate(matrix.rows)}
        self.record.samples = {name: rows.samples[name] for name in matrix.rows}
        self.record.errors = errors
        over = [f"{name} ({error:.2g})" for name, error in errors.items() if not error <= tolerance]
        if over:
            self.monitor.notice(
                f"After {self.question.method.samples} samples the error is still above {tolerance:g} percentage points for "
                f"{', '.join(over)}: set ⟨samples⟩ higher or ⟨tolerance⟩ wider."
            )

    def _supervoxels(self) -> np.ndarray | None:
        """Every voxel's supervoxel for the global mask, where one is wanted."""
        if self.question.mask is None:
            return None
        return self.question.mask.supervoxels.divide(self.case.hu, self.found.segmentation, self.case.grid.spacing)

    def _keep(self, maps: dict[str, Any], rows: Rows, regions: np.ndarray | None) -> dict[str, np.ndarray]:
        """Take over the maps that are not zero everywhere, one at a time; attribution in every supervoxel of each."""
        stage = Stage(self.monitor, "importance", EXPLAIN_END, IMPORTANCE_END)
        masses: dict[str, np.ndarray] = {}
        count = len(maps)
        for number, name in enumerate(list(maps)):
            stage.update(number / count, name)
            attribution = maps.pop(name).numpy().astype(np.float32, copy=False)
            if rows.finish(name, attribution, self.question.method).total == 0:
                self.monitor.notice(f"The attribution of '{name}' is zero everywhere, so it has no importance.")
                continue
            self.found.maps[name] = attribution
            if regions is not None:
                masses[name] = region_mass(regions, attribution)
        if not self.found.maps:
            raise InputError(
                f"The attribution by {self.question.method.name} is zero everywhere for every label: these weights cannot be "
                "explained so; try another ⟨method⟩."
            )
        return masses
