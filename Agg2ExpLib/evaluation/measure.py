"""All metrics of one method on one patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np

from ..attribution.methods import attribute
from ..attribution.stitched import StitchedGradient, Target
from ..errors import InputError
from ..inference.compute import BatchSize, Compute
from ..inference.sliding_window import WindowPlan
from ..monitor import Stage
from ..runs.case import Case
from . import complexity as complexities
from . import faithfulness as faithfulnesses
from . import sensitivity as sensitivities
from .efficiency import Meter
from .progress import Part
from .score import ABSENT, Row, Score
from .settings import Settings

if TYPE_CHECKING:
    import torch

    from ..attribution.method import Method

# Methods load these when they first need them.
_LIBRARIES = ("captum.attr", "sklearn.linear_model", "scipy.ndimage")
SCALE = "scale_under_noise"
UNITS = {
    "faithfulness": faithfulnesses.UNIT,
    "sensitivity": sensitivities.UNIT,
    SCALE: sensitivities.SCALE_UNIT,
    "complexity": complexities.UNIT,
}


@dataclass(frozen=True)
class Subject:
    """One patient with everything that the methods share.

    Attributes:
        case: the CT as the model sees it, its network at work.
        segmentation: predicted labels, uint8 ``[x, y, z]``.
        labels: names asked for, in the order of the model.
        targets: those of them that the segmentation has, with their fixed voxels ``ŷ_c``.
        subsets: of the faithfulness, flat C-order indices on the device where maps are measured.
        drops: per target what removing each subset takes from the output.
    """

    case: Case
    segmentation: np.ndarray
    labels: tuple[str, ...]
    targets: tuple[Target, ...]
    subsets: Sequence[torch.Tensor]
    drops: dict[str, np.ndarray]

    @property
    def compute(self) -> Compute:
        """Device and precision."""
        return self.case.compute

    @property
    def image(self) -> torch.Tensor:
        """Model-grid image ``[x, y, z]``."""
        return self.case.image


def measuring_device(compute: Compute) -> torch.device:
    """Where maps are measured: on the compute's device, but on the CPU for Apple's GPUs, which have no float64."""
    import torch

    return torch.device("cpu") if compute.device.type == "mps" else compute.device


def metric_names(settings: Settings) -> list[str]:
    """The metrics of each label, in the order of the tables."""
    return [name for name in UNITS if ("sensitivity" if name == SCALE else name) in settings.metrics]


def warm_up(subject: Subject, stage: Stage) -> None:
    """One pass on one window, and the libraries loaded: what a process does only once is no part of a method."""
    for name in _LIBRARIES:
        import_module(name)
    case = subject.case
    roi_size = case.plan.roi_size
    target = Target("", subject.targets[0].channel, np.ones(roi_size, dtype=bool))
    batch = BatchSize(case.compute, stage.monitor, 1)
    engine = replace(case, plan=WindowPlan(roi_size, roi_size)).engine([target], batch)
    image = case.plan.pad(case.image, case.pad_value)[case.plan.windows[0]]
    engine.add([image], engine.new_buffers(), Part(stage, 0, 0), 0, 1)


def measure(subject: Subject, patient: str, title: str, method: Method, settings: Settings, stage: Stage) -> list[Row]:
    """Every number of one method and patient.

    Time and memory are those of one call that explains all labels of the clean image, without what comes before it (masks of the
    targets, size of the batch, reading scans to compare with), and without the noisy copies of the sensitivity.

    Args:
        subject: the patient.
        patient: id for the rows.
        title: of the method, for the rows.
        method: prepared.
        settings: of the evaluation.
        stage: is told the progress.

    Raises:
        InputError: the method does not suit the patient, or its maps are not finite.
        OutOfMemoryError: a single window does not fit into the device's memory.
    """
    scores: dict[str, dict[str, Score]] = {}
    shared: list[Row] = []
    if subject.targets:
        batch = BatchSize(subject.compute, stage.monitor, settings.window_batch)
        engine = subject.case.engine(subject.targets, batch)
        image = subject.image.to(subject.compute.device, subject.compute.dtype)
        engine.choose_batch(subject.case.plan.pad(image, subject.case.pad_value))
        del image
        parts = 1 + (settings.copies if "sensitivity" in settings.metrics else 0)
        with Meter(subject.compute) as meter:
            maps = attribute(engine, subject.image, method, Part(stage, 0, 1 / parts), segmentation=subject.segmentation)
        try:
            scores = _score_maps(subject, engine, method, maps, settings, stage, parts)
        except _NotFiniteError as error:
            raise InputError(
                f"The map of '{error}' is not finite in {subject.compute.precision}: use ⟨precision⟩ float32."
            ) from None
        shared = [
            Row(patient, "", title, "seconds_per_label", meter.seconds / len(subject.targets), "s"),
            Row(patient, "", title, "seconds", meter.seconds, "s", f"{len(subject.targets)} labels in one run"),
            Row(patient, "", title, "peak_memory", meter.peak_bytes, "bytes", f"{meter.memory_note}; batch of {batch.current}"),
        ]
    names = metric_names(settings)
    absent = dict.fromkeys(names, Score(None, ABSENT))
    rows = []
    for label in subject.labels:
        found = scores.get(label, absent)
        rows += [Row(patient, label, title, name, found[name].value, UNITS[name], found[name].note) for name in names]
    return rows + shared


class _NotFiniteError(Exception):
    """The map of a label holds a value that is not finite."""


def _score_maps(
    subject: Subject,
    engine: StitchedGradient,
    method: Method,
    maps: dict[str, torch.Tensor],
    settings: Settings,
    stage: Stage,
    parts: int,
) -> dict[str, dict[str, Score]]:
    """Per target the score of each metric."""
    device = measuring_device(subject.compute)
    changes = {name: sensitivities.Sensitivity() for name in maps}
    label = ""
    try:
        if "sensitivity" in settings.metrics:
            low, high = subject.case.intensity_range
            for copy in range(settings.copies):
                noisy = sensitivities.noisy_copy(subject.image, copy, settings.radius * (high - low), settings.noise, settings.seed)
                part = Part(stage, (1 + copy) / parts, (2 + copy) / parts, "noisy copy:")
                others = attribute(engine, noisy, method, part, segmentation=subject.segmentation)
                for label in maps:
                    changes[label].add(maps[label].to(device), others.pop(label).to(device))
        scores: dict[str, dict[str, Score]] = {}
        for label in list(maps):
            stage.monitor.check()
            attribution = maps.pop(label).to(device)
            found = scores.setdefault(label, {})
            if "faithfulness" in settings.metrics:
                found["faithfulness"] = faithfulnesses.faithfulness(attribution, subject.subsets, subject.drops[label])
            if "sensitivity" in settings.metrics:
                found["sensitivity"], found[SCALE] = changes[label].score(), changes[label].scale()
            if "complexity" in settings.metrics:
                found["complexity"] = complexities.complexity(attribution, settings.threshold)
    except FloatingPointError:
        raise _NotFiniteError(label) from None
    return scores
