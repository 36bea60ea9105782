"""Several passes of a window whose logits are averaged: the folds of a cross-validation, and mirrored windows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def averaged(networks: Sequence[torch.nn.Module], mirror_axes: Sequence[int] = ()) -> torch.nn.Module:
    """One network that returns the mean logits of several, each also over the window mirrored along all sets of axes.

    The mean is linear, so its gradient is the mean of the gradients, mirrored back. Each pass keeps nothing for the way back but
    its window and is done again there, so that memory stays near that of one pass. Where there is one pass only, its network is
    returned.

    Args:
        networks: each maps ``[b, 1, …]`` to logits ``[b, l, …]``.
        mirror_axes: 0, 1 and 2 for the first to third axis of the network's windows.
    """
    axes = sorted(2 + axis for axis in set(mirror_axes))
    flips = [part for number in range(len(axes) + 1) for part in itertools.combinations(axes, number)]
    if len(networks) == len(flips) == 1:
        return networks[0]
    import torch
    from torch.utils.checkpoint import checkpoint

    class Averaged(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.members = torch.nn.ModuleList(networks)
            self.passes = len(networks) * len(flips)
            self.training = self.members.training = any(network.training for network in networks)

        def forward(self, windows: torch.Tensor) -> Any:
            total: Any = 0
            for network, flip in itertools.product(self.members, flips):
                seen = windows.flip(flip) if flip else windows
                if torch.is_grad_enabled() and seen.requires_grad:
                    logits = checkpoint(network, seen, use_reentrant=False, preserve_rng_state=False)
                else:
                    logits = network(seen)
                if not isinstance(logits, torch.Tensor):  # told by who asked for a map of logits
                    return logits
                total = total + (logits.flip(flip) if flip else logits)
            return total / self.passes

    return Averaged()


def is_averaged(network: Any) -> bool:
    """Whether a network is a mean of several passes, whose inner layers are run more than once."""
    return getattr(network, "passes", 1) > 1
