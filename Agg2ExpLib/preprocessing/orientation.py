"""To axes of given directions, as MONAI's ``Orientation`` does: axes are reordered and flipped, and no value changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..io.grid import Grid
from ..io.volume import Volume
from .step import Geometry

if TYPE_CHECKING:
    from typing import Any

_PAIRS = ("RL", "AP", "SI")


@dataclass(frozen=True)
class Orientation(Geometry):
    """Reorders and flips the axes.

    Attributes:
        axcodes: where the three axes lead to, one of R, L, then A, P, and S, I in any order: ``RAS``, ``LPS``, ``SAR``.
    """

    name = "orientation"

    axcodes: str = "RAS"

    def __post_init__(self) -> None:
        codes = self.axcodes.upper() if isinstance(self.axcodes, str) else ""
        if len(codes) != 3 or sorted(next((i for i, pair in enumerate(_PAIRS) if code in pair), 3) for code in codes) != [0, 1, 2]:
            raise InputError(f"'axcodes' of the preprocessing step 'orientation' must be such as RAS or LPS, not {self.axcodes!r}.")
        object.__setattr__(self, "axcodes", codes)

    def grid(self, grid: Grid) -> Grid:
        """The same voxels with their axes in the new order."""
        turn = self._turn(grid)
        from nibabel.orientations import inv_ornt_aff

        x, y, z = (grid.shape[int(np.flatnonzero(turn[:, 0] == axis)[0])] for axis in range(3))
        return Grid((x, y, z), grid.affine @ inv_ornt_aff(turn, grid.shape))

    def apply(self, image: Volume) -> Volume:
        """A view of the image with its axes in the new order."""
        from nibabel.orientations import apply_orientation

        return Volume(apply_orientation(image.array, self._turn(image.grid)), self.grid(image.grid).affine, image.name)

    def words(self) -> str:
        """What it does."""
        return f"{self.axcodes} axes"

    def _turn(self, grid: Grid) -> Any:
        from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

        return ornt_transform(io_orientation(grid.affine), axcodes2ornt(tuple(self.axcodes)))
