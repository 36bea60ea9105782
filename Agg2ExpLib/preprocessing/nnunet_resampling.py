"""To a given spacing as nnU-Net resamples: the outer borders of the image stay where they are.

Cubic splines as ``skimage.transform.resize`` has them (values beyond those of the image are clipped). Where slices are more than
three times as thick as their pixels, each slice is resampled in its plane, and across slices the nearest counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..io.grid import Grid
from ..io.volume import Volume
from .splines import ORDERS, nearest, resized
from .step import Geometry, check_numbers, check_spacing

# Slices count as thick from this ratio of the largest to the smallest spacing on.
ANISOTROPIC = 3


@dataclass(frozen=True)
class NnunetResampling(Geometry):
    """Axes are those of the array, wherever they point.

    Attributes:
        spacing: mm, along the axes of the array.
        order: of the splines; 1 is linear, which is never beyond the image's values.
        order_z: across thick slices.
        separate: whether thick slices are treated apart: None where the spacings say so.
    """

    name = "nnunet_resampling"

    spacing: tuple[float, float, float]
    order: int = 3
    order_z: int = 0
    separate: bool | None = None

    def __post_init__(self) -> None:
        check_spacing(self, self.spacing)
        for key in ("order", "order_z"):
            if check_numbers(self, key, getattr(self, key), 1)[0] not in ORDERS:
                raise InputError(f"'{key}' of the preprocessing step '{self.name}' must be {', '.join(map(str, ORDERS))}.")
        if self.separate not in (None, True, False):
            raise InputError(f"'separate' of the preprocessing step '{self.name}' must be true, false or null.")

    def grid(self, grid: Grid) -> Grid:
        """As many voxels as come nearest to the spacing, the borders of the image unmoved.

        Raises:
            InputError: not one voxel would be left.
        """
        wanted = (old / new * size for old, new, size in zip(_as_in_header(grid.spacing), self.spacing, grid.shape, strict=True))
        first, second, third = (round(size) for size in wanted)
        shape = (first, second, third)
        if min(shape) < 1:
            raise InputError(
                f"The CT is thinner than one voxel of the model ({' × '.join(f'{step:g}' for step in self.spacing)} mm) along one "
                "axis: give a CT that covers more of the patient."
            )
        scale = np.array(grid.shape) / np.array(shape)
        affine = grid.affine.copy()
        affine[:3, :3] = grid.affine[:3, :3] * scale
        affine[:3, 3] = grid.to_ras(0.5 * scale - 0.5)
        return Grid(shape, affine)

    def apply(self, image: Volume) -> Volume:
        """The image on the new grid, float32."""
        grid = self.grid(image.grid)
        array = image.array.astype(np.float32, copy=False)
        if grid.shape != image.grid.shape:
            axis = self._thick_axis(_as_in_header(image.grid.spacing))
            array = resized(array, grid.shape, self.order) if axis is None else self._by_slices(array, grid.shape, axis)
        return Volume(array, grid.affine, image.name)

    def words(self) -> str:
        """What it does."""
        kind = {0: "nearest", 1: "linear", 3: "cubic"}[self.order]
        return f"{' × '.join(f'{step:g}' for step in self.spacing)} mm, {kind}, borders kept"

    def _thick_axis(self, spacing: tuple[float, float, float]) -> int | None:
        """The axis across thick slices, where they are treated apart."""
        if self.separate is None:
            source = next((one for one in (spacing, self.spacing) if max(one) / min(one) > ANISOTROPIC), None)
        else:
            source = spacing if self.separate else None
        thickest = [] if source is None else [axis for axis in range(3) if source[axis] == max(source)]
        return thickest[0] if len(thickest) == 1 else None

    def _by_slices(self, array: np.ndarray, shape: tuple[int, int, int], axis: int) -> np.ndarray:
        if self.order_z == 0:  # only slices that are the nearest of any are needed
            used, where = np.unique(nearest(array.shape[axis], shape[axis]), return_inverse=True)
            slices = np.take(array, used, axis=axis)
        else:
            slices, where = array, np.arange(array.shape[axis])
        first, second, third = (slices.shape[each] if each == axis else size for each, size in enumerate(shape))
        flat = resized(slices, (first, second, third), self.order, apart=axis)
        flat = np.take(flat, where, axis=axis)
        return flat if flat.shape == shape else resized(flat, shape, self.order_z)


def _as_in_header(spacing: tuple[float, float, float]) -> tuple[float, float, float]:
    """The spacing that the image's header gives, from which numbers of voxels are rounded; axes give it with rounding errors.

    Headers hold single precision (NIfTI) or decimals (the others).
    """
    told = []
    for size in spacing:
        decimal = round(size, 6)
        off = abs(size - decimal) / size
        told.append(decimal if off < 1e-9 else float(np.float32(decimal)) if off < 1e-6 else size)
    return told[0], told[1], told[2]
