"""Whole volumes for training: brought to one field of view and varied at random by MONAI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def fitted(volume: np.ndarray, shape: Sequence[int], outside: float) -> np.ndarray:
    """A volume ``[x, y, z]`` cropped and filled up around its middle to ``shape``, ``outside`` where it has nothing."""
    crop = tuple(
        slice(max(0, (n - side) // 2), max(0, (n - side) // 2) + min(n, side)) for n, side in zip(volume.shape, shape, strict=True)
    )
    part = volume[crop]
    before = [(side - n) // 2 for n, side in zip(part.shape, shape, strict=True)]
    widths = [(low, side - n - low) for n, side, low in zip(part.shape, shape, before, strict=True)]
    return np.pad(part, widths, constant_values=outside) if any(map(sum, widths)) else part


class Variation:
    """Turns, sizes, shifts, noise, blur and brightness of whole volumes at random; left and right never change places.

    Args:
        shape: voxels of the volumes.
        window: HU range, of which the strength of noise and shifts of brightness are parts.
    """

    def __init__(self, shape: Sequence[int], window: Sequence[float]):
        from monai import transforms

        width = float(window[1] - window[0])
        self._vary: Any = transforms.Compose(
            [
                transforms.RandAffine(
                    prob=0.7,
                    rotate_range=(0.15, 0.15, 0.15),
                    scale_range=(0.1, 0.1, 0.1),
                    translate_range=[0.06 * side for side in shape],
                    mode="bilinear",
                    padding_mode="border",
                ),
                transforms.RandGaussianNoise(prob=0.3, std=0.015 * width),
                transforms.RandGaussianSmooth(prob=0.2, sigma_x=(0.3, 1), sigma_y=(0.3, 1), sigma_z=(0.3, 1)),
                transforms.RandScaleIntensity(prob=0.3, factors=0.05),
                transforms.RandShiftIntensity(prob=0.3, offsets=0.01 * width),
            ]
        )

    def __call__(self, volume: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Another float32 volume ``[x, y, z]``, which depends on nothing but the arguments."""
        from monai.data.meta_obj import get_track_meta, set_track_meta

        self._vary.set_random_state(seed=int(rng.integers(2**31)))
        tracked = get_track_meta()
        set_track_meta(False)  # nobody reads it, and keeping it takes a quarter of the time for small volumes
        try:
            return np.asarray(self._vary(volume[None].astype(np.float32))[0], np.float32)
        finally:
            set_track_meta(tracked)
