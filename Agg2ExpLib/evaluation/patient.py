"""One patient of an evaluation: read, segment, remove voxels, and measure one method after another."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..attribution.method import Method
from ..attribution.stitched import StitchedGradient, Target
from ..errors import Cancelled, InputError, OutOfMemoryError, worded
from ..inference.compute import Compute, is_out_of_memory
from ..io.read import read_ct
from ..models.labels import Label
from ..models.model import Model
from ..monitor import Stage
from ..runs.case import make_case
from ..runs.partition import nothing_drawn
from ..runs.targets import class_targets
from ..system.resumable_folder import FolderError
from .drops import output_drops
from .measure import Subject, measure, measuring_device, warm_up
from .method_specs import MethodSpec
from .progress import Part
from .score import Row
from .settings import Settings
from .store import Store
from .subsets import random_subset

if TYPE_CHECKING:
    import torch

_READ_END = 0.02


@dataclass(frozen=True)
class Setup:
    """What all patients share.

    Attributes:
        settings: of the evaluation.
        model: with its network on the compute's device.
        compute: device and precision.
        labels: asked for, in channel order.
        store: of finished pieces.
    """

    settings: Settings
    model: Model
    compute: Compute
    labels: tuple[Label, ...]
    store: Store


@dataclass(frozen=True)
class Failure:
    """Something that could not be evaluated.

    Attributes:
        patient: id.
        method: as written; empty where no method could be.
        reason: one sentence.
        bad_input: whether the user can change that.
    """

    patient: str
    method: str
    reason: str
    bad_input: bool


@dataclass
class Outcome:
    """What came of one patient.

    Attributes:
        rows: per method, as written.
        failures: methods that failed.
    """

    rows: dict[str, list[Row]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)


def failure(patient: str, method: str, error: Exception, compute: Compute) -> Failure:
    """A failure in one sentence; what must end the whole run is raised again.

    Raises:
        Cancelled: the user asked to stop.
        FolderError: the folder cannot be written.
    """
    if isinstance(error, Cancelled | FolderError):
        raise error
    if compute.device.type == "cuda":
        import torch

        torch.cuda.empty_cache()
    if isinstance(error, InputError):
        return Failure(patient, method, str(error), True)
    if isinstance(error, OutOfMemoryError):
        return Failure(patient, method, worded(f"{error.template} {error.hint}"), False)
    if is_out_of_memory(error):
        words = f"The volumes of this scan do not fit into the memory of the {compute.device_name}: explain fewer ⟨labels⟩."
        return Failure(patient, method, words, False)
    return Failure(patient, method, f"{type(error).__name__}: {error}", False)


def evaluate_patient(
    patient: str,
    ct: Path,
    pending: list[tuple[MethodSpec, dict[str, Any]]],
    drops_key: dict[str, Any],
    setup: Setup,
    stage: Stage,
) -> Outcome:
    """Measure the methods that are not finished; each is kept in the store as soon as it is.

    Args:
        patient: id.
        ct: file or folder.
        pending: methods with the keys of their pieces.
        drops_key: of the outputs without voxels.
        setup: what all patients share.
        stage: of this patient.

    Returns:
        Rows and failures of these methods.

    Raises:
        InputError: the patient cannot be evaluated.
    """
    settings, compute = setup.settings, setup.compute
    stage.update(0.0, "reading")
    ct_volume = read_ct(ct)
    for warning in ct_volume.warnings:
        stage.monitor.notice(f"{patient}: {warning}")
    case = make_case(ct_volume, setup.model, compute, stage.monitor, settings.overlap, settings.blend, settings.window_batch)
    del ct_volume
    subsets = _subsets(case.grid.shape, settings)

    outcome = Outcome()
    methods: list[tuple[MethodSpec, dict[str, Any], Method]] = []
    for spec, key in pending:
        try:
            method = spec.make()
            method.prepare(setup.model, case.grid, stage.monitor)
            methods.append((spec, key, method))
        except Exception as error:  # one method must not end the others
            outcome.failures.append(failure(patient, spec.text, error, compute))
    if not methods:
        return outcome
    segmenting = Part(stage, _READ_END, _READ_END + _segmenting_share(settings, methods), "segmenting")
    drawn, channel = nothing_drawn(case.grid).drawn if case.classifies else case.segment(segmenting), case.model.card.channel
    if case.classifies:
        targets = tuple(class_targets([label.name for label in setup.labels], case.model.card, case.grid.shape))
    else:
        found = ((label, drawn.mask(label.index)) for label in setup.labels)
        targets = tuple(Target(label.name, channel(label), mask) for label, mask in found if mask.any())
    engine = case.engine(targets)
    work = _Shares(engine, settings, [method for _, _, method in methods], bool(subsets))
    drops: dict[str, np.ndarray] = {}
    if subsets and targets:
        part = Part(stage, segmenting.end, segmenting.end + (1 - segmenting.end) * work.drops)
        drops = output_drops(engine, case.image, subsets, setup.store, drops_key, part)
    del engine
    subject = Subject(
        case=case,
        segmentation=drawn.labels,
        labels=tuple(label.name for label in setup.labels),
        targets=targets,
        subsets=[_tensor(subset).to(measuring_device(compute)) for subset in subsets] if targets else [],
        drops=drops,
    )
    if targets:
        warm_up(subject, stage)
    begin = work.drops
    for (spec, key, method), share in zip(methods, work.methods, strict=True):
        start, end = (segmenting.end + (1 - segmenting.end) * place for place in (begin, begin + share))
        begin += share
        try:
            rows = measure(subject, patient, spec.text, method, settings, Part(stage, start, end, spec.text))
            setup.store.write_rows(key, rows, method.record())
            outcome.rows[spec.text] = rows
        except Exception as error:
            outcome.failures.append(failure(patient, spec.text, error, compute))
    return outcome


def _subsets(shape: tuple[int, ...], settings: Settings) -> list[np.ndarray]:
    if "faithfulness" not in settings.metrics:
        return []
    return [random_subset(shape, settings.subset_voxels, settings.seed, run) for run in range(settings.runs)]


def _tensor(array: np.ndarray) -> torch.Tensor:
    import torch

    return torch.from_numpy(array)


def _segmenting_share(settings: Settings, methods: list[tuple[MethodSpec, dict[str, Any], Method]]) -> float:
    """The segmentation's part of a patient: one pass a window, beside at least so many of the rest."""
    others = settings.runs * ("faithfulness" in settings.metrics) + sum(2 * method.samples for _, _, method in methods)
    return 1 / (2 + others)


class _Shares:
    """Parts of a patient's time, by passes through the network; only for the progress."""

    def __init__(self, engine: StitchedGradient, settings: Settings, methods: list[Method], faithfulness: bool):
        copies = 1 + (settings.copies if "sensitivity" in settings.metrics else 0)
        windows = len(engine.visits)
        passes = [settings.runs * windows * faithfulness]
        for method in methods:
            # What is not reckoned in copies does without most of the backward passes.
            one = windows if method.cost() is None else engine.cost
            passes.append(copies * method.samples * one)
        total = sum(passes) or 1
        self.drops = passes[0] / total
        self.methods = [count / total for count in passes[1:]]
