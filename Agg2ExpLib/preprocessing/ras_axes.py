"""The axes nearest to right, anterior, superior, without any resampling, as nibabel's ``as_closest_canonical``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..io.grid import closest_to_ras
from ..io.turn import Turn
from ..io.volume import Volume
from .step import Geometry

if TYPE_CHECKING:
    from ..io.grid import Grid


@dataclass(frozen=True)
class RasAxes(Geometry):
    """Axes reordered and flipped; every voxel keeps its place and value."""

    name = "ras_axes"

    def grid(self, grid: Grid) -> Grid:
        """See :func:`~Agg2ExpLib.io.grid.closest_to_ras`."""
        return closest_to_ras(grid)

    def apply(self, image: Volume) -> Volume:
        """The turned image, in C order."""
        turned = np.ascontiguousarray(Turn.of(image.grid).back(image.array))
        return Volume(turned, self.grid(image.grid).affine, image.name)

    def words(self) -> str:
        """What it does."""
        return "RAS axes"
