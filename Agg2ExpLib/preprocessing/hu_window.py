"""Clips HU to a window and scales them to the range that a network was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InputError
from ..io.ct_values import scale_intensity
from .step import Intensity, check_numbers

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class HuWindow(Intensity):
    """MONAI's ``ScaleIntensityRange`` with ``clip=True``.

    Attributes:
        hu_window: HU that become the two ends of ``intensity_range``; values beyond are clipped.
        intensity_range: lowest and highest intensity.
    """

    name = "hu_window"

    hu_window: tuple[float, float]
    intensity_range: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        for key in ("hu_window", "intensity_range"):
            low, high = check_numbers(self, key, getattr(self, key), 2)
            if not low < high:
                raise InputError(f"'{key}' of the preprocessing step '{self.name}' must rise, not {low:g} to {high:g}.")

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Intensities of HU."""
        return scale_intensity(values, self.hu_window, self.intensity_range)

    def words(self) -> str:
        """What it does."""
        (low, high), (begin, end) = self.hu_window, self.intensity_range
        return f"HU {low:g} to {high:g} scaled to {begin:g} to {end:g}"
