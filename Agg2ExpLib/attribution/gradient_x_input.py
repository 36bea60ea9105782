"""Gradient × input (Shrikumar et al. 2016, arXiv:1605.01713): the gradient times the image it was taken at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .method import Method, Request, summing_bytes
from .sums import mean_of_gradients

if TYPE_CHECKING:
    import torch


@dataclass
class GradientTimesInput(Method):
    """``e_c = x ⊙ ∂f̂_c/∂x`` in the network's intensities, where air is 0 for the usual range [0, 1]."""

    name = "gradient_x_input"
    title = "Gradient × input"
    summary = "The gradient weighted by the voxel's own intensity: what each voxel adds, to first order; air gets nothing."
    when = "For a fast map in units of the output; integrated gradients are the better answer where time allows."

    def memory(self, labels: int) -> float:
        """The image beside the gradients."""
        return summing_bytes(1, 1, labels, own=4)

    def explain(self, request: Request) -> dict[str, torch.Tensor]:
        """Signed maps, in logits."""
        image = request.image.to(request.engine.buffer_device, request.engine.compute.dtype)
        return mean_of_gradients(request, [[0]], lambda sample: request.image, finish=image.mul)
