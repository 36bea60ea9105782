"""What is to rise or fall: a label's logits or probability over fixed voxels, or the logit of a class; and its exact gradient.

A classifier's case gives its logits in every voxel (``runs/case.py``), so that a class is a label over a single voxel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..inference.compute import BatchSize
from ..inference.network import check_output
from ..inference.sliding_window import Window
from ..models.labels import Label
from ..monitor import Stage
from ..runs.case import Case

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Measured:
    """A model's output on one CT.

    Attributes:
        value: f, what is made to rise or fall.
        probability: the same as a probability, by which the search stops.
    """

    value: float
    probability: float


class Output:
    """A label of a segmentation network over fixed voxels R, or a class of a classifier over any one voxel.

    With ``logit`` the output f is the mean of its stitched logits over R: ``f̂_c / |R|`` of the attributions. With
    ``volume`` it is the mean of its softmax (or sigmoid), a soft volume where R is more than the label has. Stitched logits
    are linear in what the windows give, so the exact gradient is a sum of vector-Jacobian products, one a window; only the logits
    of the voxels of R are kept, and one batch of windows.

    Args:
        case: with its network at work.
        label: of the model.
        region: R, boolean ``[x, y, z]``, not empty.
        objective: ``logit`` or ``volume``.
    """

    def __init__(self, case: Case, label: Label, region: np.ndarray, objective: str):
        import torch

        self._case, self._channel, self._objective = case, case.model.card.channel(label), objective
        plan, compute = case.plan, case.compute
        places = torch.full(plan.padded_shape, -1, dtype=torch.long)
        inside = places[plan.inside]
        mask = torch.from_numpy(np.ascontiguousarray(region))
        self._count = int(mask.sum())
        inside[mask] = torch.arange(self._count)
        self._windows = [window for window in plan.windows if bool((places[window] >= 0).any())]
        self._places = places
        total = plan.weight_sum(compute.dtype)[plan.inside][mask]
        self._total = total.to(compute.device)
        self._weight = plan.weight.to(compute.device, compute.dtype)
        # A batch with gradients takes more memory than one without.
        self._forward, self._backward = case.batch(), case.batch()
        self._settled: set[int] = set()

    def measure(self, image: np.ndarray, stage: Stage) -> Measured:
        """f of an image ``[x, y, z]`` of the model's intensities, by forward passes alone."""
        logits = self._logits(self._padded(image), stage, 0.0, 1.0)
        return self._measured(logits)

    def gradient(self, image: np.ndarray, stage: Stage) -> tuple[Measured, np.ndarray]:
        """f, and ``∂f/∂x`` as float ``[x, y, z]``."""
        import torch

        padded = self._padded(image)
        logits = self._logits(padded, stage, 0.0, 0.3).requires_grad_(True)
        with torch.enable_grad():
            value = self._value(logits)
        (outer,) = torch.autograd.grad(value, logits)
        outer /= self._total
        result = torch.zeros(self._case.plan.padded_shape, dtype=self._case.compute.dtype)

        def work(now: list[Window]) -> torch.Tensor:
            inputs = torch.stack([padded[window] for window in now])[:, None].requires_grad_(True)
            with torch.enable_grad(), self._case.compute.arithmetic():
                with self._case.compute.mixed():
                    outputs = self._case.network(inputs)
                cotangents = torch.zeros_like(outputs)
                for row, window in enumerate(now):
                    place, chosen = self._chosen(window)
                    cotangents[row][:, chosen] = (outer[:, place] * self._weight[chosen]).to(outputs.dtype)
                return torch.autograd.grad(outputs, inputs, cotangents)[0][:, 0]

        for now, gradients, done in self._through_windows(work, self._backward):
            for window, gradient in zip(now, gradients, strict=True):
                result[window] += gradient.to(result.device, result.dtype)
            stage.update(0.3 + 0.7 * done, "gradient")
        return self._measured(logits.detach()), result[self._case.plan.inside].numpy()

    def _logits(self, padded: torch.Tensor, stage: Stage, begin: float, end: float) -> torch.Tensor:
        """Stitched logits of the voxels of R, ``[channels, |R|]``."""
        import torch

        found: torch.Tensor | None = None
        channels = self._case.model.card.channels

        def work(now: list[Window]) -> torch.Tensor:
            inputs = torch.stack([padded[window] for window in now])[:, None]
            with torch.no_grad(), self._case.compute.arithmetic(), self._case.compute.mixed():
                outputs = self._case.network(inputs)
            check_output(outputs, inputs, channels)
            return outputs

        for now, outputs, done in self._through_windows(work, self._forward):
            for row, window in enumerate(now):
                place, chosen = self._chosen(window)
                part = outputs[row][:, chosen].to(self._weight.dtype) * self._weight[chosen]
                if found is None:
                    found = torch.zeros((part.shape[0], self._count), dtype=part.dtype, device=part.device)
                found[:, place] += part
            stage.update(begin + (end - begin) * done, "output")
        assert found is not None, "a region meets a window"
        return found / self._total

    def _through_windows(self, work: Callable[[list[Window]], torch.Tensor], batch: BatchSize) -> Any:
        """Batches of windows, what the work makes of each, and the share that is done."""
        if id(batch) not in self._settled:
            self._settled.add(id(batch))
            batch.choose(lambda: work(self._windows[:1]))
        todo = list(self._windows)
        while todo:
            now = todo[: batch.current]
            found = batch.attempt(lambda now=now: work(now))  # type: ignore[misc]
            if found is not None:
                todo = todo[len(now) :]
                yield now, found, 1 - len(todo) / len(self._windows)

    def _chosen(self, window: Window) -> tuple[torch.Tensor, torch.Tensor]:
        """Numbers of the voxels of R in a window, and where they lie in it, boolean ``[rx, ry, rz]``."""
        place = self._places[window]
        chosen = place >= 0
        device = self._weight.device
        return place[chosen].to(device), chosen.to(device)

    def _padded(self, image: np.ndarray) -> torch.Tensor:
        import torch

        compute = self._case.compute
        whole = torch.from_numpy(np.ascontiguousarray(image)).to(compute.device, compute.dtype)
        return self._case.plan.pad(whole, self._case.pad_value)

    def _probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        import torch

        if self._case.model.card.output == "sigmoid":
            return torch.sigmoid(logits[self._channel])
        return torch.softmax(logits, dim=0)[self._channel]

    def _value(self, logits: torch.Tensor) -> torch.Tensor:
        return (logits[self._channel] if self._objective == "logit" else self._probabilities(logits)).mean()

    def _measured(self, logits: torch.Tensor) -> Measured:
        return Measured(float(self._value(logits)), float(self._probabilities(logits).mean()))
