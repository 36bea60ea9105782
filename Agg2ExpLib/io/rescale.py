"""Stored values to the values meant, ``slope · stored + intercept``, exactly where these are whole numbers."""

from __future__ import annotations

import numpy as np


def rescaled(array: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """``array · slope + intercept``: int16 where the values are whole numbers that fit, else float32. May work in place."""
    if slope == 1 and intercept == 0:
        return array
    if array.dtype.kind in "iu" and slope.is_integer() and intercept.is_integer() and array.size:
        ends = [int(value) * int(slope) + int(intercept) for value in (array.min(), array.max())]
        if fits_int16(*ends):
            # Sums and products modulo 2^16 end at the right value, since that fits.
            result = array.astype(np.int16, copy=False)
            result *= np.array(int(slope) % 2**16, dtype=np.uint16).view(np.int16)
            result += np.array(int(intercept) % 2**16, dtype=np.uint16).view(np.int16)
            return result
    floats: np.ndarray = array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32)
    with np.errstate(over="ignore"):  # what becomes infinite is refused as such
        floats *= slope
        floats += intercept
        return floats.astype(np.float32, copy=False)


def fits_int16(*values: float) -> bool:
    """Whether all values lie in the range of int16."""
    return min(values) >= -32768 and max(values) <= 32767
