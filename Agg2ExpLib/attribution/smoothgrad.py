"""SmoothGrad (equation 4 of the paper; Smilkov et al. 2017): the mean gradient over noisy copies of the image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    import torch

_GROUPS = 5
_LARGEST_GROUP = 4


class SmoothGrad:
    """``e_c = 1/n Σ_s ∂f̂_c/∂x (x + ε_s)`` with ``ε_s ~ N(0, (σ · (max x − min x))²)`` in every voxel.

    The noise of sample s depends on the seed and s alone: not on device, precision, windows or batch.

    Args:
        samples: n.
        sigma: noise level σ relative to the image's range.
        seed: of the noise.

    Raises:
        InputError: no samples, or a noise level that is not positive.
    """

    name = "smoothgrad"
    summary = "The paper's choice: gradients averaged over noisy copies; clear maps with a known error."
    random = True

    def __init__(self, samples: int = 20, sigma: float = 0.1, seed: int = 0):
        if samples < 1:
            raise InputError(f"SmoothGrad needs at least one noise sample, not {samples}: set --samples to 20, say.")
        if not (sigma > 0 and math.isfinite(sigma)):
            raise InputError(
                f"SmoothGrad's noise must be a positive number, not {sigma:g}: set --sigma to 0.1 or use --method gradient."
            )
        if seed < 0:
            raise InputError(f"The seed must not be negative, but it is {seed}.")
        self.samples, self.sigma, self.seed = samples, sigma, seed

    def groups(self) -> list[Sequence[int]]:
        """Samples in groups of equal size (1 to 4, for at least 5 groups where there are enough); a rest makes a smaller last one.

        After each group a better map is there to show, and the spread between groups gives the Monte-Carlo error. The groups are
        the same on every machine, so that the error is too.
        """
        size = max(1, min(_LARGEST_GROUP, self.samples // _GROUPS))
        return [range(start, min(start + size, self.samples)) for start in range(0, self.samples, size)]

    def copy(self, image: torch.Tensor, sample: int) -> torch.Tensor:
        """``x + ε_s``, ``[x, y, z]`` in the image's dtype on its device."""
        import numpy as np
        import torch

        noise = np.random.default_rng([self.seed, sample]).standard_normal(tuple(image.shape), dtype=np.float32)
        scale = self.sigma * float(image.max() - image.min())
        return image + scale * torch.from_numpy(noise).to(image.device, image.dtype)
