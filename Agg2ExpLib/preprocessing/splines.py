"""Resizing an array with splines so that its outer borders stay, as ``skimage.transform.resize`` and ``scipy.ndimage.zoom`` do.

The same numbers, bit by bit but for a rare last one: what lies between is kept in double precision, as it is there. Splines are
products of one for each axis, so one axis after the other is resized, by four weights for each new voxel in place of 64, which is
several times as fast.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

ORDERS = (0, 1, 3)
# Voxels beyond the border that the filter of cubic splines still feels; scipy takes as many.
_MARGIN = 12
# Voxels that one thread has in double precision at a time.
_PIECE_VOXELS = 2_000_000


def resized(array: np.ndarray, shape: tuple[int, ...], order: int, apart: int | None = None) -> np.ndarray:
    """Splines through the voxels, at new places, clipped to the lowest and highest value of the array.

    Args:
        array: 3D; values beyond its border are those of the border.
        shape: wanted.
        order: 0 (nearest), 1 (linear) or 3 (cubic).
        apart: an axis whose size stays and whose slices are clipped each to its own values; None to clip to all.

    Returns:
        float32 of ``shape``; the array itself where it has that shape.

    Raises:
        ValueError: for another order, or another size along ``apart``.
    """
    if order not in ORDERS or (apart is not None and shape[apart] != array.shape[apart]):
        raise ValueError(f"order {order}, shape {shape} with axis {apart} of {array.shape} apart")
    if tuple(array.shape) == tuple(shape):
        return array
    others = tuple(axis for axis in range(array.ndim) if axis != apart)
    lowest, highest = array.min(axis=others, keepdims=True), array.max(axis=others, keepdims=True)
    # What shrinks comes first: the less is left for the others.
    axes = sorted((axis for axis in range(array.ndim) if array.shape[axis] != shape[axis]), key=lambda a: shape[a] / array.shape[a])
    for axis in axes:
        array = _along(array, axis, shape[axis], order, np.dtype(np.float32 if axis == axes[-1] else np.float64))
    return np.clip(array, lowest, highest, out=array)


def nearest(before: int, after: int) -> np.ndarray:
    """For each new voxel of an axis the nearest old one, between two the later one."""
    return np.clip(np.floor(_places(before, after) + 0.5).astype(int), 0, before - 1)


def _places(before: int, after: int) -> np.ndarray:
    """Where the new voxels of an axis lie, in old ones."""
    return before / after * (np.arange(after) + 0.5) - 0.5


def _along(array: np.ndarray, axis: int, size: int, order: int, kind: np.dtype) -> np.ndarray:
    """One axis resized, as a new array of this type."""
    if order == 0:
        return np.take(array, nearest(array.shape[axis], size), axis=axis).astype(kind, copy=False)
    weights = _weights(array.shape[axis], size, order)
    other = max((each for each in range(array.ndim) if each != axis), key=lambda each: array.shape[each])
    output = np.empty([size if each == axis else n for each, n in enumerate(array.shape)], dtype=kind)
    step = max(1, _PIECE_VOXELS * array.shape[other] // (array.size + 1))

    def fill(start: int) -> None:
        place = tuple(slice(start, start + step) if each == other else slice(None) for each in range(array.ndim))
        piece = np.moveaxis(array[place], axis, 0).astype(np.float64)
        if order == 3:
            from scipy.ndimage import spline_filter1d

            piece = np.pad(piece, [(_MARGIN, _MARGIN), *[(0, 0)] * (array.ndim - 1)], mode="edge")
            piece = spline_filter1d(piece, order, axis=0, output=np.float64, mode="nearest")
        found: Any = weights @ piece.reshape(len(piece), -1)
        output[place] = np.moveaxis(found.reshape(size, *piece.shape[1:]), 0, axis)

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for _ in pool.map(fill, range(0, array.shape[other], step)):
            pass
    return output


def _weights(before: int, after: int, order: int) -> csr_array:
    """What each old voxel (with the margin of cubic splines) counts for each new one, ``[after, before]``."""
    from scipy.sparse import csr_array

    places = _places(before, after)
    first = np.floor(places).astype(int)
    part = places - first
    if order == 1:
        values, margin, start = np.stack([1 - part, part], axis=1), 0, 0
    else:  # the cubic B-spline at distances 1 + t, t, 1 - t and 2 - t
        outer, inner = (1 - part) ** 3 / 6, 2 / 3 - part**2 + part**3 / 2
        values, margin, start = np.stack([outer, inner, 1 - outer - inner - part**3 / 6, part**3 / 6], axis=1), _MARGIN, -1
    width = before + 2 * margin
    columns = np.clip(first[:, None] + margin + start + np.arange(values.shape[1]), 0, width - 1)
    rows = np.repeat(np.arange(after), values.shape[1])
    return csr_array((values.ravel(), (rows, columns.ravel())), shape=(after, width))
