"""Crops to the voxels above 0, as MONAI's ``CropForeground`` does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..io.grid import Grid
from ..io.volume import Volume
from .step import Geometry, check_numbers


@dataclass(frozen=True)
class CropForeground(Geometry):
    """The box of all voxels above 0 (as the steps before leave them), with a margin.

    Attributes:
        margin: voxels more on every side.
        allow_smaller: the box ends where the image does; else it is filled with 0 beyond.
        k_divisible: the box's sides become divisible by these.
    """

    name = "crop_foreground"

    margin: tuple[int, int, int] = (0, 0, 0)
    allow_smaller: bool = False
    k_divisible: tuple[int, int, int] = (1, 1, 1)

    def __post_init__(self) -> None:
        for key, lowest in (("margin", 0), ("k_divisible", 1)):
            value = getattr(self, key)
            if not all(number.is_integer() and lowest <= number <= 512 for number in check_numbers(self, key, value, 3)):
                raise InputError(
                    f"'{key}' of the preprocessing step '{self.name}' must be whole numbers from {lowest} to 512, not {value!r}."
                )
        if not isinstance(self.allow_smaller, bool):
            raise InputError("'allow_smaller' of the preprocessing step 'crop_foreground' must be true or false.")

    def grid(self, grid: Grid) -> Grid:
        """The grid if nothing were cropped away."""
        return self._cut(grid, np.zeros(3, dtype=int), np.asarray(grid.shape))

    def apply(self, image: Volume) -> Volume:
        """The box.

        Raises:
            InputError: no voxel is above 0.
        """
        above = np.asarray(image.array) > 0
        spans = [np.flatnonzero(above.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
        if not len(spans[0]):
            raise InputError(f"{image.name or 'The CT'} has no voxel above 0 when it is cropped to the foreground: check the CT.")
        start, end = np.array([span[0] for span in spans]), np.array([span[-1] + 1 for span in spans])
        box = self._cut(image.grid, start, end)
        first = np.rint(image.grid.to_index(box.affine[:3, 3])).astype(int)
        inside = tuple(slice(max(low, 0), low + side) for low, side in zip(first, box.shape, strict=True))
        cropped = image.array[inside]
        before = np.maximum(-first, 0)
        beyond = [(b, side - b - n) for b, side, n in zip(before, box.shape, cropped.shape, strict=True)]
        return Volume(np.pad(cropped, beyond) if np.any(beyond) else cropped, box.affine, image.name)

    def words(self) -> str:
        """What it does."""
        return f"cropped to the voxels above 0 with a margin of {' × '.join(str(int(part)) for part in self.margin)} voxels"

    def _cut(self, grid: Grid, start: np.ndarray, end: np.ndarray) -> Grid:
        """The grid of the box around voxels from ``start`` to before ``end``."""
        start, end = start - np.asarray(self.margin, dtype=int), end + np.asarray(self.margin, dtype=int)
        if self.allow_smaller:
            start, end = np.maximum(start, 0), np.minimum(end, grid.shape)
        divisors = np.asarray(self.k_divisible, dtype=int)
        size = -(-(end - start) // divisors) * divisors
        start = start - (size - (end - start)) // 2
        affine = np.array(grid.affine)
        affine[:3, 3] = grid.to_ras(start)
        x, y, z = (int(side) for side in size)
        return Grid((x, y, z), affine)
