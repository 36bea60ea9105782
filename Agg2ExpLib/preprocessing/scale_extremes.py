"""Scales an image's own lowest and highest value to a range, as MONAI's ``ScaleIntensity`` does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .scale_range import ScaleRange
from .step import Intensity, check_numbers


@dataclass(frozen=True)
class ScaleExtremes(Intensity):
    """The lowest value becomes ``minv``, the highest ``maxv``.

    Attributes:
        minv, maxv: the new ends.
    """

    name = "scale_extremes"

    minv: float = 0.0
    maxv: float = 1.0

    def __post_init__(self) -> None:
        check_numbers(self, "minv", self.minv, 1)
        check_numbers(self, "maxv", self.maxv, 1)

    def fitted(self, values: np.ndarray) -> Intensity:
        """The linear scale from this image's lowest and highest value."""
        low, high = float(values.min()), float(values.max())
        # MONAI multiplies an image of one value by ``minv``.
        return ScaleRange(0.0, 1.0, 0.0, self.minv) if low == high else ScaleRange(low, high, self.minv, self.maxv)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Scaled by the ends of these very values."""
        return self.fitted(values).apply(values)

    def words(self) -> str:
        """What it does."""
        return f"lowest to highest value scaled to {self.minv:g} to {self.maxv:g}"
