"""Clips intensities at two values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .step import Intensity, check_numbers


@dataclass(frozen=True)
class Clip(Intensity):
    """Values beyond become ``low`` or ``high``.

    Attributes:
        low, high: the ends.
    """

    name = "clip"

    low: float
    high: float

    def __post_init__(self) -> None:
        check_numbers(self, "low", self.low, 1)
        check_numbers(self, "high", self.high, 1)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Clipped values."""
        return np.clip(np.asarray(values, dtype=np.float32), np.float32(self.low), np.float32(self.high))

    def words(self) -> str:
        """What it does."""
        return f"clipped to {self.low:g} to {self.high:g}"
