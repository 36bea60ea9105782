"""VarGrad (Adebayo et al. 2018, arXiv:1810.03292): how much the gradient varies over noisy copies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .method import Request, collecting_bytes
from .noise import NoisyCopies
from .sums import Variance, collect_gradients

if TYPE_CHECKING:
    import torch


@dataclass
class VarGrad(NoisyCopies):
    """``e_c = 1/(n − 1) Σ_s (g_s − ḡ)²`` with ``g_s = ∂f̂_c/∂x (x + ε_s)``.

    The unbiased variance; captum's ``vargrad`` divides by n. RoI shares do not depend on which. Zero where the model is linear.
    """

    name = "vargrad"
    title = "VarGrad"
    summary = "Variance of the gradient over noisy copies: unsigned, shows where the model's response bends."
    when = "To find where the model is non-linear or undecided, such as edges; it is blind to what acts linearly."

    @property
    def least(self) -> int:
        """A variance needs two samples."""
        return 2

    def memory(self, labels: int) -> float:
        """Mean and squares, of all copies and of the group."""
        return collecting_bytes(16, labels)

    def explain(self, request: Request) -> dict[str, torch.Tensor]:
        """Maps without sign, in squared logits per squared unit of image intensity."""
        return collect_gradients(
            request, self.groups(), lambda sample: self.copy(request.image, sample), lambda gradient, sample: gradient, Variance
        )
