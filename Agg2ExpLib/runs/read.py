"""A results folder as an explanation in memory; maps stay on the disk until they are used."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .explanation import Explanation
from .results import Results


def read_explanation(folder: str | Path, maps: bool = True) -> Explanation:
    """Read a results folder.

    Args:
        folder: with the results.
        maps: whether the maps and what is kept of their noise are wanted; else they may be missing.

    Raises:
        InputError: it is none, or a file in it is missing or damaged.
    """
    results = Results.open(folder)
    segmentation = results.segmentation()
    target, mask = results.target_mask(), results.global_mask()
    return Explanation(
        grid=segmentation.grid,
        labels=results.labels,
        hu=results.ct().array,
        segmentation=segmentation.array,
        maps={name: results.attribution(name).array for name in results.explained} if maps else {},
        matrix=results.importance() if results.explained else None,
        extra_rois={name: volume.array > 0 for name, volume in results.extra_rois().items()},
        target_mask=target.array > 0 if target is not None else None,
        global_mask=mask.array.astype(np.uint8, copy=False) if mask is not None else None,
        noise=results.noise() if maps else {},
        slices=results.slices(),
        run=results.run,
    )
