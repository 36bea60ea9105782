"""The order and direction of axes: how an array that a network wants lies to one whose axes run right, anterior, superior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np

    from .grid import Grid

_T = TypeVar("_T")


@dataclass(frozen=True)
class Turn:
    """Axes of another array (the network's) in terms of an array ``[x, y, z]`` whose axes run nearest to right, anterior, superior.

    Attributes:
        order: for each axis of the other array the axis of ours that it is.
        flips: for each axis of the other array whether it runs the other way.
    """

    order: tuple[int, int, int] = (0, 1, 2)
    flips: tuple[bool, bool, bool] = (False, False, False)

    @classmethod
    def of(cls, grid: Grid) -> Turn:
        """The turn that leads from the RAS-ordered array of a grid to the grid's own array."""
        from nibabel.orientations import io_orientation

        orientation = io_orientation(grid.affine)
        x, y, z = (int(axis) for axis in orientation[:, 0])
        first, second, third = (bool(sign < 0) for sign in orientation[:, 1])
        return cls((x, y, z), (first, second, third))

    @property
    def is_identity(self) -> bool:
        """Whether nothing is turned."""
        return self.order == (0, 1, 2) and not any(self.flips)

    def sizes(self, ours: Sequence[_T]) -> tuple[_T, _T, _T]:
        """Lengths of our axes in the order of the other array's."""
        x, y, z = (ours[axis] for axis in self.order)
        return x, y, z

    def sizes_back(self, other: Sequence[_T]) -> tuple[_T, _T, _T]:
        """Lengths of the other array's axes in the order of ours."""
        x, y, z = (other[self.order.index(axis)] for axis in range(3))
        return x, y, z

    def back(self, array: np.ndarray) -> np.ndarray:
        """Our view ``[x, y, z]`` of an array in the other order."""
        steps = tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flips)
        return array[steps].transpose([self.order.index(axis) for axis in range(3)])

    def forth(self, array: np.ndarray) -> np.ndarray:
        """A view in the other order of our array ``[x, y, z]``."""
        steps = tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flips)
        return array.transpose(self.order)[steps]

    def tensor_forth(self, batch: Any) -> Any:
        """A tensor ``[b, k, x, y, z]`` of ours in the other order."""
        turned = batch.permute(0, 1, *(2 + axis for axis in self.order))
        return turned.flip(self._flipped) if self._flipped else turned

    def tensor_back(self, batch: Any) -> Any:
        """A tensor ``[b, k, …]`` in the other order as ours ``[b, k, x, y, z]``."""
        turned = batch.flip(self._flipped) if self._flipped else batch
        return turned.permute(0, 1, *(2 + self.order.index(axis) for axis in range(3)))

    @property
    def _flipped(self) -> list[int]:
        return [2 + axis for axis, flip in enumerate(self.flips) if flip]
