"""Vanilla gradient (equation 3 of the paper): ``e_c = ∂f̂_c/∂x``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .method import Method, Request
from .sums import mean_of_gradients

if TYPE_CHECKING:
    import torch


@dataclass
class Gradient(Method):
    """The gradient at the clean image: one pass, no randomness, but noisy to look at."""

    name = "gradient"
    title = "Gradient"
    summary = "The plain gradient: the fastest exact map, grainy to look at."
    when = "For a first look, or to compare many patients in little time."

    def copy(self, image: torch.Tensor, sample: int) -> torch.Tensor:
        """The image itself, ``[x, y, z]``."""
        return image

    def explain(self, request: Request) -> dict[str, torch.Tensor]:
        """Signed maps, in logits per unit of image intensity."""
        return mean_of_gradients(request, [[0]], lambda sample: request.image)
