"""Axes of the array in another order, wherever in the patient they point: frameworks that ignore orientation count them so."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError
from ..io.grid import Grid
from ..io.volume import Volume
from .step import Geometry, check_numbers


@dataclass(frozen=True)
class Transposed(Geometry):
    """``array.transpose(order)``; every voxel keeps its place and value.

    Attributes:
        order: for each new axis the old one: ``(2, 1, 0)`` turns ``[x, y, z]`` into ITK's ``[z, y, x]``.
    """

    name = "transposed"

    order: tuple[int, int, int]

    def __post_init__(self) -> None:
        if sorted(check_numbers(self, "order", self.order, 3)) != [0, 1, 2]:
            raise InputError(f"'order' of the preprocessing step '{self.name}' must name the axes 0, 1 and 2, not {self.order!r}.")

    def grid(self, grid: Grid) -> Grid:
        """The same voxels."""
        first, second, third = (grid.shape[axis] for axis in self.order)
        return Grid((first, second, third), grid.affine[:, [*self.order, 3]])

    def apply(self, image: Volume) -> Volume:
        """A view of the image."""
        return Volume(image.array.transpose(self.order), self.grid(image.grid).affine, image.name)

    def words(self) -> str:
        """What it does."""
        return f"axes in the order {', '.join('xyz'[axis] for axis in self.order)} of the file"
