"""The values of a CT: whether they can be Hounsfield units, and the intensities that a model wants."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .rescale import fits_int16

# A CT has air at about -1000 HU and soft tissue around 0.
HIGHEST_CT_MINIMUM = -200
SMALLEST_CT_RANGE = 200


def checked_hu(array: np.ndarray, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """A CT's voxels as int16 where they are whole numbers, else float32, and sentences about what is doubtful in them.

    Raises:
        InputError: NaN, infinite or constant voxels.
    """
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what becomes infinite is refused as such
            array = array.astype(np.float32, copy=False)
    lowest, highest = float(array.min()), float(array.max())
    if not np.isfinite(lowest) or not np.isfinite(highest):
        bad = sum(int(np.count_nonzero(~np.isfinite(array[..., plane]))) for plane in range(array.shape[-1]))
        raise InputError(f"{name} has {bad} voxels that are NaN or infinite: replace them, outside the body by -1000 HU.")
    if lowest == highest:
        raise InputError(f"{name} has the same value ({lowest:g}) in every voxel: it is not a CT, export it again.")
    if array.dtype.kind in "iu":
        array = array.astype(np.int16 if fits_int16(lowest, highest) else np.float32, copy=False)
    return array, _hu_warnings(lowest, highest)


def scale_intensity(
    hu: np.ndarray, hu_window: tuple[float, float], intensity_range: tuple[float, float] = (0.0, 1.0)
) -> np.ndarray:
    """Clip HU to a window and map it linearly to the range a network was trained on.

    Args:
        hu: any shape and type.
        hu_window: HU that become the two ends of ``intensity_range``.
        intensity_range: lowest and highest output.

    Returns:
        New float32 array of the same shape in C order.

    Raises:
        ValueError: for an empty window.
    """
    low, high = hu_window
    if not high > low:
        raise ValueError(f"hu_window must go up, not {low} to {high}")
    scaled = np.array(hu, dtype=np.float32, order="C")
    np.clip(scaled, low, high, out=scaled)
    scaled -= np.float32(low)
    scaled /= np.float32(high - low)
    scaled *= np.float32(intensity_range[1] - intensity_range[0])
    scaled += np.float32(intensity_range[0])
    return scaled


def _hu_warnings(lowest: float, highest: float) -> tuple[str, ...]:
    if lowest <= HIGHEST_CT_MINIMUM and highest - lowest >= SMALLEST_CT_RANGE and highest > HIGHEST_CT_MINIMUM:
        return ()
    return (
        f"The voxel values ({lowest:g} to {highest:g}) do not look like Hounsfield units, where air is about -1000: an MR or an "
        "already scaled image gives meaningless results, so give the CT in HU.",
    )
