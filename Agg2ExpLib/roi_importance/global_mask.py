"""The global binary mask: the supervoxels that matter most over all explained labels, and what the model draws with and without it.

After "Supervoxel attributions of Swin UNETR segmentation" (doi:10.1002/ima.70323): regions are kept in the order
of their share of the attribution, and the rest is dropped. Whether the mask tells the truth is checked by segmenting twice more: a
faithful mask is enough for the model (Dice stays high when only the mask is kept) and needed by it (Dice falls when it is removed).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class GlobalMask:
    """Supervoxels that are kept.

    Attributes:
        mask: boolean ``[x, y, z]``.
        kept: number of supervoxels in the mask.
        regions: number of all supervoxels.
        coverage: share of the attribution in the mask, averaged over labels.
    """

    mask: np.ndarray
    kept: int
    regions: int
    coverage: float

    @property
    def volume_share(self) -> float:
        """Share of the volume in the mask."""
        return float(self.mask.mean())


def region_mass(regions: np.ndarray, attribution: np.ndarray) -> np.ndarray:
    """``Σ |e|`` of a map ``[x, y, z]`` in every supervoxel, float64 ``[supervoxels]``."""
    return np.bincount(regions.ravel(), np.abs(attribution, dtype=np.float64).ravel(), minlength=int(regions.max()) + 1)


def choose_mask(
    regions: np.ndarray, masses: Mapping[str, np.ndarray], coverage: float | None = None, number: int | None = None
) -> GlobalMask:
    """The fewest supervoxels that hold a share of the attribution, or a number of them, strongest first.

    Every label counts alike: its masses are divided by their sum before the mean over labels is taken.

    Args:
        regions: supervoxel of every voxel, ``[x, y, z]``.
        masses: for each label :func:`region_mass` of its map; none may be zero everywhere.
        coverage: share in 0..1 that is wanted.
        number: of supervoxels, where no coverage is given; those without attribution are never kept.

    Raises:
        ValueError: neither coverage nor number.
    """
    shares = np.mean([mass / mass.sum() for mass in masses.values()], axis=0)
    order = np.argsort(-shares, kind="stable")
    if coverage is not None:
        # Rounding must not cost one more supervoxel where all of the attribution is wanted.
        count = int(np.searchsorted(np.cumsum(shares[order]), coverage * (1 - 1e-9))) + 1
    elif number is not None:
        count = number
    else:
        raise ValueError("neither coverage nor number")
    chosen = order[: min(count, int((shares > 0).sum()))]
    return GlobalMask(np.isin(regions, chosen), len(chosen), len(shares), float(shares[chosen].sum()))


def check_mask(
    found: GlobalMask, labels: Mapping[str, int], clean: np.ndarray, segment_with: Callable[[np.ndarray], np.ndarray]
) -> dict[str, dict[str, float | None]]:
    """Dice between the clean segmentation and those with only the mask (insertion) and without it (deletion).

    Args:
        found: the mask.
        labels: explained labels with their values in the segmentation.
        clean: labels predicted for the whole image, ``[x, y, z]``.
        segment_with: labels predicted when only these voxels, boolean ``[x, y, z]``, are kept.

    Returns:
        For each label ``only_mask`` and ``without_mask``; None where the clean segmentation lacks the label (a drawn target).
    """
    from .dice import dice_per_label

    only = dice_per_label(segment_with(found.mask), clean, list(labels.values()))
    without = dice_per_label(segment_with(~found.mask), clean, list(labels.values()))

    def known(value: float) -> float | None:
        return None if np.isnan(value) else float(value)

    return {name: {"only_mask": known(only[i]), "without_mask": known(without[i])} for i, name in enumerate(labels)}


def mask_record(found: GlobalMask, kind: str, dice: dict[str, dict[str, float | None]]) -> dict[str, Any]:
    """The mask in ``run.json``; ``kind`` names the supervoxels."""
    return {
        "supervoxels": kind,
        "regions": found.regions,
        "kept": found.kept,
        "coverage": found.coverage,
        "volume_share": found.volume_share,
        "dice": dice,
    }
