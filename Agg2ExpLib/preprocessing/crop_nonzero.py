"""Cuts the rim of an image that is zero everywhere, as nnU-Net does before anything else looks at the values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..io.volume import Volume
from .step import Geometry

if TYPE_CHECKING:
    from ..io.grid import Grid


@dataclass(frozen=True)
class CropNonzero(Geometry):
    """The smallest box around all voxels that are not 0; an image of nothing but 0 stays whole."""

    name = "crop_nonzero"

    def grid(self, grid: Grid) -> Grid:
        """The whole grid: what is cut depends on the values."""
        return grid

    def apply(self, image: Volume) -> Volume:
        """The image within the box."""
        filled = image.array != 0
        box = []
        for axis in range(3):
            inside = np.flatnonzero(filled.any(axis=tuple(other for other in range(3) if other != axis)))
            box.append(slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, image.array.shape[axis]))
        if all(part == slice(0, size) for part, size in zip(box, image.array.shape, strict=True)):
            return image
        affine = image.affine.copy()
        affine[:3, 3] = image.grid.to_ras(np.array([part.start for part in box]))
        return Volume(image.array[tuple(box)], affine, image.name)

    def words(self) -> str:
        """What it does."""
        return "cropped to the box of voxels that are not 0"
