"""Supervoxels: the volume cut into regions that are kept or removed as a whole."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InputError
from ..monitor import Monitor

if TYPE_CHECKING:
    import numpy as np

SUPERVOXELS = ("semantic", "cubes", "slic")
# SLIC starts from a grid of whole voxels and joins small pieces, so the number of supervoxels is only met by trying.
_ATTEMPTS, _NEAR = 5, 0.05


@dataclass(frozen=True)
class Supervoxels:
    """How a volume is cut into supervoxels.

    Args:
        kind: ``semantic``, the predicted labels; ``cubes``, an even grid; ``slic``, regions of like intensity.
        regions: wanted number of cubes or SLIC supervoxels.
        compactness: of SLIC supervoxels, see :func:`slic`.

    Raises:
        InputError: a bad parameter.
    """

    kind: str = "semantic"
    regions: int = 512
    compactness: float = 200.0

    def __post_init__(self) -> None:
        if self.kind not in SUPERVOXELS:
            raise InputError(f"Unknown ⟨supervoxels⟩ '{self.kind}': choose one of {', '.join(SUPERVOXELS)}.")
        if self.regions < 2:
            raise InputError(f"At least 2 supervoxels are needed, not {self.regions}: set ⟨regions⟩ to 512, say.")
        if not (self.compactness > 0 and math.isfinite(self.compactness)):
            raise InputError(
                f"The compactness must be a positive number of HU, not {self.compactness:g}: set ⟨compactness⟩ to 100, say."
            )

    def divide(
        self,
        hu: np.ndarray,
        segmentation: np.ndarray | None,
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
        monitor: Monitor | None = None,
    ) -> np.ndarray:
        """Every voxel's supervoxel, int32 ``[x, y, z]`` numbered from 0 without gaps.

        Args:
            hu: ``[x, y, z]``, for ``slic``.
            segmentation: predicted labels ``[x, y, z]``, for ``semantic``.
            spacing: edges of a voxel in mm.
            monitor: is told when there are fewer or more than were asked for.

        Raises:
            InputError: they do not fit the volume, or there is no segmentation.
        """
        found = make_supervoxels(self.kind, hu, segmentation, self.regions, self.compactness, spacing)
        count = _count(found)
        if monitor is not None and self.kind != "semantic" and count != self.regions:
            monitor.notice(f"There are {count} supervoxels ({self.kind}), the nearest to the {self.regions} asked for.")
        return found


def make_supervoxels(
    kind: str,
    image: np.ndarray,
    segmentation: np.ndarray | None,
    count: int,
    compactness: float,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
) -> np.ndarray:
    """Every voxel's supervoxel.

    Args:
        kind: ``semantic``, the predicted labels; ``cubes``, an even grid; ``slic``, regions of like intensity.
        image: ``[x, y, z]`` in HU, for ``slic``.
        segmentation: predicted labels ``[x, y, z]``, for ``semantic``.
        count: wanted number of cubes or SLIC supervoxels; the nearest that the shape allows is made.
        compactness: of SLIC, see :func:`slic`.
        spacing: edges of a voxel in mm.

    Returns:
        int32 ``[x, y, z]``, numbered from 0 without gaps.

    Raises:
        InputError: unknown kind, no segmentation, or a number that does not fit the volume.
    """
    if kind == "semantic":
        if segmentation is None:
            raise InputError("Semantic supervoxels are the predicted labels, and here is no segmentation: choose cubes or slic.")
        return _numbered(segmentation)
    if kind not in SUPERVOXELS:
        raise InputError(f"Unknown supervoxels '{kind}': choose one of {', '.join(SUPERVOXELS)}.")
    if count < 2:
        raise InputError(f"At least 2 supervoxels are needed, not {count}: set ⟨regions⟩ to 512, say.")
    if count > image.size:
        raise InputError(f"{count} supervoxels are more than the {image.size} voxels of the model grid: lower ⟨regions⟩.")
    if kind == "cubes":
        return cubes(image.shape, count, spacing)
    return slic(image, count, compactness, spacing)


def cubes(shape: Sequence[int], count: int, spacing: Sequence[float] = (1.0, 1.0, 1.0)) -> np.ndarray:
    """An even grid of boxes, as near to cubes as the number allows; the edges of the boxes differ by at most one voxel.

    Args:
        shape: of the volume.
        count: wanted number; the product of the numbers along the axes comes as near to it as the shape allows.
        spacing: edges of a voxel in mm.
    """
    import numpy as np

    sides = np.array(shape) * np.array(spacing, dtype=float)
    edge = float(np.prod(sides) / count) ** (1 / 3)
    around = [
        sorted({min(max(round(side / edge) + step, 1), voxels) for step in range(-2, 3)})
        for side, voxels in zip(sides, shape, strict=True)
    ]

    def unlike(numbers: tuple[int, ...]) -> tuple[float, float]:
        edges = sides / np.array(numbers)
        long = float(edges.max() / edges.min())
        # A wrong number is worse than boxes that are not quite cubes.
        return abs(np.prod(numbers) - count) / count + 0.05 * (long - 1), long

    numbers = min(itertools.product(*around), key=unlike)
    axes = [np.arange(voxels) * number // voxels for voxels, number in zip(shape, numbers, strict=True)]
    x, y, z = (axis.astype(np.int32) for axis in axes)
    return (x[:, None, None] * numbers[1] + y[None, :, None]) * numbers[2] + z[None, None, :]


def slic(image: np.ndarray, count: int, compactness: float, spacing: Sequence[float] = (1.0, 1.0, 1.0)) -> np.ndarray:
    """Simple linear iterative clustering (Achanta et al. 2012, doi:10.1109/TPAMI.2012.120) by SimpleITK.

    Args:
        image: ``[x, y, z]`` in HU.
        count: wanted number; the nearest of a few attempts is taken.
        compactness: the HU that weigh as much as the distance of one supervoxel's edge: more makes rounder supervoxels, fewer let
            them follow the organs.
        spacing: edges of a voxel in mm.

    Raises:
        InputError: the compactness is not positive.
    """
    import numpy as np
    import SimpleITK as sitk

    if not (compactness > 0 and np.isfinite(compactness)):
        raise InputError(f"The compactness must be a positive number of HU, not {compactness:g}: set ⟨compactness⟩ to 100, say.")
    # SimpleITK's axes run the other way than numpy's.
    volume = sitk.GetImageFromArray(np.ascontiguousarray(image.transpose(2, 1, 0), dtype=np.float32))
    sides = np.array(image.shape) * np.array(spacing, dtype=float)
    best, asked = np.zeros(image.shape, dtype=np.int32), float(count)
    for _attempt in range(_ATTEMPTS):
        edges = float(np.prod(sides) / asked) ** (1 / 3) / np.array(spacing, dtype=float)
        whole = [sorted({min(max(int(edge) + up, 1), n) for up in (0, 1)}) for edge, n in zip(edges, image.shape, strict=True)]
        grid = min(itertools.product(*whole), key=lambda sizes: abs(math.log(math.prod(sizes) * asked / image.size)))
        filtered = sitk.SLICImageFilter()
        filtered.SetSuperGridSize(grid)
        filtered.SetSpatialProximityWeight(compactness)
        filtered.SetMaximumNumberOfIterations(10)
        filtered.SetEnforceConnectivity(True)
        filtered.SetInitializationPerturbation(False)
        found = _numbered(sitk.GetArrayFromImage(filtered.Execute(volume)).transpose(2, 1, 0))
        if abs(_count(found) - count) < abs(_count(best) - count):
            best = found
        if abs(_count(best) - count) <= _NEAR * count:
            break
        asked *= count / _count(found)
    return best


def _count(regions: np.ndarray) -> int:
    return int(regions.max()) + 1


def _numbered(regions: np.ndarray) -> np.ndarray:
    """The same regions numbered from 0 without gaps, int32."""
    import numpy as np

    _found, numbers = np.unique(regions, return_inverse=True)
    return numbers.reshape(regions.shape).astype(np.int32)
