"""A counterfactual from the case to the result, in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ..inference.network import at_work
from ..inference.segmentation import Segmented
from ..inference.whole_volume import logit_voxel
from ..io.volume import Volume
from ..models.labels import Label, select_labels
from ..models.model import Model
from ..monitor import Stage
from ..preprocessing.hu_window import HuWindow
from ..roi_importance.dice import dice_per_label
from ..roi_importance.matrix import ImportanceMatrix, Regions, importance_matrix
from ..runs.case import Case
from ..runs.partition import Partition, draw_partition, nothing_drawn
from ..training.reconstruction import TISSUES, errors_of
from .canvas import Canvas
from .choices import LESS, LOGIT, MORE, OBJECTIVES, VOLUME
from .latents import Latents, check_covers, parse_slices
from .outcome import Counterfactual, Step
from .outputs import Output
from .question import Question
from .search import LEAST, MOST, Found
from .shift import Frame, Shift, amounts_of

# A soft volume counts the label's own voxels and what lies so near to them.
MARGIN_MM = 20.0
_GOOD_DICE = 0.9  # of a label on the reconstruction, below which people are told
_SIGNS = {LESS: -1, MORE: 1}


class Maker:
    """Answers questions about one CT and one model.

    Args:
        case: of the model, its network at work.
        autoencoder: of slices.
        ct: in HU, on its own grid.
        segmenter: draws regions and volumes where the model is a classifier; None for none.

    Attributes:
        canvas: where the CT is moved.

    Raises:
        InputError: the autoencoder does not fit the model's grid or HU.
    """

    def __init__(self, case: Case, autoencoder: Model, ct: Volume, segmenter: Model | None = None):
        self._case, self._autoencoder, self._segmenter = case, autoencoder, segmenter
        self.canvas = Canvas(case, autoencoder, ct)
        if (seen := _seen(case)) is not None:
            check_covers(autoencoder, *seen, case.model.name)

    def make(self, question: Question) -> Counterfactual:
        """The counterfactual, its record without what only the caller knows.

        Raises:
            InputError: nothing would change; one sentence says why.
            Cancelled: the monitor asked to stop.
        """
        case, monitor = self._case, self._case.monitor
        (label,) = select_labels([question.target], case.model.card.explainable)
        _check_suits(case, question, self._segmenter)
        with at_work(self._autoencoder.network, case.compute):
            canvas = self.canvas
            partition = self._draw(canvas.hu, Stage(monitor, "segment", 0.03, 0.08))
            latents = Latents(self._autoencoder, canvas.hu, case.compute, monitor)
            chosen = parse_slices(*question.slices, latents.slices) if question.slices is not None else slice(None)
            first = latents.decode(latents.start)
            drawn = self._draw(first, Stage(monitor, "segment", 0.08, 0.12))
            region, objective = self._region(label, question, drawn)
            output = Output(case, label, region, objective)
            assert self._autoencoder.card.hu_window is not None, "checked when it was loaded"
            low = self._autoencoder.card.hu_window[0]
            smooth = question.smooth / canvas.grid.spacing[latents.axis]
            shift = Shift(canvas, latents, output, low, chosen, Stage(monitor, "gradient", 0.12, 0.2), smooth)
            found = self._search(shift, question, label)
            amounts = {direction: amounts_of(found[direction], question.frames) for direction in found}
            steps, ends, paths = self._frames(shift, amounts, drawn, partition)
        self._told_still(steps, ends, label)
        matrix = _matrix(partition, question.extra_rois, ends)
        dice = self._told_dice(partition, drawn, label)
        window = self._autoencoder.card.hu_window
        errors = dict(zip(("all voxels", *TISSUES), errors_of(canvas.hu.clip(*window), first), strict=True))
        run = {
            "target": {"kind": "class" if case.classifies else "label", "name": label.name},
            "objective": objective,
            "lambda_unit": {
                "gradient_multiple": shift.scale,
                "explained": "λ = 1 is this multiple of ∂f/∂z; it changes the CT by 0.1 %",
            },
            "smooth_mm": question.smooth,
            "slices": list(question.slices) if question.slices is not None else None,
            "voxels": int(region.sum()),
            "search": {direction: entry.to_json() for direction, entry in found.items()},
            "autoencoder": {"name": self._autoencoder.name, "sha256": self._autoencoder.sha256},
        }
        return Counterfactual(
            canvas.grid,
            partition.labels,
            label.name,
            _whole(canvas.hu),
            partition.drawn.labels if self._draws else None,
            tuple(steps),
            ends,
            paths,
            matrix,
            dice,
            errors,
            dict(question.extra_rois),
            question.mask,
            run,
        )

    @property
    def _draws(self) -> bool:
        return not self._case.classifies or self._segmenter is not None

    def _draw(self, hu: np.ndarray, stage: Stage) -> Partition:
        """What the model, or the segmenter, draws on HU ``[x, y, z]`` of the canvas, brought there."""
        case, canvas = self._case, self.canvas
        if not case.classifies:
            import torch

            drawn = case.segment(stage, torch.from_numpy(canvas.image(hu)))
            return Partition(case.model.card.labels, canvas.shown(drawn))
        if self._segmenter is None:
            return nothing_drawn(canvas.grid)
        volume = Volume(np.asarray(hu, dtype=np.float32), canvas.grid.affine, "ct")
        return draw_partition(volume, self._segmenter, canvas.grid, case.compute, case.monitor, stage)

    def _region(self, label: Label, question: Question, drawn: Partition) -> tuple[np.ndarray, str]:
        """The voxels over which the output is taken, and what is taken over them."""
        case = self._case
        if case.classifies:
            return logit_voxel(case.grid.shape), LOGIT
        objective = VOLUME if question.objective == OBJECTIVES[0] else question.objective
        if question.mask is not None:
            region = self.canvas.on_model_grid(question.mask)
            if not region.any():
                raise InputError("The target mask holds no centre of the model's voxels: draw a larger one.")
            return region, objective
        own = self.canvas.on_model_grid(drawn.drawn.mask(label.index))
        if not own.any():
            raise InputError(
                f"The model draws no '{label.name}' on this CT as the autoencoder gives it back, so nothing can become less or "
                "more: choose another label, or say with ⟨target_mask⟩ where it is to appear."
            )
        if objective == LOGIT:
            return own, objective
        from scipy import ndimage

        return ndimage.distance_transform_edt(~own, sampling=case.grid.spacing) <= MARGIN_MM, objective

    def _search(self, shift: Shift, question: Question, label: Label) -> dict[str, Found]:
        """Where each direction ends.

        Raises:
            InputError: none leads anywhere.
        """
        found: dict[str, Found] = {}
        silent: list[str] = []
        begin, part = 0.2, 0.4 / len(question.directions)
        for direction in question.directions:
            sign = _SIGNS[direction]
            stage = Stage(self._case.monitor, direction, begin, begin + part)
            begin += part
            if question.end is not None:
                found[direction] = Found(sign * abs(question.end), "this λ was asked for")
                continue
            if shift.is_certain(sign):
                bound = f"below {LEAST:g}" if sign < 0 else f"above {MOST:g}"
                silent.append(
                    f"The model is certain already that way: the probability of '{label.name}' is {bound} "
                    f"({shift.before.probability:.3f}), so there is no '{direction}' to show."
                )
                continue
            found[direction] = shift.find_end(sign, stage)
            if not found[direction].end:
                del found[direction]
                silent.append(
                    f"The output for '{label.name}' does not get {direction} along its gradient in the autoencoder's latents, so "
                    f"there is no '{direction}' to show."
                )
        if not found:
            raise InputError(" ".join(silent))
        for sentence in silent:
            self._case.monitor.notice(sentence)
        return found

    def _frames(
        self, shift: Shift, amounts: Mapping[str, list[float]], drawn: Partition, partition: Partition
    ) -> tuple[list[Step], dict[str, np.ndarray], dict[str, np.ndarray]]:
        """All CTs along λ with what is drawn on them, and by direction the last difference and the mean one of neighbours."""
        every = sum(map(len, amounts.values()))
        steps = [self._step(shift.start, shift.start, drawn.drawn, partition)]
        ends: dict[str, np.ndarray] = {}
        paths: dict[str, np.ndarray] = {}
        done = 0
        for direction, wanted in amounts.items():
            before, path = shift.start.hu, np.zeros(shift.start.hu.shape, dtype=np.float64)
            for amount in wanted:
                begin, end = 0.6 + 0.37 * done / every, 0.6 + 0.37 * (done + 1) / every
                done += 1
                frame = shift.frame(amount, Stage(self._case.monitor, "frames", begin, begin))
                path += np.abs(frame.hu - before)
                before = frame.hu
                shown = self._draw(frame.hu, Stage(self._case.monitor, "frames", begin, end)).drawn
                steps.append(self._step(frame, shift.start, shown, partition))
            ends[direction] = (before - shift.start.hu).astype(np.float32)
            paths[direction] = (path / len(wanted)).astype(np.float32)
        return sorted(steps, key=lambda step: step.amount), ends, paths

    def _told_still(self, steps: Sequence[Step], ends: Mapping[str, np.ndarray], label: Label) -> None:
        """Say where a λ that was asked for leads nowhere.

        Raises:
            InputError: the CT is the same as before at every λ.
        """
        if not any(difference.any() for difference in ends.values()):
            raise InputError("The CT does not change at this λ: give a larger ⟨lambda⟩, or leave it out to search for one.")
        (start,) = [step for step in steps if step.amount == 0]
        for direction in ends:
            last = min(steps, key=lambda step: step.amount) if direction == LESS else max(steps, key=lambda step: step.amount)
            if _SIGNS[direction] * (last.output - start.output) <= 0:
                self._case.monitor.notice(
                    f"At λ = {last.amount:g} the output for '{label.name}' is not {direction} than on the reconstruction "
                    f"({last.output:.3g} and {start.output:.3g}): the gradient leads only so far, so give a smaller ⟨lambda⟩, or "
                    "leave it out to search for one."
                )

    def _step(self, frame: Frame, start: Frame, drawn: Segmented, partition: Partition) -> Step:
        millilitres = float(np.prod(self.canvas.grid.spacing)) / 1000
        counts = drawn.count(len(partition.labels))
        return Step(
            frame.amount,
            _whole(frame.hu),
            drawn.labels if self._draws else None,
            frame.measured.value,
            frame.measured.probability,
            frame.change,
            float(np.abs(frame.hu - start.hu).mean()),
            {label.name: float(counts[label.index]) * millilitres for label in partition.labels[1:]} if self._draws else {},
        )

    def _told_dice(self, partition: Partition, drawn: Partition, label: Label) -> dict[str, float]:
        """Dice of every label on the CT and on its reconstruction; says where the label asked about is not given back well."""
        if not self._draws:
            return {}
        if partition.drawn.overlapping is None:
            labels = partition.labels
            values = dice_per_label(drawn.drawn.labels, partition.drawn.labels, [entry.index for entry in labels])
            found = {entry.name: float(value) for entry, value in zip(labels, values, strict=True)}
        else:
            found = {
                entry.name: float(dice_per_label(drawn.drawn.mask(entry.index), partition.drawn.mask(entry.index), [1])[0])
                for entry in partition.labels[1:]
            }
        if (own := found.get(label.name, 1.0)) < _GOOD_DICE:
            self._case.monitor.notice(
                f"The autoencoder does not give this CT back well where it matters: the model draws '{label.name}' on it with a "
                f"Dice of {own:.2f}, so read small changes with care."
            )
        return found


def _check_suits(case: Case, question: Question, segmenter: Model | None) -> None:
    """Refuse what a model of this kind cannot answer.

    Raises:
        InputError: one sentence.
    """
    name = case.model.name
    if case.classifies and question.mask is not None:
        raise InputError(f"{name} is a classifier, whose output has no voxels: leave out ⟨target_mask⟩.")
    if case.classifies and question.objective == VOLUME:
        raise InputError(f"{name} is a classifier, which draws no volume: leave out ⟨objective⟩.")
    if not case.classifies and segmenter is not None:
        raise InputError(f"{name} draws its own regions: leave out ⟨segmenter⟩, which is for classifiers.")


def _seen(case: Case) -> tuple[float, float] | None:
    """HU between which the model sees a difference, where its preprocessing says so."""
    windows = [step.hu_window for step in case.prepared.intensities if isinstance(step, HuWindow)]
    return windows[0] if windows else None


def _matrix(partition: Partition, extra: tuple[tuple[str, np.ndarray], ...], ends: Mapping[str, np.ndarray]) -> ImportanceMatrix:
    """Where the differences lie, by the regions drawn on the CT itself."""
    regions = Regions(partition.drawn.labels, [label.name for label in partition.labels], extra)
    sums = {direction: regions.sums(values) for direction, values in ends.items()}
    nothing: dict[str, Any] = {direction: np.zeros(len(regions.columns)) for direction in sums}
    return importance_matrix(regions, {name: entry for name, entry in sums.items() if entry.total > 0}, nothing)


def _whole(hu: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(hu), -32768, 32767).astype(np.int16)
