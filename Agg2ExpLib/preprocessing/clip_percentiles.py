"""Clips an image at its own percentiles, as MONAI's ``ClipIntensityPercentiles`` does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .clip import Clip
from .percentiles import check_percentiles, percentile
from .step import Intensity

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class ClipPercentiles(Intensity):
    """Values beyond two percentiles of the image become those.

    Attributes:
        lower, upper: percentiles, 0 to 100.
    """

    name = "clip_percentiles"

    lower: float = 0.0
    upper: float = 100.0

    def __post_init__(self) -> None:
        check_percentiles(self, self.lower, self.upper)

    def fitted(self, values: np.ndarray) -> Intensity:
        """Clipping at this image's percentiles."""
        return Clip(percentile(values, self.lower), percentile(values, self.upper))

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Clipped at the percentiles of these very values."""
        return self.fitted(values).apply(values)

    def words(self) -> str:
        """What it does."""
        return f"clipped at its percentiles {self.lower:g} and {self.upper:g}"
