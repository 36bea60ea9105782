"""Brings an image to mean 0 and standard deviation 1: nnU-Net's ``ZScoreNormalization``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .step import Intensity

LEAST_DEVIATION = 1e-8


@dataclass(frozen=True)
class Zscore(Intensity):
    """``(value - mean) / deviation`` with what the image itself has.

    Attributes:
        masked: whether only the body of the image counts: voxels that are not 0, and what they enclose. The others stay 0.
    """

    name = "zscore"

    masked: bool = False

    def fitted(self, values: np.ndarray) -> Intensity:
        """With mean and deviation of this image, and its mask."""
        single = values.astype(np.float32, copy=False)
        mask = None
        if self.masked:
            from scipy.ndimage import binary_fill_holes

            mask = binary_fill_holes(single != 0)
        counted = single if mask is None else single[mask]
        if not counted.size:
            return _Settled(self.masked, 0.0, 1.0, mask)
        return _Settled(self.masked, float(counted.mean()), max(float(counted.std()), LEAST_DEVIATION), mask)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Intensities, by the numbers of ``values`` themselves."""
        return self.fitted(values).apply(values)

    def words(self) -> str:
        """What it does."""
        return "mean 0 and standard deviation 1" + (" within the body" if self.masked else "")


@dataclass(frozen=True, eq=False)
class _Settled(Zscore):
    """With the numbers of one image; for values of any other shape there is no mask."""

    mean: float = 0.0
    deviation: float = 1.0
    mask: np.ndarray | None = None

    def fitted(self, values: np.ndarray) -> Intensity:
        return self

    def apply(self, values: np.ndarray) -> np.ndarray:
        scaled = np.array(values, dtype=np.float32, order="C")
        if self.mask is None or self.mask.shape != scaled.shape:
            scaled -= np.float32(self.mean)
            scaled /= np.float32(self.deviation)
        else:
            scaled[self.mask] = (scaled[self.mask] - np.float32(self.mean)) / np.float32(self.deviation)
        return scaled
