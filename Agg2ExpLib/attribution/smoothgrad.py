"""SmoothGrad (equation 4 of the paper; Smilkov et al. 2017): the mean gradient over noisy copies of the image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .method import Request, equal_groups, parameter
from .noise import NoisyCopies
from .sums import mean_of_gradients

if TYPE_CHECKING:
    import torch

    from ..io.grid import Grid
    from ..models.model import Model
    from ..monitor import Monitor

# With a tolerance: the most samples by default, those of the first look at the error, and those that an error of 0.5 points takes.
MOST_SAMPLES, FIRST_SAMPLES, USUAL_SAMPLES = 200, 8, 24


@dataclass
class SmoothGrad(NoisyCopies):
    """``e_c = 1/n Σ_s ∂f̂_c/∂x (x + ε_s)``.

    With ``antithetic`` the copies come in pairs ``x ± ε_s`` (Hammersley & Morton 1956): the part of the gradient that is linear in
    the noise cancels within a pair, so that the map has a smaller error for the same number of copies.

    Args:
        samples, sigma, seed: see :class:`~.noise.NoisyCopies`.
        antithetic: whether the noise comes in pairs of opposite sign; an odd number of samples is then rounded up.
        tolerance: take samples until each label's largest ``limit_error``, in percentage points, is no larger; at most ``samples``.

    Raises:
        InputError: a bad parameter.
    """

    name = "smoothgrad"
    title = "SmoothGrad"
    summary = "Gradients averaged over noisy copies of the CT: clear signed maps with a known error."
    when = "The paper's choice and the default: use it unless there is a reason not to."

    antithetic: bool = parameter(True, "noise in pairs of opposite sign, for a smaller error")
    tolerance: float | None = parameter(
        None, "take samples until the error of every share is below this many percentage points, such as 0.5"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tolerance is not None and not (self.tolerance > 0 and math.isfinite(self.tolerance)):
            raise InputError(
                f"⟨tolerance⟩ is an error in percentage points above 0, not {self.tolerance:g}: set it to 0.5, say, or leave it "
                "out for a fixed number of ⟨samples⟩."
            )
        if self.tolerance is not None and not self.limit:
            raise InputError("⟨tolerance⟩ is about the error of ⟨limit⟩: leave out one of the two.")
        self._asked = self.samples
        if self.antithetic:
            self.samples += self.samples % 2

    @classmethod
    def completed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """With a tolerance, samples that were not given are as many as a demanding one takes."""
        return {"samples": MOST_SAMPLES, **values} if values.get("tolerance") is not None else values

    @property
    def wanted_error(self) -> float | None:
        """The tolerance."""
        return self.tolerance

    def cost(self) -> float | None:
        """Copies of the image; with a tolerance those that a usual CT takes (measured: the error falls like n^-½)."""
        if self.tolerance is None:
            return float(self.samples)
        return min(max(USUAL_SAMPLES * (0.5 / self.tolerance) ** 2, FIRST_SAMPLES), float(self.samples))

    def prepare(self, model: Model, grid: Grid, monitor: Monitor) -> None:
        """Tell of a number of samples that was rounded."""
        if self.samples != self._asked:
            monitor.notice(f"Noise comes in pairs of opposite sign: {self.samples} samples are taken instead of {self._asked}.")

    def groups(self) -> list[Sequence[int]]:
        """Samples that are computed together; never half a pair, so that groups stay independent."""
        if self.tolerance is not None:
            size = 2 if self.antithetic else 1
            return [range(start, start + size) for start in range(0, self.samples, size)]
        return equal_groups(self.samples, self.least, self.antithetic)

    def copy(self, image: torch.Tensor, sample: int) -> torch.Tensor:
        """``x + ε_s``, or ``x ± ε_(s // 2)`` in pairs, ``[x, y, z]`` in the image's dtype on its device."""
        if not self.antithetic:
            return super().copy(image, sample)
        noise = self.noise(image, sample // 2)
        return image - noise if sample % 2 else image + noise

    def explain(self, request: Request) -> dict[str, torch.Tensor]:
        """Signed maps, in logits per unit of image intensity."""
        if not self.antithetic:
            return mean_of_gradients(request, self.groups(), lambda sample: self.copy(request.image, sample))
        drawn: dict[int, torch.Tensor] = {}  # noise whose other half is still to come: on a GPU drawing it counts

        def copy(sample: int) -> torch.Tensor:
            pair, second = divmod(sample, 2)
            noise = drawn.pop(pair) if pair in drawn else self.noise(request.image, pair)
            if second:
                return request.image - noise
            drawn[pair] = noise
            return request.image + noise

        return mean_of_gradients(request, self.groups(), copy)
