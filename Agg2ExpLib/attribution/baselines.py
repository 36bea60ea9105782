"""Where integrated gradients starts: an image that stands for nothing (Sturmfels et al. 2020, doi:10.23915/distill.00022)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    import torch

BASELINES = ("zero", "air", "mean", "blurred", "uniform")


def check_blur(blur: float) -> None:
    """Refuse a blur that is none.

    Raises:
        InputError: it is not a positive number.
    """
    if not (blur > 0 and math.isfinite(blur)):
        raise InputError(f"The blur of the baseline must be a positive number of voxels, not {blur:g}: set ⟨blur⟩ to 10, say.")


def make_baseline(name: str, image: torch.Tensor, air: float, blur: float = 10.0, seed: int = 0) -> torch.Tensor:
    """A baseline ``x'``, ``[x, y, z]`` in the image's dtype on its device.

    Args:
        name: ``zero``; ``air``, the lowest HU that the network can be given; ``mean`` of the image; ``blurred``, the image through
            a Gaussian; ``uniform``, random between the image's extremes.
        image: model-grid image ``[x, y, z]``.
        air: intensity of the lowest HU.
        blur: standard deviation of the Gaussian in voxels.
        seed: of the random baseline.

    Raises:
        InputError: another name.
    """
    import numpy as np
    import torch

    if name == "zero":
        return torch.zeros_like(image)
    if name == "air":
        return torch.full_like(image, air)
    if name == "mean":
        return torch.full_like(image, float(image.mean()))
    if name == "blurred":
        from scipy.ndimage import gaussian_filter

        return torch.from_numpy(gaussian_filter(image.cpu().numpy(), blur, mode="nearest")).to(image.device)
    if name == "uniform":
        values = np.random.default_rng(seed).random(tuple(image.shape), dtype=np.float32)
        low, high = float(image.min()), float(image.max())
        return low + (high - low) * torch.from_numpy(values).to(image.device, image.dtype)
    raise InputError(f"Unknown baseline '{name}': choose one of {', '.join(BASELINES)}.")
