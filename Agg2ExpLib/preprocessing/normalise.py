"""Subtracts a mean and divides by a standard deviation, as MONAI's ``NormalizeIntensity`` does."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .step import Intensity, check_flag, check_numbers


@dataclass(frozen=True)
class Normalise(Intensity):
    """``(x - subtrahend) / divisor``.

    Attributes:
        subtrahend, divisor: numbers; None for the image's own mean and standard deviation.
        nonzero: voxels that are 0 stay so and do not count.
    """

    name = "normalise"

    subtrahend: float | None = None
    divisor: float | None = None
    nonzero: bool = False

    def __post_init__(self) -> None:
        for key in ("subtrahend", "divisor"):
            if getattr(self, key) is not None:
                check_numbers(self, key, getattr(self, key), 1)
        check_flag(self, "nonzero", self.nonzero)

    def fitted(self, values: np.ndarray) -> Intensity:
        """With this image's mean and standard deviation where none are given."""
        if self.subtrahend is not None and self.divisor is not None:
            return self
        import torch

        counted = torch.from_numpy(np.ascontiguousarray(values[values != 0] if self.nonzero else values, dtype=np.float32))
        if not counted.numel():  # nothing to normalise
            return replace(self, subtrahend=0.0, divisor=1.0)
        mean = float(counted.mean()) if self.subtrahend is None else self.subtrahend
        spread = float(counted.std(correction=0)) if self.divisor is None else self.divisor
        return replace(self, subtrahend=mean, divisor=spread)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Normalised values."""
        if self.subtrahend is None or self.divisor is None:
            return self.fitted(values).apply(values)
        # As MONAI, which divides by 1 what does not vary.
        scaled = (np.asarray(values, dtype=np.float32) - np.float32(self.subtrahend)) / np.float32(self.divisor or 1.0)
        return np.where(values == 0, np.float32(0), scaled) if self.nonzero else scaled

    def words(self) -> str:
        """What it does."""
        mean = "its mean" if self.subtrahend is None else f"{self.subtrahend:g}"
        spread = "its standard deviation" if self.divisor is None else f"{self.divisor:g}"
        return f"minus {mean}, divided by {spread}" + (", of the voxels that are not 0" if self.nonzero else "")
