"""The derivative of a model's intensities with respect to HU, voxel by voxel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..preprocessing.clip import Clip
from ..preprocessing.ct_normalisation import LEAST_DEVIATION, CtNormalisation
from ..preprocessing.hu_window import HuWindow
from ..preprocessing.step import Intensity

_STEP = 0.01  # of a difference quotient, as a share of the spread of the values


def slope(steps: Sequence[Intensity], hu: np.ndarray) -> np.ndarray:
    """``d intensity / d HU`` of the steps one after the other, float32 of the same shape.

    Exact for the steps that scale HU by a window, at whose ends it is that of the inside; a difference quotient for the rest.

    Args:
        steps: settled for the CT, see :class:`~Agg2ExpLib.preprocessing.preprocessing.Prepared`.
        hu: any shape.
    """
    values = np.asarray(hu, dtype=np.float32)
    total = np.ones_like(values)
    for step in steps:
        total *= _slope_of(step, values)
        values = step.apply(values)
    return total


def _slope_of(step: Intensity, values: np.ndarray) -> np.ndarray:
    if isinstance(step, HuWindow):
        low, high = step.hu_window
        rise = (step.intensity_range[1] - step.intensity_range[0]) / (high - low)
        return np.where((values >= low) & (values <= high), np.float32(rise), np.float32(0))
    if isinstance(step, CtNormalisation):
        low, high = step.hu_window
        rise = 1 / max(step.deviation, LEAST_DEVIATION)
        return np.where((values >= low) & (values <= high), np.float32(rise), np.float32(0))
    if isinstance(step, Clip):
        return ((values >= step.low) & (values <= step.high)).astype(np.float32)
    width = np.float32(max(_STEP * float(np.std(values)), 1e-6))
    rise = (step.apply(values + width).astype(np.float64) - step.apply(values - width)) / (2 * width)
    return rise.astype(np.float32)
