"""Drawn regions on the model grid: what of them lies outside, and what is left of those thinner than its voxels."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .grid import Grid
from .volume import Volume

# Points taken along an axis of a source voxel, at most, when a small region's occupancy of coarser voxels is measured.
MOST_POINTS = 8


def settled(source: Volume, sampled: np.ndarray, grid: Grid, name: str, warnings: list[str]) -> np.ndarray:
    """The mask on the grid of the region called ``name``, checked: not outside, not lost between the voxel centres."""
    outside = _share_outside(source, grid)
    if outside == 1:
        raise InputError(f"The {name} lies entirely outside the CT: give one drawn on this scan.")
    if not sampled.any():
        sampled = _by_occupancy(source, grid)
        if not sampled.any():
            raise InputError(f"The {name} lies entirely outside the CT: give one drawn on this scan.")
        kept = np.count_nonzero(sampled)
        warnings.append(f"The {name} is thinner than the model's voxels: it is represented by the {kept} it fills most.")
    if outside > 0:
        warnings.append(f"{max(1, round(100 * outside))} % of the {name} lie outside the CT and are left out.")
    return sampled


def _share_outside(source: Volume, grid: Grid) -> float:
    """Share of a bool region's voxels that lie more than one voxel beyond the grid's outer voxel centres."""
    to_grid = np.linalg.inv(grid.affine) @ source.affine
    low, high = _bounds(source.array)
    shape = np.asarray(grid.shape)
    box = Grid((2, 2, 2), to_grid)
    ends = box.to_ras(low + box.corners() * (high - low))
    if (ends >= -1).all() and (ends <= shape).all():
        return 0.0
    index = box.to_ras(np.argwhere(source.array))
    return float(np.mean(((index < -1) | (index > shape)).any(axis=1)))


def _bounds(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest index of the mask's voxels along each axis."""
    ends = []
    for axis in range(3):
        occupied = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        ends.append((occupied[0], occupied[-1]))
    low, high = np.array(ends, dtype=np.float64).T
    return low, high


def _by_occupancy(source: Volume, grid: Grid) -> np.ndarray:
    """Voxels of the grid that a small bool region fills by at least half, or else the one(s) it fills most."""
    to_grid = np.linalg.inv(grid.affine) @ source.affine
    steps = np.linalg.norm(to_grid[:3, :3], axis=0)
    counts = np.clip(np.ceil(4 * steps), 1, MOST_POINTS).astype(int)
    offsets = np.stack(np.meshgrid(*((np.arange(count) + 0.5) / count - 0.5 for count in counts), indexing="ij"), axis=-1).reshape(
        -1, 3
    )
    share = abs(np.linalg.det(to_grid[:3, :3])) / len(offsets)
    mask = np.zeros(grid.shape, dtype=bool)
    filled = np.zeros(grid.shape, dtype=np.float32)
    voxels = np.argwhere(source.array)
    for offset in offsets:
        index = np.floor(Grid((1, 1, 1), to_grid).to_ras(voxels + offset) + 0.5).astype(np.int64)
        index = index[((index >= 0) & (index < grid.shape)).all(axis=1)]
        np.add.at(filled, tuple(index.T), np.float32(share))
    most = float(filled.max())
    if most > 0:
        mask = filled >= min(0.5, most * (1 - 1e-4))
    return mask
