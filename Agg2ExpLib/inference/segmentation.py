"""Segmentation by sliding window: the label of the largest stitched logit in every voxel, or every label whose logit is above 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..monitor import Stage
from .compute import BatchSize, Compute
from .network import check_evaluates, check_output
from .sliding_window import Window, WindowPlan

if TYPE_CHECKING:
    import numpy as np
    import torch


@dataclass(frozen=True, eq=False)
class Segmented:
    """What a network draws.

    Attributes:
        labels: uint8 ``[x, y, z]``: 0 for the background, else the number of a label; where labels overlap, of the last one.
        overlapping: for networks whose labels may overlap, every label's own voxels, boolean ``[label, x, y, z]`` without the
            background.
    """

    labels: np.ndarray
    overlapping: np.ndarray | None = None

    def mask(self, index: int) -> np.ndarray:
        """All voxels of a label (its number, not 0), boolean ``[x, y, z]``."""
        import numpy as np

        if self.overlapping is None or index == 0:
            return np.equal(self.labels, index)
        return np.asarray(self.overlapping[index - 1])

    def count(self, labels: int) -> np.ndarray:
        """Voxels of each of so many labels, the background's first."""
        import numpy as np

        if self.overlapping is None:
            return np.bincount(self.labels.ravel(), minlength=labels)
        return np.array([np.count_nonzero(self.labels == 0), *(np.count_nonzero(mask) for mask in self.overlapping)])


def segment(
    network: torch.nn.Module,
    image: torch.Tensor,
    plan: WindowPlan,
    compute: Compute,
    batch: BatchSize,
    stage: Stage,
    pad_value: float = 0.0,
    channels: int | None = None,
    output: str = "softmax",
) -> Segmented:
    """``argmax_j f(x)_j`` of the stitched logits, as ``sliding_window_inference(...).argmax`` gives it; or, with ``sigmoid``, where
    each is above 0.

    The logits of the whole scan never exist at once: windows are taken in slabs along the longest axis, and the part of a slab that
    no later window touches is decided and dropped. Dividing by ``Σ w`` cannot change the argmax and is left out.

    Args:
        network: maps ``[b, 1, rx, ry, rz]`` to logits ``[b, l, rx, ry, rz]``, on the compute's device and dtype.
        image: model-grid image ``[x, y, z]``.
        plan: windows over that image.
        compute: device and precision.
        batch: windows per forward pass.
        stage: is told the progress.
        pad_value: of voxels beyond the image where it is smaller than a window.
        channels: of the network's output, where they are known; it must return as many.
        output: ``softmax``: one channel for the background and each label, the largest wins; ``sigmoid``: one for each label alone,
            which is there where its logit is above 0 and may overlap others.

    Raises:
        InputError: the network is in training mode, or does not return logits.
    """
    import torch

    check_evaluates(network)

    padded = plan.pad(image.to(compute.device, compute.dtype), pad_value)
    weight = plan.weight.to(compute.device, compute.dtype)
    axis = max(range(3), key=lambda i: plan.padded_shape[i] - plan.roi_size[i])
    slabs: dict[int, list[Window]] = {}
    for window in sorted(plan.windows, key=lambda w: (w[axis].start, w[0].start, w[1].start, w[2].start)):
        slabs.setdefault(window[axis].start, []).append(window)
    starts = sorted(slabs)
    ends = [*starts[1:], plan.padded_shape[axis]]

    labels = torch.zeros(plan.padded_shape, dtype=torch.uint8)
    masks: torch.Tensor | None = None
    slab_shape = list(plan.padded_shape)
    slab_shape[axis] = plan.roi_size[axis]
    logits: torch.Tensor | None = None
    done = 0
    with torch.inference_mode():
        batch.choose(lambda: _forward(network, padded, [plan.windows[0]], compute, channels))
        for start, end in zip(starts, ends, strict=True):
            todo = slabs[start]
            while todo:
                now = todo[: batch.current]
                found = batch.attempt(lambda now=now: _forward(network, padded, now, compute, channels))  # type: ignore[misc]
                if found is None:
                    continue
                if logits is None:
                    logits = torch.zeros((found.shape[1], *slab_shape), dtype=compute.dtype, device=compute.device)
                    if output == "sigmoid":
                        masks = torch.zeros((found.shape[1], *plan.padded_shape), dtype=torch.bool)
                for window, part in zip(now, found, strict=True):
                    place = list(window)
                    place[axis] = slice(0, plan.roi_size[axis])
                    logits[(slice(None), *place)] += part * weight
                todo = todo[len(now) :]
                done += len(now)
                stage.update(done / len(plan.windows), f"window {done} of {len(plan.windows)}")
            assert logits is not None
            final = logits.narrow(axis + 1, 0, min(end - start, plan.roi_size[axis]))
            if masks is None:
                decided = final.argmax(dim=0).to(torch.uint8)
            else:
                above = (final > 0).cpu()
                decided = torch.zeros(above.shape[1:], dtype=torch.uint8)
                for number, mask in enumerate(above, start=1):
                    decided[mask] = number  # later labels lie on earlier ones
                masks.narrow(axis + 1, start, above.shape[axis + 1]).copy_(above)
            labels.narrow(axis, start, decided.shape[axis]).copy_(decided)
            keep = plan.roi_size[axis] - decided.shape[axis]
            if keep:
                tail = logits.narrow(axis + 1, decided.shape[axis], keep).clone()
                logits.narrow(axis + 1, 0, keep).copy_(tail)
            logits.narrow(axis + 1, keep, decided.shape[axis]).zero_()
    overlapping = None if masks is None else masks[(slice(None), *plan.inside)].contiguous().numpy()
    return Segmented(labels[plan.inside].contiguous().numpy(), overlapping)


def _forward(
    network: torch.nn.Module, padded: torch.Tensor, windows: list[Window], compute: Compute, channels: int | None
) -> torch.Tensor:
    import torch

    inputs = torch.stack([padded[window] for window in windows])[:, None]
    with compute.arithmetic(), compute.mixed():
        output = network(inputs)
    check_output(output, inputs, channels)
    return output.to(compute.dtype)
