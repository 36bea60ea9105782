"""Bends intensities by a curve that levels off, as Auto3DSeg does after its linear scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .step import Intensity

CURVES = {"sigmoid": "1 / (1 + exp(-x))", "tanh": "3 tanh(x / 3)"}


@dataclass(frozen=True)
class Squash(Intensity):
    """A curve over all values.

    Attributes:
        curve: ``sigmoid``: 1 / (1 + exp(-x)); ``tanh``: 3 tanh(x / 3).
    """

    name = "squash"

    curve: str = "sigmoid"

    def __post_init__(self) -> None:
        if self.curve not in CURVES:
            raise InputError(f"'curve' of the preprocessing step 'squash' must be {' or '.join(CURVES)}, not {self.curve!r}.")

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Values on the curve."""
        from scipy.special import expit

        image = np.asarray(values, dtype=np.float32)
        bent: np.ndarray = expit(image) if self.curve == "sigmoid" else np.float32(3) * np.tanh(image / np.float32(3))
        return bent

    def words(self) -> str:
        """What it does."""
        return CURVES[self.curve]
