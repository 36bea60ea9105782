"""What a reader of models hands over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from .model_card import ModelCard


@dataclass(frozen=True)
class Loaded:
    """A network from files with its card.

    Attributes:
        network: float32, on the CPU, in ``eval()``, its weights in it and without gradients.
        card: labels and settings; its ``network`` holds the class and arguments that were built.
        name: of the model, in results.
        sha256: of its weights.
        architecture: one line for people.
        warnings: sentences for the user.
    """

    network: torch.nn.Module
    card: ModelCard
    name: str
    sha256: str
    architecture: str
    warnings: tuple[str, ...] = ()
