"""A network without its background channel, for outputs whose labels may overlap: there the background is no label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def without_background(network: torch.nn.Module) -> torch.nn.Module:
    """The network with its first output channel left out."""
    import torch

    class WithoutBackground(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.training = network.training

        def forward(self, windows: torch.Tensor) -> Any:
            return self.network(windows)[:, 1:]

    return WithoutBackground()
