"""A classifier behind the face of a segmentation network with a single window: the whole volume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import torch


def logit_voxel(shape: Sequence[int]) -> np.ndarray:
    """The mask ``[x, y, z]`` over which a class is summed: any one voxel, in each of which :func:`as_voxels` gives the logit."""
    import numpy as np

    voxel = np.zeros(tuple(shape), dtype=bool)
    voxel[0, 0, 0] = True
    return voxel


def as_voxels(network: torch.nn.Module, classes: int) -> torch.nn.Module:
    """The network for volumes ``[b, 1, x, y, z]``, giving its logits ``[b, class]`` in every voxel: ``[b, class, x, y, z]``.

    The logits are not copied. A target of one voxel is then the logit of its class, and everything that works on stitched windows
    works on a classifier, with the same exact gradient. ``network.classifier`` is the network.

    Args:
        network: for volumes in our order of axes.
        classes: logits that it must give.
    """
    import torch

    class AsVoxels(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.classifier = network
            self.training = network.training

        def forward(self, volumes: torch.Tensor) -> torch.Tensor:
            logits = self.classifier(volumes)
            shape = tuple(getattr(logits, "shape", ()))
            if shape != (volumes.shape[0], classes):
                raise InputError(
                    f"The network turns volumes of shape {list(volumes.shape)} into {list(shape) or type(logits).__name__}, not "
                    f"into logits [batch, class] of {classes} classes: wrap it, or name as many classes as it has."
                )
            found: torch.Tensor = logits[:, :, None, None, None].expand(-1, -1, *volumes.shape[2:])
            return found

    return AsVoxels()
