"""Several runs on one CT as one matrix: labels explained later join those explained before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .matrix import ARRAYS, ImportanceMatrix

# A global mask is made from the maps and does not change them.
_OF_MASK = ("mask_coverage", "mask_regions")


def mergeable(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether two runs (contents of ``run.json``) explain one CT in the same way, so that their rows may stand in one matrix.

    A run that only segmented fits every other one with the same model; a drawn target is always on its own, and so are the classes
    of a classifier over the regions of another model.
    """
    if any(run.get("target_mask") for run in (before, after)):
        return False
    for key in ("ct", "weights", "segmenter"):
        if (before.get(key) or {}).get("sha256") != (after.get(key) or {}).get("sha256"):
            return False
    if not before.get("explained") or not after.get("explained"):
        return True
    return _settings(before) == _settings(after) and before.get("precision") == after.get("precision")


def _settings(run: Mapping[str, Any]) -> dict[str, Any]:
    """What the maps of a run depend on."""
    return {name: value for name, value in (run.get("parameters") or {}).items() if name not in _OF_MASK}


def merge_matrices(before: ImportanceMatrix, after: ImportanceMatrix, order: tuple[str, ...]) -> ImportanceMatrix:
    """The rows of both, those of ``after`` where both have one.

    Args:
        before, after: with the same columns and region sizes.
        order: the model's labels, for the order of the rows.

    Raises:
        ValueError: the columns differ.
    """
    if before.columns != after.columns or not np.array_equal(before.roi_voxels, after.roi_voxels):
        raise ValueError("matrices over different regions cannot be merged")
    rows = tuple(name for name in order if name in before.rows or name in after.rows)
    picked = [(after, after.rows.index(name)) if name in after.rows else (before, before.rows.index(name)) for name in rows]
    arrays: dict[str, Any] = {name: np.stack([getattr(source, name)[index] for source, index in picked]) for name in ARRAYS}
    return ImportanceMatrix(rows=rows, columns=after.columns, roi_voxels=after.roi_voxels, extra=after.extra, **arrays)
