"""To another voxel size along the image's own axes, as MONAI's ``Spacing`` does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from ..io.grid import SPACING_TOLERANCE, Grid
from ..io.resample import resample
from ..io.volume import Volume
from .step import Geometry, check_numbers

MODES = ("bilinear", "nearest", 0, 1, 2, 3, 4, 5)
PADDING_MODES = ("border", "zeros", "reflection", "reflect", "constant", "nearest", "mirror", "wrap", "grid-constant", "grid-wrap")


@dataclass(frozen=True)
class Spacing(Geometry):
    """Resampling onto voxels of another size; the directions of the axes are kept, made orthogonal where they are not.

    Attributes:
        spacing: mm, along the axes of the image as the steps before leave it; 0 keeps an axis' own.
        mode: ``bilinear``, ``nearest`` or the order of a spline (0 to 5).
        padding_mode: what lies beyond the image: its ``border`` extended, ``zeros`` …, as MONAI names it.
        align_corners: MONAI's, for its interpolation.
        diagonal: to the patient's own axes, whatever those of the image.
        least, most: an axis whose own spacing lies between them (and ``spacing``) keeps it.
    """

    name = "spacing"

    spacing: tuple[float, float, float]
    mode: str | int = "bilinear"
    padding_mode: str = "border"
    align_corners: bool = False
    diagonal: bool = False
    least: tuple[float, float, float] | None = None
    most: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        for key in ("spacing", "least", "most"):
            value = getattr(self, key)
            if value is None and key != "spacing":
                continue
            numbers = check_numbers(self, key, value, 3)
            if not all(0.05 <= size <= 50 or (size == 0 and key == "spacing") for size in numbers):
                raise InputError(f"'{key}' of the preprocessing step 'spacing' must be from 0.05 to 50 mm, not {value!r}.")
        for key, value, allowed in (
            ("mode", self.mode, MODES),
            ("padding_mode", self.padding_mode, PADDING_MODES),
            ("align_corners", self.align_corners, (True, False)),
            ("diagonal", self.diagonal, (True, False)),
        ):
            if value not in allowed or (key == "mode" and isinstance(value, bool)):
                choices = ", ".join(map(str, allowed))
                raise InputError(f"'{key}' of the preprocessing step 'spacing' must be one of {choices}, not {value!r}.")

    def grid(self, grid: Grid) -> Grid:
        """The grid that MONAI computes for an image on ``grid``.

        The first corner of the image stays where it is; where rounding in its affine hides which corner that is, both images are
        aligned at their centres instead, as MONAI does.
        """
        source = np.asarray(grid.affine, dtype=np.float64)
        axes, shape = source[:3, :3], np.asarray(grid.shape, dtype=np.float64)
        wanted = self._wanted(np.asarray(grid.spacing))
        target = np.eye(4)
        if self.diagonal:
            target[:3, :3] = np.diag(wanted)
        else:
            upper = np.linalg.cholesky(axes.T @ axes).T
            target[:3, :3] = axes @ np.linalg.inv(upper) @ np.diag(wanted)
        corners = np.c_[grid.corners(), np.ones(8)].T
        reached = (np.linalg.solve(target, source) @ corners)[:3]
        size = np.round(np.ptp(reached, axis=1) + 1.0)
        first = next((at for at in range(8) if np.allclose((reached - reached[:, at : at + 1]).min(axis=1), 0.0)), None)
        if first is None:
            target[:3, 3] = axes @ (shape / 2) + source[:3, 3] - target[:3, :3] @ (size / 2)
        else:
            target[:3, 3] = (source @ corners)[:3, first]
        x, y, z = (int(length) for length in size)
        return Grid((x, y, z), target)

    def apply(self, image: Volume) -> Volume:
        """The image on that grid, float32."""
        grid = self.grid(image.grid)
        if (self.mode, self.padding_mode, self.align_corners) == ("bilinear", "border", False):
            return Volume(resample(image, grid, "linear"), grid.affine, image.name)
        return Volume(self._by_monai(image), grid.affine, image.name)

    def words(self) -> str:
        """What it does."""
        sizes = " × ".join(f"{size:g}" if size else "own" for size in self.spacing)
        how = {"bilinear": "linear", "nearest": "nearest"}.get(str(self.mode), f"spline of order {self.mode}")
        kept = "" if self.least is None else f", kept from {min(self.least):g} to {max(self.most or self.least):g} mm"
        return f"{sizes} mm, {how}{kept}"

    def _wanted(self, native: np.ndarray) -> np.ndarray:
        wanted = np.where(np.asarray(self.spacing) > 0, self.spacing, native)
        least = np.minimum(wanted, self.least) if self.least is not None else wanted
        most = np.maximum(wanted, self.most) if self.most is not None else wanted
        kept = (least - SPACING_TOLERANCE <= native) & (native <= most + SPACING_TOLERANCE)
        chosen: np.ndarray = np.where(kept, native, wanted)
        return chosen

    def _by_monai(self, image: Volume) -> np.ndarray:
        import torch
        from monai.data import MetaTensor
        from monai.transforms import Spacing as MonaiSpacing

        settings: dict[str, Any] = {"diagonal": self.diagonal, "mode": self.mode, "padding_mode": self.padding_mode}
        settings |= {"min_pixdim": self.least, "max_pixdim": self.most, "align_corners": self.align_corners}
        transform = MonaiSpacing(self.spacing, **settings)
        array = torch.from_numpy(np.ascontiguousarray(image.array, dtype=np.float32))
        made: np.ndarray = transform(MetaTensor(array[None], affine=torch.from_numpy(image.affine)))[0].numpy()
        return np.asarray(made, dtype=np.float32)
