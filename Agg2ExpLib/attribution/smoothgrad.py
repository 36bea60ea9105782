"""SmoothGrad (equation 4 of the paper; Smilkov et al. 2017): the mean gradient over noisy copies of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InputError
from .method import Request, equal_groups, parameter
from .noise import NoisyCopies
from .sums import mean_of_gradients

if TYPE_CHECKING:
    import torch


@dataclass
class SmoothGrad(NoisyCopies):
    """``e_c = 1/n Σ_s ∂f̂_c/∂x (x + ε_s)``.

    With ``antithetic`` the copies come in pairs ``x ± ε_s`` (Hammersley & Morton 1956): the part of the gradient that is linear in
    the noise cancels within a pair, so that the map has a smaller error for the same number of copies.

    Args:
        samples, sigma, seed: see :class:`~.noise.NoisyCopies`.
        antithetic: whether the noise comes in pairs of opposite sign.

    Raises:
        InputError: a bad parameter, or an odd number of samples in pairs.
    """

    name = "smoothgrad"
    title = "SmoothGrad"
    summary = "Gradients averaged over noisy copies of the CT: clear signed maps with a known error."
    when = "The paper's choice and the default: use it unless there is a reason not to."

    antithetic: bool = parameter(False, "noise in pairs of opposite sign, for a smaller error")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.antithetic and self.samples % 2:
            raise InputError(f"Antithetic noise comes in pairs: set ⟨samples⟩ to an even number, not {self.samples}.")

    def groups(self) -> list[Sequence[int]]:
        """Samples that are computed together; never half a pair, so that groups stay independent."""
        return equal_groups(self.samples, self.least, self.antithetic)

    def copy(self, image: torch.Tensor, sample: int) -> torch.Tensor:
        """``x + ε_s``, or ``x ± ε_(s // 2)`` in pairs, ``[x, y, z]`` in the image's dtype on its device."""
        if not self.antithetic:
            return super().copy(image, sample)
        noise = self.noise(image, sample // 2)
        return image - noise if sample % 2 else image + noise

    def explain(self, request: Request) -> dict[str, torch.Tensor]:
        """Signed maps, in logits per unit of image intensity."""
        return mean_of_gradients(request, self.groups(), lambda sample: self.copy(request.image, sample))
