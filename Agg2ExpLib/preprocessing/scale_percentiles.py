"""Scales the values between an image's own percentiles to a range, as MONAI's ``ScaleIntensityRangePercentiles`` does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InputError
from .percentiles import check_percentiles, percentile
from .scale_range import ScaleRange
from .step import Intensity, check_flag, check_numbers

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class ScalePercentiles(Intensity):
    """The two percentiles become ``b_min`` and ``b_max``.

    Attributes:
        lower, upper: percentiles, 0 to 100.
        b_min, b_max: lowest and highest intensity.
        clip: values beyond become ``b_min`` or ``b_max``.
        relative: the percentiles become the same shares of the way from ``b_min`` to ``b_max``.
    """

    name = "scale_percentiles"

    lower: float
    upper: float
    b_min: float
    b_max: float
    clip: bool = False
    relative: bool = False

    def __post_init__(self) -> None:
        check_percentiles(self, self.lower, self.upper)
        check_numbers(self, "b_min", self.b_min, 1)
        check_numbers(self, "b_max", self.b_max, 1)
        check_flag(self, "clip", self.clip)
        check_flag(self, "relative", self.relative)

    def fitted(self, values: np.ndarray) -> Intensity:
        """The linear scale from this image's percentiles.

        Raises:
            InputError: both are the same value.
        """
        low, high = percentile(values, self.lower), percentile(values, self.upper)
        if low == high:
            raise InputError(
                f"The percentiles {self.lower:g} and {self.upper:g} of the CT are the same value, so it cannot be scaled as the "
                "model wants: check the CT."
            )
        shares = (self.lower / 100, self.upper / 100) if self.relative else (0.0, 1.0)
        b_min, b_max = ((self.b_max - self.b_min) * share + self.b_min for share in shares)
        return ScaleRange(low, high, b_min, b_max, self.clip)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Scaled by the percentiles of these very values."""
        return self.fitted(values).apply(values)

    def words(self) -> str:
        """What it does."""
        return f"percentiles {self.lower:g} and {self.upper:g} scaled to {self.b_min:g} to {self.b_max:g}" + (
            ", clipped" if self.clip else ", not clipped"
        )
