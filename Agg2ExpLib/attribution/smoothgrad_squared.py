"""SmoothGrad-squared (Hooker et al. 2019, arXiv:1806.10758): the mean of the squared gradient over noisy copies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .method import Request, collecting_bytes
from .noise import NoisyCopies
from .sums import collect_gradients

if TYPE_CHECKING:
    import torch


@dataclass
class SmoothGradSquared(NoisyCopies):
    """``e_c = 1/n Σ_s (∂f̂_c/∂x (x + ε_s))²``: never negative; equals captum's ``smoothgrad_sq`` for the same noise."""

    name = "smoothgrad_squared"
    title = "SmoothGrad-squared"
    summary = "Squared gradients averaged over noisy copies: unsigned, sharply peaked on the voxels that matter most."
    when = "To rank voxels or to find the few that matter most, where the sign is of no interest."

    def memory(self, labels: int) -> float:
        """The sums of all copies and of the group."""
        return collecting_bytes(8, labels)

    def explain(self, request: Request) -> dict[str, torch.Tensor]:
        """Maps without sign, in squared logits per squared unit of image intensity."""
        return collect_gradients(
            request,
            self.groups(),
            lambda sample: self.copy(request.image, sample),
            lambda gradient, sample: gradient.square_(),
        )
