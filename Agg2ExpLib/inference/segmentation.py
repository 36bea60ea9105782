"""Segmentation by sliding window: the label of the largest stitched logit in every voxel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..monitor import Stage
from .compute import BatchSize, Compute
from .network import check_evaluates, check_output
from .sliding_window import Window, WindowPlan

if TYPE_CHECKING:
    import numpy as np
    import torch


def segment(
    network: torch.nn.Module,
    image: torch.Tensor,
    plan: WindowPlan,
    compute: Compute,
    batch: BatchSize,
    stage: Stage,
    pad_value: float = 0.0,
    channels: int | None = None,
) -> np.ndarray:
    """``argmax_j f(x)_j`` of the stitched logits, as ``sliding_window_inference(...).argmax`` gives it.

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
        channels: labels of the model, where they are known; the network must return as many.

    Returns:
        uint8 labels ``[x, y, z]``.

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
                output = batch.attempt(lambda now=now: _forward(network, padded, now, compute, channels))  # type: ignore[misc]
                if output is None:
                    continue
                if logits is None:
                    logits = torch.zeros((output.shape[1], *slab_shape), dtype=compute.dtype, device=compute.device)
                for window, part in zip(now, output, strict=True):
                    place = list(window)
                    place[axis] = slice(0, plan.roi_size[axis])
                    logits[(slice(None), *place)] += part * weight
                todo = todo[len(now) :]
                done += len(now)
                stage.update(done / len(plan.windows), f"window {done} of {len(plan.windows)}")
            assert logits is not None
            decided = logits.narrow(axis + 1, 0, min(end - start, plan.roi_size[axis])).argmax(dim=0)
            labels.narrow(axis, start, decided.shape[axis]).copy_(decided.to(torch.uint8))
            keep = plan.roi_size[axis] - decided.shape[axis]
            if keep:
                tail = logits.narrow(axis + 1, decided.shape[axis], keep).clone()
                logits.narrow(axis + 1, 0, keep).copy_(tail)
            logits.narrow(axis + 1, keep, decided.shape[axis]).zero_()
    return labels[plan.inside].contiguous().numpy()


def _forward(
    network: torch.nn.Module, padded: torch.Tensor, windows: list[Window], compute: Compute, channels: int | None
) -> torch.Tensor:
    import torch

    inputs = torch.stack([padded[window] for window in windows])[:, None]
    with compute.arithmetic(), compute.mixed():
        output = network(inputs)
    check_output(output, inputs, channels)
    return output.to(compute.dtype)
