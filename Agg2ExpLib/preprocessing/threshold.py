"""Replaces what lies beyond a threshold, as MONAI's ``ThresholdIntensity`` does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .step import Intensity, check_flag, check_numbers


@dataclass(frozen=True)
class Threshold(Intensity):
    """Keeps values above (or below) a threshold.

    Attributes:
        threshold: what is kept lies beyond it.
        above: what is kept lies above; else below.
        cval: value of all the rest.
    """

    name = "threshold"

    threshold: float
    above: bool = True
    cval: float = 0.0

    def __post_init__(self) -> None:
        check_numbers(self, "threshold", self.threshold, 1)
        check_numbers(self, "cval", self.cval, 1)
        check_flag(self, "above", self.above)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """The values, those not kept replaced."""
        image = np.asarray(values, dtype=np.float32)
        return np.where(image > self.threshold if self.above else image < self.threshold, image, np.float32(self.cval))

    def words(self) -> str:
        """What it does."""
        return f"values not {'above' if self.above else 'below'} {self.threshold:g} set to {self.cval:g}"
