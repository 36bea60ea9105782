"""Sampling the values of an image at the voxels of another grid.

Arrays are ``[x, y, z]``, the voxel index order (i, j, k) of a 4×4 affine that maps voxel indices to patient RAS millimetres.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np

from .grid import LATTICE_TOLERANCE, Grid
from .volume import Volume

# Voxels sampled at a time by one thread, which bounds the temporary memory.
SLAB_VOXELS = 1_000_000


def resample(
    volume: Volume, grid: Grid, interpolation: Literal["linear", "nearest"] = "linear", outside: float | None = None
) -> np.ndarray:
    """Values of a volume at the voxels of another grid.

    Any affine is handled exactly, shear included. Where the two grids have the same voxels, or differ only by the order and
    direction of their axes, values are passed on bit by bit. Linear interpolation equals MONAI's ``Spacing`` with
    ``mode="bilinear", padding_mode="border"``.

    Args:
        volume: the source.
        grid: where to sample.
        interpolation: ``linear`` for intensities, ``nearest`` for labels and masks.
        outside: value of voxels whose centre lies outside the source's voxels; ``None`` extends the source's border.

    Returns:
        Array of ``grid.shape``: float32 for ``linear``, the source's type for ``nearest``. It may share memory with the source, so
        treat it as read-only.

    Raises:
        ValueError: for an unknown interpolation.
    """
    if interpolation not in ("linear", "nearest"):
        raise ValueError(f"interpolation must be linear or nearest, not {interpolation!r}")
    array = volume.array
    dtype = np.dtype(np.float32) if interpolation == "linear" else array.dtype
    to_source = np.linalg.inv(volume.affine) @ grid.affine
    turned = _turned_view(array, to_source, grid)
    if turned is not None:
        return turned.astype(dtype, copy=False)
    order = 1 if interpolation == "linear" else 0
    if array.flags.c_contiguous:
        output = np.empty(grid.shape, dtype=dtype)
        _sample_into(output, array, to_source, order, outside)
        return output
    # Files hold x fastest: walking the memory in its own order, with all axes reversed, is several times faster.
    reverse = [2, 1, 0, 3]
    output = np.empty(grid.shape[::-1], dtype=dtype)
    _sample_into(output, array.T, to_source[np.ix_(reverse, reverse)], order, outside)
    return output.T


def _turned_view(array: np.ndarray, to_source: np.ndarray, grid: Grid) -> np.ndarray | None:
    """The array with its axes permuted and flipped onto the grid, or None if that is not all that is needed."""
    turn = np.rint(to_source[:3, :3])
    if not (np.abs(turn).sum(axis=0) == 1).all() or not (np.abs(turn).sum(axis=1) == 1).all():
        return None
    axes = np.abs(turn).argmax(axis=0)  # source axis behind each axis of the grid
    signs = turn.sum(axis=0)
    if tuple(array.shape[axis] for axis in axes) != tuple(grid.shape):
        return None
    exact = np.eye(4)
    exact[:3, :3] = turn
    for axis, sign in zip(axes, signs, strict=True):
        exact[axis, 3] = 0 if sign > 0 else array.shape[axis] - 1
    corners = np.c_[grid.corners(), np.ones(8)]
    if np.abs(corners @ (to_source - exact).T).max() > LATTICE_TOLERANCE:
        return None
    steps = tuple(slice(None) if sign > 0 else slice(None, None, -1) for sign in signs)
    return array.transpose(axes)[steps]


def _sample_into(output: np.ndarray, array: np.ndarray, to_source: np.ndarray, order: int, outside: float | None) -> None:
    """Fill ``output`` slab by slab along its first axis; scipy releases the interpreter lock, so threads share the work."""
    from scipy.ndimage import affine_transform

    matrix, offset = to_source[:3, :3], to_source[:3, 3]
    corners = Grid((output.shape[0], output.shape[1], output.shape[2]), to_source)
    reach = corners.to_ras(corners.corners())
    limits = np.asarray(array.shape) - 0.5 + 1e-6
    leaves = bool((reach < -0.5 - 1e-6).any() or (reach > limits).any())

    def fill(rows: slice) -> None:
        # Mode "nearest" clamps each coordinate to the border, as padding_mode="border" does.
        start = offset + matrix[:, 0] * rows.start
        affine_transform(array, matrix, offset=start, output=output[rows], order=order, mode="nearest", prefilter=False)
        if outside is not None and leaves:
            output[rows][_outside(matrix, start, output[rows].shape, limits)] = outside

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for _ in pool.map(fill, _slabs(output.shape)):
            pass


def _slabs(shape: tuple[int, ...]) -> Iterator[slice]:
    """Slices of the first axis of about SLAB_VOXELS voxels."""
    thickness = max(1, SLAB_VOXELS // (shape[1] * shape[2]))
    for start in range(0, shape[0], thickness):
        yield slice(start, min(start + thickness, shape[0]))


def _outside(matrix: np.ndarray, start: np.ndarray, shape: tuple[int, ...], limits: np.ndarray) -> np.ndarray:
    """Voxels of a slab whose centre is more than half a voxel beyond the source's outer voxel centres."""
    i, j, k = (np.arange(size, dtype=np.float64) for size in shape)
    result = np.zeros(shape, dtype=bool)
    for row, shift, limit in zip(matrix, start, limits, strict=True):
        plane = (row[0] * i)[:, None] + (row[1] * j + shift)[None, :]
        index = plane[:, :, None] + (row[2] * k)
        result |= (index < -0.5 - 1e-6) | (index > limit)
    return result
