"""The segmentation of a changed CT, from the windows that matter alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..inference.network import check_output
from ..inference.segmentation import Segmented
from ..inference.sliding_window import Window
from ..monitor import Stage
from ..runs.case import Case
from ..system.memory import free_memory, require_memory

if TYPE_CHECKING:
    import torch

# Outputs of the windows are kept between changes where they take no more than this part of the free memory.
_KEPT_SHARE = 0.3


@dataclass(frozen=True)
class Redrawn:
    """What a model draws on a CT before and after a change.

    Attributes:
        before: the segmentation of the CT as it is.
        after: of the changed CT.
        changes: of each target the mean change of its logit over its fixed voxels.
        windows: that hold changed voxels.
        passes: windows that went through the network.
    """

    before: Segmented
    after: Segmented
    changes: dict[str, float]
    windows: int
    passes: int


class Redrawer:
    """Draws a case again and again, each time with other voxels.

    ``f(x)`` is a weighted sum over windows, so a change touches only the windows that hold a changed voxel, and only where these
    reach can labels change. What the windows there gave for the CT as it is serves the next change too.

    Args:
        case: with its network at work.
        labels: what the model drew on the CT as it is, integers ``[x, y, z]``; taken where no change reaches.

    Raises:
        InputError: the logits of the whole scan do not fit into the memory.
    """

    def __init__(self, case: Case, labels: np.ndarray):
        import torch

        self.case, self.plan, self._labels = case, case.plan, labels
        self._batch = case.batch()
        channels = case.model.card.channels
        whole = 4.0 * channels * math.prod(self.plan.padded_shape)
        require_memory(2 * whole, "Drawing changed copies of this CT", "take a model with fewer labels or a smaller CT")
        self._image = self.plan.pad(case.image.to(case.compute.device, case.compute.dtype), case.pad_value)
        self._weight = self.plan.weight.to(torch.float32)
        self._sum = self.plan.weight_sum(torch.float32)
        self._logits = torch.zeros((channels, *self.plan.padded_shape), dtype=torch.float32)  # Σ w · f_w of the windows so far
        of_windows = 4.0 * channels * math.prod(self.plan.roi_size) * len(self.plan.windows)
        self._keeps = of_windows < _KEPT_SHARE * (free_memory() - 2 * whole)
        self._outputs: dict[tuple[int, ...], torch.Tensor | None] = {}

    def listen(self) -> None:
        """Tell the case's present monitor of further work."""
        self._batch = self.case.batch()

    def redraw(self, image: np.ndarray, targets: Mapping[str, tuple[int, np.ndarray]], stage: Stage) -> Redrawn:
        """Draw another image on the same grid.

        Args:
            image: what the network sees, float32 ``[x, y, z]``.
            targets: by name: channel, and the fixed voxels boolean ``[x, y, z]`` over which its logit is compared.
            stage: is told the progress.
        """
        import torch

        new = self.plan.pad(torch.from_numpy(image).to(self._image.device, self._image.dtype), self.case.pad_value)
        differs = (new != self._image).cpu()
        touched = [window for window in self.plan.windows if bool(differs[window].any())]
        reach = torch.zeros(self.plan.padded_shape, dtype=torch.bool)
        for window in touched:
            reach[window] = True
        if self.case.model.card.output == "sigmoid":  # the labels alone do not tell what lies under others
            reach[:] = True
        missing = [window for window in self.plan.windows if bool(reach[window].any()) and _key(window) not in self._outputs]
        known = [window for window in touched if _key(window) in self._outputs]
        again = 0 if self._keeps else len(known)
        count = _Count(stage, len(missing) + again + len(touched))
        wanted = {_key(window) for window in touched}
        difference = torch.zeros_like(self._logits) if touched else None
        for window, output in self._pass(self._image, missing, count):
            part = output * self._weight
            self._logits[(slice(None), *window)] += part
            self._outputs[_key(window)] = output if self._keeps else None
            if difference is not None and _key(window) in wanted:
                difference[(slice(None), *window)] -= part
        if difference is not None:
            lost = []
            for window in known:
                if (kept := self._outputs[_key(window)]) is None:
                    lost.append(window)
                else:
                    difference[(slice(None), *window)] -= kept * self._weight
            for source, sign, windows in ((self._image, -1.0, lost), (new, 1.0, touched)):
                for window, output in self._pass(source, windows, count):
                    difference[(slice(None), *window)] += sign * output * self._weight
        changes = {}
        for name, (channel, mask) in targets.items():
            inside = self.plan.pad(torch.from_numpy(mask))
            changes[name] = math.nan if not mask.any() else 0.0
            if difference is not None and mask.any():
                changes[name] = float((difference[channel][inside].double() / self._sum[inside].double()).mean())
        before = self._decide(self._logits, reach)
        after = before if difference is None else self._decide(self._logits + difference, reach)
        return Redrawn(before, after, changes, len(touched), count.done)

    def _pass(self, image: torch.Tensor, windows: Sequence[Window], count: _Count) -> Iterator[tuple[Window, torch.Tensor]]:
        """Every window with its output ``[channel, rx, ry, rz]``, float32 on the CPU."""
        import torch

        case, todo = self.case, list(windows)

        def forward(now: list[Window]) -> torch.Tensor:
            inputs = torch.stack([image[window] for window in now])[:, None]
            with torch.inference_mode(), case.compute.arithmetic(), case.compute.mixed():
                output = case.network(inputs)
            check_output(output, inputs, case.model.card.channels)
            return torch.as_tensor(output.float().cpu())

        while todo:
            now = todo[: self._batch.current]
            outputs = self._batch.attempt(lambda now=now: forward(now))  # type: ignore[misc]
            if outputs is None:
                continue
            case.monitor.check()
            count.add(len(now))
            yield from zip(now, outputs, strict=True)
            todo = todo[len(now) :]

    def _decide(self, logits: torch.Tensor, reach: torch.Tensor) -> Segmented:
        """The labels of logits where these are whole, elsewhere those that there were."""
        import torch

        inside = (slice(None), *self.plan.inside)
        if self.case.model.card.output == "softmax":
            labels = logits[inside].argmax(dim=0).to(torch.uint8).numpy()
            return Segmented(np.where(reach[self.plan.inside].numpy(), labels, self._labels).astype(np.uint8))
        masks = (logits[inside] > 0).numpy()
        labels = np.zeros(masks.shape[1:], dtype=np.uint8)
        for number, mask in enumerate(masks, start=1):
            labels[mask] = number
        return Segmented(labels, masks)


class _Count:
    """Windows done, told to a stage."""

    def __init__(self, stage: Stage, total: int):
        self._stage, self._total, self.done = stage, max(total, 1), 0

    def add(self, windows: int) -> None:
        self.done += windows
        self._stage.update(min(self.done / self._total, 1.0), f"window {self.done} of {self._total}")


def _key(window: Window) -> tuple[int, ...]:
    return tuple(part.start for part in window)  # slices cannot be hashed before Python 3.12
