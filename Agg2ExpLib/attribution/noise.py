"""Noisy copies of the image, which SmoothGrad and its relatives share (Smilkov et al. 2017, arXiv:1706.03825)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InputError
from .method import Method, check_count, check_seed, equal_groups, parameter, summing_bytes

if TYPE_CHECKING:
    import torch


@dataclass
class NoisyCopies(Method):
    """A method that looks at ``x + ε_s`` with ``ε_s ~ N(0, (σ · (max x − min x))²)`` in every voxel.

    The noise of sample s depends on the seed and s alone: not on device, precision, windows or batch.

    Args:
        samples: number of copies.
        sigma: noise level σ relative to the image's range.
        seed: of the noise.
        limit: whether the importance for endless samples is told.

    Raises:
        InputError: too few samples, or a noise level that is not positive.
    """

    random = True

    samples: int = parameter(20, "random copies of the image")
    sigma: float = parameter(0.1, "noise level relative to the image's range")
    seed: int = parameter(0, "of the random numbers")
    limit: bool = parameter(True, "estimate the importance for endless samples beside that of the map")

    def __post_init__(self) -> None:
        check_count(self.title, "samples", "noise samples" if self.least > 1 else "noise sample", self.samples, self.least)
        if not (self.sigma > 0 and math.isfinite(self.sigma)):
            raise InputError(
                f"{self.title}'s noise must be a positive number, not {self.sigma:g}: set ⟨sigma⟩ to 0.1 or use ⟨method⟩ gradient."
            )
        check_seed(self.seed)

    @property
    def tells_limit(self) -> bool:
        """Where it is wanted."""
        return self.limit

    @property
    def least(self) -> int:
        """Fewest samples that mean something."""
        return 1

    def groups(self) -> list[Sequence[int]]:
        """Samples that are computed together, see :func:`~.method.equal_groups`."""
        return equal_groups(self.samples, self.least)

    def memory(self, labels: int) -> float:
        """The copies of a group, and their sums."""
        groups = self.groups()
        return summing_bytes(len(groups[0]), len(groups), labels)

    def noise(self, image: torch.Tensor, sample: int) -> torch.Tensor:
        """``ε_s``, ``[x, y, z]`` in the image's dtype on its device."""
        import numpy as np
        import torch

        noise = np.random.default_rng([self.seed, sample]).standard_normal(tuple(image.shape), dtype=np.float32)
        scale = self.sigma * float(image.max() - image.min())
        return scale * torch.from_numpy(noise).to(image.device, image.dtype)

    def copy(self, image: torch.Tensor, sample: int) -> torch.Tensor:
        """``x + ε_s``, ``[x, y, z]`` in the image's dtype on its device."""
        return image + self.noise(image, sample)
