"""Sensitivity (equation 9 of the paper; Yeh et al. 2019, arXiv:1901.09392): how much a map changes when the CT hardly does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .normalise import ZERO_MAP, largest_value, normalised
from .score import Score

if TYPE_CHECKING:
    import torch

UNIT = "relative change"
SCALE_UNIT = "ratio"
NOISES = ("uniform", "gaussian")
_PURPOSE = 2002


def noisy_copy(image: torch.Tensor, copy: int, radius: float, noise: str, seed: int) -> torch.Tensor:
    """``x + ε``, ``[x, y, z]`` in the image's dtype on its device; the noise depends on seed and copy alone. Nothing is clipped.

    Args:
        image: model-grid image ``[x, y, z]``.
        copy: number of the copy.
        radius: of the noise in units of the image's intensity.
        noise: ``uniform`` in ±radius, or ``gaussian`` with standard deviation ``radius``.
        seed: of the evaluation.
    """
    import torch

    generator, shape = np.random.default_rng([seed, copy, _PURPOSE]), tuple(image.shape)
    if noise == "gaussian":
        values = generator.standard_normal(shape, dtype=np.float32)
    else:
        values = 2 * generator.random(shape, dtype=np.float32) - 1
    return image + radius * torch.from_numpy(values).to(image.device, image.dtype)


@dataclass
class Sensitivity:
    """Mean over noisy copies of ``‖e − e′‖_F / ‖e‖_F`` for one label.

    Both maps are normalised by their own max |e| first, as for all metrics. A factor between the two maps therefore does not count
    as a change; ``scale`` tells it.
    """

    changes: list[float] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)
    undefined: str = ""

    def add(self, clean: torch.Tensor, noisy: torch.Tensor) -> None:
        """Take in the map of one noisy copy.

        Args:
            clean: map ``[x, y, z]`` of the clean image, as the method gave it.
            noisy: map of the copy, on the same device.

        Raises:
            FloatingPointError: a map holds a value that is not finite.
        """
        one, other = normalised(clean), normalised(noisy)
        if one is None or other is None:
            self.undefined = ZERO_MAP if one is None else "the map of a noisy copy is zero everywhere, so it cannot be normalised"
            return
        change = (one - other).double().norm() / one.double().norm()
        self.changes.append(float(change))
        self.scales.append(largest_value(noisy) / largest_value(clean))

    def score(self) -> Score:
        """The mean relative change."""
        return Score(None, self.undefined) if self.undefined else Score(float(np.mean(self.changes)))

    def scale(self) -> Score:
        """Mean of ``max |e′| / max |e|``: what normalising takes out."""
        return Score(None, self.undefined) if self.undefined else Score(float(np.mean(self.scales)))
