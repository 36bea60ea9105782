"""Scales intensities linearly, as MONAI's ``ScaleIntensityRange`` does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .step import Intensity, check_flag, check_numbers


@dataclass(frozen=True)
class ScaleRange(Intensity):
    """``(x - a_min) / (a_max - a_min) * (b_max - b_min) + b_min``.

    Attributes:
        a_min, a_max: what becomes ``b_min`` and ``b_max``.
        b_min, b_max: lowest and highest intensity; with None for either the values from ``a_min`` to ``a_max`` become 0 to 1.
        clip: values beyond become ``b_min`` or ``b_max``, where it is given.
    """

    name = "scale_range"

    a_min: float
    a_max: float
    b_min: float | None = None
    b_max: float | None = None
    clip: bool = False

    def __post_init__(self) -> None:
        for key in ("a_min", "a_max", "b_min", "b_max"):
            value = getattr(self, key)
            if value is not None or key.startswith("a"):
                check_numbers(self, key, value, 1)
        if self.a_min == self.a_max:
            raise InputError("'a_min' and 'a_max' of the preprocessing step 'scale_range' must differ.")
        check_flag(self, "clip", self.clip)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Scaled values."""
        scaled = np.array(values, dtype=np.float32, order="K")
        scaled -= np.float32(self.a_min)
        scaled /= np.float32(self.a_max - self.a_min)
        if self.b_min is not None and self.b_max is not None:
            scaled *= np.float32(self.b_max - self.b_min)
            scaled += np.float32(self.b_min)
        if self.clip and (self.b_min is not None or self.b_max is not None):
            np.clip(scaled, self.b_min, self.b_max, out=scaled)
        return scaled

    def words(self) -> str:
        """What it does."""
        low, high = (
            (0.0 if self.b_min is None or self.b_max is None else self.b_min),
            (1.0 if self.b_min is None or self.b_max is None else self.b_max),
        )
        return f"{self.a_min:g} to {self.a_max:g} scaled to {low:g} to {high:g}" + (", clipped" if self.clip else ", not clipped")
