"""To a given spacing as TotalSegmentator resamples a CT before nnU-Net sees it.

Facts as of TotalSegmentator 2.18 (https://github.com/wasserth/TotalSegmentator, ``resampling.py``): splines over the whole scan,
the first and the last voxel of every axis stay where they are, and values lose their fraction. The spacing that TotalSegmentator
then writes down is the wanted one; where the voxels truly lie is told here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..io.grid import Grid
from ..io.volume import Volume
from .step import Geometry, check_numbers, check_spacing


@dataclass(frozen=True)
class TotalsegmentatorResampling(Geometry):
    """Axes are those of the array; TotalSegmentator has turned them to right, anterior, superior before.

    Attributes:
        spacing: mm, along the axes of the array.
        order: of the splines: 3 until TotalSegmentator 2.15, 1 as its later versions have it by default.
    """

    name = "totalsegmentator_resampling"

    spacing: tuple[float, float, float]
    order: int = 3

    def __post_init__(self) -> None:
        check_spacing(self, self.spacing)
        if check_numbers(self, "order", self.order, 1)[0] not in (0, 1, 2, 3, 4, 5):
            raise InputError(f"'order' of the preprocessing step '{self.name}' must be a whole number from 0 to 5.")

    def grid(self, grid: Grid) -> Grid:
        """As many voxels as come nearest to the spacing, between the outermost voxels of the image.

        Raises:
            InputError: not one voxel would be left.
        """
        if self._is_there(grid):
            return grid
        factors = self._factors(grid)
        sizes = [round(size * factor) for size, factor in zip(grid.shape, factors, strict=True)]
        if min(sizes) < 1:
            raise InputError(
                f"The CT is thinner than one voxel of the model ({' × '.join(f'{step:g}' for step in self.spacing)} mm) along one "
                "axis: give a CT that covers more of the patient."
            )
        affine = grid.affine.copy()
        for axis, (old, new) in enumerate(zip(grid.shape, sizes, strict=True)):
            affine[:3, axis] *= (old - 1) / (new - 1) if min(old, new) > 1 else 1 / factors[axis]
        return Grid((sizes[0], sizes[1], sizes[2]), affine)

    def apply(self, image: Volume) -> Volume:
        """The image on the new grid, whole numbers as float32; unchanged where it has the spacing already."""
        if self._is_there(image.grid):
            return image
        from scipy.ndimage import zoom

        grid = self.grid(image.grid)
        array = zoom(image.array.astype(np.float64), self._factors(image.grid), order=self.order, mode="nearest")
        assert array.shape == grid.shape
        return Volume(np.trunc(array).astype(np.float32), grid.affine, image.name)

    def words(self) -> str:
        """What it does."""
        kind = {0: "nearest", 1: "linear", 3: "cubic"}.get(self.order, f"splines of order {self.order}")
        return f"{' × '.join(f'{step:g}' for step in self.spacing)} mm, {kind}, whole HU, as TotalSegmentator"

    def _factors(self, grid: Grid) -> list[float]:
        # The header's spacing, from which TotalSegmentator counts, is of single precision.
        return [float(np.float32(old)) / new for old, new in zip(grid.spacing, self.spacing, strict=True)]

    def _is_there(self, grid: Grid) -> bool:
        return all(float(np.float32(old)) == new for old, new in zip(grid.spacing, self.spacing, strict=True))
