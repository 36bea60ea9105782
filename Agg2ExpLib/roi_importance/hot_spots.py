"""Where a map is strongest: connected spots, each within one region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# The spots hold this part of the voxels, of the map smoothed by this much.
STRONGEST, SMOOTH_MM = 0.01, 2.0
LEAST_SHARE = 0.001  # of the attribution; less is not worth a look


@dataclass(frozen=True)
class HotSpot:
    """A connected part of the strongest voxels of a map within one label.

    Attributes:
        region: name of the label that it lies in.
        voxel: its strongest voxel ``(x, y, z)``.
        place: that voxel in patient RAS mm.
        volume_ml: of the spot.
        share: of the map's absolute attribution.
        net: share of the spot's attribution that is left when supporting and opposing cancel; positive supports, -1..1.
    """

    region: str
    voxel: tuple[int, int, int]
    place: tuple[float, float, float]
    volume_ml: float
    share: float
    net: float


def hot_spots(
    attribution: np.ndarray,
    segmentation: np.ndarray,
    names: Sequence[str],
    affine: np.ndarray,
    most: int = 8,
    strongest: float = STRONGEST,
    smooth_mm: float = SMOOTH_MM,
) -> list[HotSpot]:
    """The strongest connected spots of a map, those with the most attribution first.

    Args:
        attribution: signed map ``[x, y, z]``.
        segmentation: labels ``[x, y, z]``, numbers into ``names``.
        names: of the labels.
        affine: 4×4, voxel index → RAS mm.
        most: spots at most.
        strongest: share of the voxels that spots are made of.
        smooth_mm: standard deviation of the Gaussian through which ``|attribution|`` is seen; 0 for none.
    """
    from scipy.ndimage import gaussian_filter, label

    strength = np.abs(attribution, dtype=np.float32)
    total = float(strength.sum(dtype=np.float64))
    if total == 0 or most < 1:
        return []
    spacing = np.linalg.norm(np.asarray(affine)[:3, :3], axis=0)
    seen = gaussian_filter(strength, smooth_mm / spacing) if smooth_mm > 0 else strength
    threshold = max(float(np.quantile(seen, 1 - strongest)), float(np.finfo(np.float32).tiny))
    numbers, count = np.zeros(attribution.shape, dtype=np.int32), 0
    for region in np.unique(segmentation[seen >= threshold]):
        own_numbers, own_count = label((seen >= threshold) & (segmentation == region), structure=np.ones((3, 3, 3)))
        numbers[own_numbers > 0] = own_numbers[own_numbers > 0] + count
        count += own_count
    inside = np.flatnonzero(numbers)
    spot = numbers.ravel()[inside]
    weight = strength.ravel()[inside].astype(np.float64)
    sums = np.bincount(spot, weight, minlength=count + 1)
    nets = np.bincount(spot, np.asarray(attribution, dtype=np.float64).ravel()[inside], minlength=count + 1)
    sizes = np.bincount(spot, minlength=count + 1)
    millilitres = abs(float(np.linalg.det(np.asarray(affine)[:3, :3]))) / 1000
    found = []
    for number in np.argsort(-sums[1:], kind="stable")[:most] + 1:
        if sums[number] < LEAST_SHARE * total:
            break
        own = inside[spot == number]
        x, y, z = (int(index) for index in np.unravel_index(own[np.argmax(seen.ravel()[own])], attribution.shape))
        right, front, top = (float(value) for value in (np.asarray(affine) @ [x, y, z, 1])[:3])
        found.append(
            HotSpot(
                names[int(segmentation.ravel()[own[0]])],
                (x, y, z),
                (right, front, top),
                float(sizes[number] * millilitres),
                float(sums[number] / total),
                float(nets[number] / sums[number]),
            )
        )
    return found
