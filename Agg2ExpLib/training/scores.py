"""What every validation answers, whatever was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch


class Scores(Protocol):
    """What a validation found."""

    @property
    def mean(self) -> float:
        """The one number by which validations are compared; NaN where there is nothing to measure."""
        ...

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """For each set of cases plain values: ``volumes``, how many there were, ``mean``, and whatever else was measured."""
        ...

    def lines(self) -> Sequence[str]:
        """For people, at the end of the run."""
        ...


def device_of(network: torch.nn.Module) -> torch.device:
    """Where a network lies, and is asked."""
    import torch

    return next((weight.device for weight in network.parameters()), torch.device("cpu"))
