"""A question about one CT from what was read to the answer with its record: what jobs and the Python API share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..inference.compute import Compute
from ..inference.network import at_work
from ..io.grid import Grid
from ..io.volume import Volume
from ..models.labels import select_labels
from ..models.model import Model
from ..models.model_card import AUTOENCODER, CLASSIFICATION, SEGMENTATION
from ..monitor import Monitor
from ..runs.case import make_case
from ..runs.new_results import volumes_must_fit
from ..runs.partition import check_segmenter
from ..runs.record import RunRecord
from ..runs.results import COUNTERFACTUAL, check_region_files
from .make import Maker
from .outcome import Counterfactual
from .question import Question


@dataclass(frozen=True, eq=False)
class Models:
    """The models of a counterfactual.

    Attributes:
        model: a segmentation network or a classifier.
        autoencoder: of slices.
        segmenter: draws regions and volumes where the model is a classifier; None for none.
    """

    model: Model
    autoencoder: Model
    segmenter: Model | None = None

    def check(self, target: str) -> None:
        """Refuse what does not go together, before a CT is read.

        Raises:
            InputError: a model of another kind, or a target that it does not have.
        """
        if self.model.task != CLASSIFICATION:
            self.model.require(SEGMENTATION, "A counterfactual")
        self.autoencoder.require(AUTOENCODER, "⟨autoencoder⟩")
        if self.segmenter is not None and self.model.task == CLASSIFICATION:
            check_segmenter(self.segmenter, self.model.labels)
        select_labels([target], self.model.card.explainable)


@dataclass(frozen=True, eq=False)
class Setting:
    """What a question is asked of, and how it is computed.

    Attributes:
        ct: in HU, on its own grid.
        checksum: of its file or values.
        compute: device and precision.
        began: time of ``time.monotonic()`` when it was asked.
        overlap, blend, window_batch: of the sliding windows.
        patient_id: in the results; None for the CT's name.
        parameters: further ones for ``run.json``.
        private: names that the record must not tell where there is a patient id, with the words in their place.
    """

    ct: Volume
    checksum: str
    compute: Compute
    began: float = field(default_factory=time.monotonic)
    overlap: float | None = None
    blend: str | None = None
    window_batch: int | str = "auto"
    patient_id: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    private: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Placed:
    """Masks ``[x, y, z]`` on the grid of the CTs that are made.

    Attributes:
        extra_rois: further regions, name and boolean mask.
        mask: drawn target, or None.
        told: sentences for the user.
    """

    extra_rois: Sequence[tuple[str, np.ndarray]] = ()
    mask: np.ndarray | None = None
    told: Sequence[str] = ()


def answer(
    question: Question,
    models: Models,
    setting: Setting,
    place: Callable[[Grid, Sequence[str]], Placed],
    monitor: Monitor,
) -> Counterfactual:
    """Make the counterfactual.

    Args:
        question: without regions and drawn target.
        models: checked, see :meth:`Models.check`.
        setting: CT and device.
        place: reads regions and drawn target onto the grid that it is given; the names are those that no region may have.
        monitor: is told progress and notices, and asked to stop.

    Raises:
        InputError: something cannot be used, or nothing would change; one sentence says why.
        OutOfMemoryError: one window, or the volumes, do not fit into the device's memory.
        Cancelled: the monitor asked to stop.
    """
    model, segmenter, compute, ct = models.model, models.segmenter, setting.compute, setting.ct
    asked = {name: getattr(question, name) for name in ("target", "direction", "objective", "frames", "end")}
    record = RunRecord(model, ct.name, setting.checksum, setting.began, setting.patient_id, {**asked, **setting.parameters})
    if setting.patient_id is not None and setting.private:
        record.private = setting.private
    drawing = segmenter.warnings if segmenter is not None else ()
    for warning in (*model.warnings, *models.autoencoder.warnings, *drawing, *ct.warnings):
        monitor.notice(warning)
    with volumes_must_fit(compute):
        case = make_case(ct, model, compute, monitor, setting.overlap, setting.blend, setting.window_batch)
        record.parameters |= case.windows
        maker = Maker(case, models.autoencoder, ct, segmenter)
        placed = place(maker.canvas.grid, (*model.labels, *(segmenter.labels if segmenter is not None else ())))
        check_region_files(name for name, _mask in placed.extra_rois)
        for warning in placed.told:
            monitor.notice(warning)
        record.finish_stage("read")
        with at_work(model.network, compute):
            found = maker.make(replace(question, mask=placed.mask, extra_rois=tuple(placed.extra_rois)))
        record.finish_stage("counterfactual")
    # Where nobody draws, all of the volume is background.
    drawn = found.drawn
    counts = np.bincount(drawn.ravel(), minlength=len(found.labels)) if drawn is not None else np.array([found.hu.size])
    content = record.content(case.compute, found.grid, found.labels, counts, monitor.notices) | {
        "task": COUNTERFACTUAL,
        "extra_rois": list(found.extra_rois),
        "target_mask": placed.mask is not None,
    }
    if segmenter is not None:
        content["segmenter"] = {"name": segmenter.name, "sha256": segmenter.sha256}
    return replace(found, run=content | found.run)
