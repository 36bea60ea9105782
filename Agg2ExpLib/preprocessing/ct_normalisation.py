"""Clips HU and brings them to the mean and standard deviation of the training's foreground: nnU-Net's ``CTNormalization``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .step import Intensity, check_numbers

LEAST_DEVIATION = 1e-8


@dataclass(frozen=True)
class CtNormalisation(Intensity):
    """``(clip(hu) - mean) / deviation``.

    Attributes:
        hu_window: HU beyond which values are clipped.
        mean: HU that becomes 0.
        deviation: HU that become 1.
    """

    name = "ct_normalisation"

    hu_window: tuple[float, float]
    mean: float
    deviation: float

    def __post_init__(self) -> None:
        low, high = check_numbers(self, "hu_window", self.hu_window, 2)
        if not low < high:
            raise InputError(f"'hu_window' of the preprocessing step '{self.name}' must rise, not {low:g} to {high:g}.")
        check_numbers(self, "mean", self.mean, 1)
        if not check_numbers(self, "deviation", self.deviation, 1)[0] >= 0:
            raise InputError(f"'deviation' of the preprocessing step '{self.name}' must not be negative.")

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Intensities of HU."""
        scaled = np.array(values, dtype=np.float32, order="C")
        np.clip(scaled, *self.hu_window, out=scaled)
        scaled -= np.float32(self.mean)
        scaled /= np.float32(max(self.deviation, LEAST_DEVIATION))
        return scaled

    def words(self) -> str:
        """What it does."""
        low, high = self.hu_window
        return f"HU clipped to {low:g} to {high:g}, less {self.mean:g}, divided by {self.deviation:g}"
