"""Geometry: the voxel grids of images, and the grid a model wants.

Arrays are ``[x, y, z]``, the voxel index order (i, j, k) of a 4×4 affine that maps voxel indices to patient RAS millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

# Two grids are the same lattice when no voxel centre differs by more than this part of a voxel.
LATTICE_TOLERANCE = 1e-3
# A grid counts as sheared when squaring it up would move a voxel by more than this part of a model voxel.
SHEAR_TOLERANCE = 0.05
# MONAI's Spacing leaves an axis alone when it is this close (mm) to the wanted spacing.
SPACING_TOLERANCE = 1e-3


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
