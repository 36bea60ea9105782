"""Vanilla gradient (equation 3 of the paper): ``e_c = ∂f̂_c/∂x``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class Gradient:
    """The gradient at the clean image: one pass, no randomness, but noisy to look at."""

    name = "gradient"
    summary = "Fastest: the plain gradient; grainy maps, good for a first look or for comparing many patients."
    samples = 1
    random = False

    def groups(self) -> list[Sequence[int]]:
        """The only copy, in one group."""
        return [[0]]

    def copy(self, image: torch.Tensor, sample: int) -> torch.Tensor:
        """The image itself, ``[x, y, z]``."""
        return image
