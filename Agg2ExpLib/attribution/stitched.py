"""The gradient of a stitched segmentation, window by window (docs/method.md#the-gradient-of-a-stitched-output).

The target of label c, ``f̂_c(x) = Σ_i f_c(x)_i · ŷ_c(i)``, is linear in the window outputs:
``f̂_c = Σ_w ⟨ŷ_c · w / Σw, f_c^window⟩``. Its exact gradient is therefore a sum of vector-Jacobian products, one per window, with
the cotangent ``ŷ_c · w / Σw`` cropped to the window. Only one batch of windows is ever in memory.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InputError
from ..inference.compute import BatchSize, Compute
from ..inference.network import check_evaluates, check_frozen
from ..inference.sliding_window import Window, WindowPlan
from ..monitor import Stage
from .keep import check_keep, kept_windows

if TYPE_CHECKING:
    import numpy as np
    import torch


@dataclass(frozen=True)
class Target:
    """What is explained: the logits of one channel summed over fixed voxels.

    Attributes:
        name: of the explained label.
        channel: of the network's output.
        mask: boolean ``[x, y, z]``, the voxels ``ŷ_c`` whose logits are summed: the label's own segment or a mask the user drew.
    """

    name: str
    channel: int
    mask: np.ndarray


class StitchedGradient:
    """Gradients of several targets with respect to the image, for any number of perturbed copies of it.

    A window's forward pass serves all targets; targets that do not meet a window cost nothing there; the copies of a window form
    the batch. Results do not depend on the batch size beyond the network's own rounding.

    Args:
        network: maps ``[b, 1, rx, ry, rz]`` to ``[b, l, rx, ry, rz]``; its parameters must not require gradients.
        plan: windows over the image.
        targets: what is explained.
        compute: device and precision.
        batch: items (window × copy) per pass through the network.
        pad_value: of voxels beyond an image that is smaller than a window.
        exact: False leaves out ``w / Σw``, as the paper's published code does; for comparisons only.
        air: intensity of air, for baselines; None for ``pad_value``.
        keep: share of each target's weight whose windows are passed; the windows with the least of it are left out.

    Attributes:
        visits: windows with the numbers of the targets that are computed there.
        left_out: for each target how many windows that it meets were left out, and the share of its weight that lies in them.

    Raises:
        InputError: the network is in training mode, its weights require gradients, or ``keep`` is no share.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        plan: WindowPlan,
        targets: Sequence[Target],
        compute: Compute,
        batch: BatchSize,
        pad_value: float = 0.0,
        exact: bool = True,
        air: float | None = None,
        keep: float = 1.0,
    ):
        import torch

        check_evaluates(network)
        check_frozen(network)
        check_keep(keep)
        self.network, self.plan, self.compute, self.batch = network, plan, compute, batch
        self.targets = tuple(targets)
        self.pad_value = pad_value
        self.air = pad_value if air is None else air
        self._weight = plan.weight.to(compute.device, compute.dtype) if exact else None
        self._inverse = plan.weight_sum(compute.dtype).reciprocal_().to(compute.device) if exact else None
        self._masks = [plan.pad(torch.from_numpy(target.mask)).to(compute.device) for target in self.targets]
        self.left_out = dict.fromkeys((target.name for target in self.targets), (0, 0.0))
        self.visits = self._plan_visits(keep)
        self.buffer_device = self._choose_buffer_device()
        self._batch_chosen = False
        self.passes = 0  # forward and backward passes of a window that were done

    def _plan_visits(self, keep: float) -> list[tuple[Window, tuple[int, ...]]]:
        """Windows with the targets that meet them; windows alike in targets follow each other, so that they can share a batch."""
        met = [[number for number, window in enumerate(self.plan.windows) if bool(mask[window].any())] for mask in self._masks]
        if keep < 1:
            for index, target in enumerate(self.targets):
                weights = [self._weight_in(index, self.plan.windows[number]) for number in met[index]]
                stays, share = kept_windows(weights, keep)
                self.left_out[target.name] = (len(weights) - len(stays), share)
                met[index] = [met[index][place] for place in stays]
        meeting = [set(numbers) for numbers in met]
        visits = []
        for number, window in enumerate(self.plan.windows):
            here = tuple(index for index, numbers in enumerate(meeting) if number in numbers)
            if here:
                visits.append((window, here))
        return sorted(visits, key=lambda visit: visit[1])

    def _weight_in(self, target: int, window: Window) -> float:
        """``Σ ŷ_c · w / Σw`` of a target (its number) in a window; over all windows these add up to its number of voxels."""
        import torch

        exact = torch.float32 if self.compute.device.type == "mps" else torch.float64  # Apple's GPUs have no float64
        return float(self.cotangent(target, window).sum(dtype=exact))

    def _choose_buffer_device(self) -> torch.device:
        import math

        import torch

        needed = 2 * len(self.targets) * math.prod(self.plan.padded_shape) * self.compute.dtype.itemsize
        roomy = self.compute.device.type == "cuda" and needed < 0.3 * self.compute.free_memory()
        return self.compute.device if roomy else torch.device("cpu")

    @property
    def cost(self) -> int:
        """Network passes (forward and backward) that one copy of the image takes."""
        return self.cost_of({target.name for target in self.targets})

    def cost_of(self, names: Collection[str]) -> int:
        """As :attr:`cost`, for these targets alone."""
        return sum(1 + len(met) for _, met in self._visits_of(names))

    def _visits_of(self, names: Collection[str] | None) -> list[tuple[Window, tuple[int, ...]]]:
        """The visits that these targets need, alike ones in a row; all for None."""
        if names is None or len(set(names)) == len(self.targets):
            return self.visits
        kept = ((window, tuple(i for i in met if self.targets[i].name in names)) for window, met in self.visits)
        return sorted((visit for visit in kept if visit[1]), key=lambda visit: visit[1])

    def new_buffers(self) -> dict[str, torch.Tensor]:
        """A zero map ``[X, Y, Z]`` (padded shape) for every target, to collect gradients in."""
        import torch

        return {
            target.name: torch.zeros(self.plan.padded_shape, dtype=self.compute.dtype, device=self.buffer_device)
            for target in self.targets
        }

    def add(
        self,
        images: Sequence[torch.Tensor],
        sums: Mapping[str, torch.Tensor],
        stage: Stage,
        begin: float,
        end: float,
        weights: Sequence[float] | None = None,
        names: Collection[str] | None = None,
    ) -> None:
        """Add ``Σ_images w · ∂f̂_c/∂x`` of every target to its buffer in ``sums``.

        Args:
            images: perturbed copies ``[x, y, z]`` of the image; the fixed masks stay those of the clean image.
            sums: buffers from :meth:`new_buffers`.
            stage: is told progress from ``begin`` to ``end`` of it.
            weights: ``w`` of each image; without them all are 1.
            names: the targets that are wanted; None for all. Those left out cost no passes.
        """
        copies = [self.plan.pad(image.to(self.compute.device, self.compute.dtype), self.pad_value) for image in images]
        self.choose_batch(copies[0])
        done, position = 0, 0
        visits, cost = self._visits_of(names), self.cost_of(names) if names is not None else self.cost
        while position < len(visits):
            met = visits[position][1]
            most = max(self.batch.current // len(copies), 1)
            windows = [window for window, same in visits[position : position + most] if same == met]
            gradients = self._gradients(windows, met, copies, weights)
            for row, target in enumerate(met):
                buffer = sums[self.targets[target].name]
                for column, window in enumerate(windows):
                    buffer[window] += gradients[row][column].to(buffer.device)
            position += len(windows)
            done += len(windows) * (1 + len(met))
            self.passes += len(windows) * (1 + len(met)) * len(copies)
            stage.update(begin + (end - begin) * done / cost, ", ".join(self.targets[i].name for i in met))

    def values(self, image: torch.Tensor) -> dict[str, float]:
        """``f̂_c`` of every target for an image ``[x, y, z]``, summed in float64; forward passes alone."""
        import torch

        padded = self.plan.pad(image.to(self.compute.device, self.compute.dtype), self.pad_value)
        self.choose_batch(padded)
        found = {target.name: 0.0 for target in self.targets}

        def outputs(windows: list[Window]) -> torch.Tensor:
            with torch.inference_mode(), self.compute.arithmetic(), self.compute.mixed():
                return self.network(torch.stack([padded[window] for window in windows])[:, None])

        todo = list(self.visits)
        while todo:
            now = todo[: self.batch.current]
            logits = self.batch.attempt(lambda now=now: outputs([window for window, _ in now]))  # type: ignore[misc]
            if logits is None:
                continue
            for row, (window, met) in enumerate(now):
                for index in met:
                    target = self.targets[index]
                    part = logits[row, target.channel].double().cpu() * self.cotangent(index, window).double().cpu()
                    found[target.name] += float(part.sum())
            todo = todo[len(now) :]
        return found

    def _gradients(
        self, windows: list[Window], met: tuple[int, ...], copies: list[torch.Tensor], weights: Sequence[float] | None
    ) -> list[torch.Tensor]:
        """Per met target ``[windows, rx, ry, rz]``, summed over copies, in as many passes as the batch size asks for."""
        import torch

        shape = (len(windows), *self.plan.roi_size)
        totals = [torch.zeros(shape, dtype=self.compute.dtype, device=self.compute.device) for _ in met]
        items = [(row, copy) for row in range(len(windows)) for copy in range(len(copies))]
        while items:
            now = items[: self.batch.current]
            parts = self.batch.attempt(lambda now=now: self._pass(windows, met, copies, now, weights))  # type: ignore[misc]
            if parts is None:
                continue
            rows = torch.tensor([row for row, _ in now], device=self.compute.device)
            for total, part in zip(totals, parts, strict=True):
                total.index_add_(0, rows, part)
            items = items[len(now) :]
        return totals

    def _pass(
        self,
        windows: list[Window],
        met: tuple[int, ...],
        copies: list[torch.Tensor],
        items: list[tuple[int, int]],
        weights: Sequence[float] | None = None,
    ) -> list[torch.Tensor]:
        """One forward and, per met target, one backward pass of a batch; gradients ``[items, rx, ry, rz]``."""
        import torch

        inputs = torch.stack([copies[copy][windows[row]] for row, copy in items])[:, None].requires_grad_(True)
        gradients = []
        with torch.enable_grad(), self.compute.arithmetic():
            with self.compute.mixed():
                outputs = self.network(inputs).unbind(1)
            if not outputs[0].requires_grad:
                raise InputError(
                    "The network passes no gradient from its output to the image: use ⟨method⟩ kernel_shap, which needs none."
                )
            for number, target in enumerate(met):
                channel = outputs[self.targets[target].channel]
                cotangent = torch.stack([self.cotangent(target, windows[row]) for row, _ in items])
                if weights is not None:
                    of_items = [weights[copy] for _, copy in items]
                    cotangent *= torch.tensor(of_items, dtype=cotangent.dtype, device=cotangent.device)[:, None, None, None]
                cotangent = cotangent.to(channel.dtype)
                (gradient,) = torch.autograd.grad(channel, inputs, cotangent, retain_graph=number < len(met) - 1)
                gradients.append(gradient[:, 0])
        return gradients

    def cotangent(self, target: int, window: Window) -> torch.Tensor:
        """``ŷ_c · w / Σw`` of a target (its number) in a window, ``[rx, ry, rz]``: what a window's logits count for."""
        mask = self._masks[target][window].to(self.compute.dtype)
        if self._weight is None or self._inverse is None:
            return mask
        return mask * self._weight * self._inverse[window]

    def choose_batch(self, image: torch.Tensor) -> None:
        """Settle the batch size by a trial on one window of a padded image, where that has not been done."""
        if self.visits and not self._batch_chosen:
            window, met = self.visits[0]
            self.batch.choose(lambda: self._pass([window], met, [image], [(0, 0)]))
            self._batch_chosen = True
