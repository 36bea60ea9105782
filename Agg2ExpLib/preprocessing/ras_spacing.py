"""To right-anterior-superior axes with a given spacing, as MONAI's ``Orientation`` and ``Spacing`` do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..io.grid import model_grid
from ..io.resample import resample
from ..io.volume import Volume
from .step import Geometry, check_spacing

if TYPE_CHECKING:
    from ..io.grid import Grid

AIR_HU = -1024.0


@dataclass(frozen=True)
class RasSpacing(Geometry):
    """Linear resampling onto :func:`~Agg2ExpLib.io.grid.model_grid`.

    A straight scan's border is extended as in training; beside a tilted one there is nothing but air.

    Attributes:
        spacing: mm, along the patient's right, anterior and superior axes.
    """

    name = "ras_spacing"

    spacing: tuple[float, float, float]

    def __post_init__(self) -> None:
        check_spacing(self, self.spacing)

    def grid(self, grid: Grid) -> Grid:
        """See :func:`~Agg2ExpLib.io.grid.model_grid`."""
        return model_grid(grid, self.spacing)

    def apply(self, image: Volume) -> Volume:
        """The image on the model grid."""
        grid = self.grid(image.grid)
        return Volume(resample(image, grid, "linear", outside=AIR_HU if image.grid.sheared else None), grid.affine, image.name)

    def words(self) -> str:
        """What it does."""
        return f"RAS axes, {' × '.join(f'{step:g}' for step in self.spacing)} mm, linear"
