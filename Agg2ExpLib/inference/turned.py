"""A network whose arrays have other axes than ours, behind ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..io.turn import Turn

if TYPE_CHECKING:
    import torch


def turned(network: torch.nn.Module, turn: Turn) -> torch.nn.Module:
    """The network for windows ``[b, 1, x, y, z]`` in our order of axes; the network itself where that is its own order.

    The gradient flows back through the same turn, so that it is exact. ``network.inner`` is the network, ``network.turn`` the turn.
    """
    if turn.is_identity:
        return network
    import torch

    class Turned(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.turn = network, turn
            self.training = network.training

        def forward(self, windows: torch.Tensor) -> Any:
            output = self.inner(turn.tensor_forth(windows))
            # What is no map of logits is told by who asked for one.
            return turn.tensor_back(output) if isinstance(output, torch.Tensor) and output.dim() == 5 else output

    return Turned()


def inner(network: Any) -> Any:
    """The network behind a turn; itself where there is none."""
    return getattr(network, "inner", network) if hasattr(network, "turn") else network


def turn_of(network: Any) -> Turn:
    """From our order of axes to the network's."""
    found: Turn = getattr(network, "turn", None) or Turn()
    return found
