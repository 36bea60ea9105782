"""Geometry: the voxel grids of images, the grid a model wants, and sampling from one grid to another.

Arrays are ``[x, y, z]``, the voxel index order (i, j, k) of a 4×4 affine that maps voxel indices to patient RAS millimetres.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from .volume import Volume

# Two grids are the same lattice when no voxel centre differs by more than this part of a voxel.
LATTICE_TOLERANCE = 1e-3
# A grid counts as sheared when squaring it up would move a voxel by more than this part of a model voxel.
SHEAR_TOLERANCE = 0.05
# MONAI's Spacing leaves an axis alone when it is this close (mm) to the wanted spacing.
SPACING_TOLERANCE = 1e-3
# Voxels sampled at a time by one thread, which bounds the temporary memory.
SLAB_VOXELS = 1_000_000


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the voxels of an image lie.

    Attributes:
        shape: voxels along x, y, z (the axes of the array, not of the patient).
        affine: 4×4 float64, voxel index (i, j, k, 1) → patient right-anterior-superior (RAS) millimetres.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along each axis, in mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def sheared(self) -> bool:
        """Whether the axes are not at right angles (CT with a tilted gantry)."""
        axes = self.affine[:3, :3] / np.asarray(self.spacing)
        return bool(np.abs(axes.T @ axes - np.eye(3)).max() > 1e-2)

    def to_index(self, ras: np.ndarray) -> np.ndarray:
        """Continuous voxel indices ``[..., 3]`` of patient RAS points ``[..., 3]`` in mm."""
        inverse = np.linalg.inv(self.affine)
        return np.asarray(ras, dtype=np.float64) @ inverse[:3, :3].T + inverse[:3, 3]

    def to_ras(self, index: np.ndarray) -> np.ndarray:
        """Patient RAS points ``[..., 3]`` in mm of (continuous) voxel indices ``[..., 3]``."""
        return np.asarray(index, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def corners(self) -> np.ndarray:
        """Indices ``[8, 3]`` of the eight corner voxels."""
        return np.array(list(product(*((0.0, size - 1.0) for size in self.shape))))

    def same_as(self, other: Grid, tolerance: float = LATTICE_TOLERANCE) -> bool:
        """Whether both grids have the same voxels, to ``tolerance`` of a voxel."""
        if tuple(self.shape) != tuple(other.shape):
            return False
        moved = other.to_index(self.to_ras(self.corners())) - self.corners()
        return bool(np.abs(moved).max() <= tolerance)


def closest_to_ras(grid: Grid) -> Grid:
    """The same voxels with axes reordered and flipped so that they run most nearly to the right, anterior and superior."""
    from nibabel.orientations import inv_ornt_aff, io_orientation

    orientation = io_orientation(grid.affine)
    order = np.argsort(orientation[:, 0])
    x, y, z = (int(grid.shape[axis]) for axis in order)
    return Grid((x, y, z), grid.affine @ inv_ornt_aff(orientation, grid.shape))


def model_grid(grid: Grid, spacing: tuple[float, float, float]) -> Grid:
    """The grid a model works on: axes nearest to right, anterior, superior, with the model's spacing.

    Equals MONAI's ``Orientation("RAS")`` followed by ``Spacing(spacing)``: oblique directions are kept, the first voxel keeps its
    centre, each axis has ``round((n − 1) · old / new + 1)`` voxels. (Where float32 rounding hides the first corner of an oblique
    grid from MONAI, it shifts its grid by part of a voxel; ours stays.) A sheared grid (CT with a tilted gantry) gets the
    orthogonal grid along its first two axes that covers every voxel.

    Args:
        grid: of the image, any orientation.
        spacing: wanted distance between voxel centres along the patient's right, anterior and superior axes, in mm.

    Raises:
        ValueError: for a spacing that is not positive.
    """
    if len(spacing) != 3 or not all(np.isfinite(step) and step > 0 for step in spacing):
        raise ValueError(f"spacing must be three positive numbers of millimetres, not {spacing}")
    source = closest_to_ras(grid)
    wanted = np.asarray(spacing, dtype=np.float64)
    native = np.asarray(source.spacing)
    wanted = np.where(np.abs(native - wanted) <= SPACING_TOLERANCE, native, wanted)
    # Columns of the rotation: the first axis, the second made orthogonal to it, and their normal, each keeping its side.
    rotation, upper = np.linalg.qr(source.affine[:3, :3])
    rotation = rotation * np.sign(np.diag(upper))
    affine = np.eye(4)
    affine[:3, :3] = rotation * wanted
    affine[:3, 3] = source.affine[:3, 3]
    corners = Grid(source.shape, affine).to_index(source.to_ras(source.corners()))
    straight = source.corners() * (native / wanted)
    extent = np.ptp(corners, axis=0)
    if np.abs(corners - straight).max() <= SHEAR_TOLERANCE:
        shape = np.round(extent + 1.0)
    else:
        shape = np.ceil(extent - LATTICE_TOLERANCE) + 1.0
        affine[:3, 3] += affine[:3, :3] @ corners.min(axis=0)
    x, y, z = (int(size) for size in shape)
    return Grid((x, y, z), affine)


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
