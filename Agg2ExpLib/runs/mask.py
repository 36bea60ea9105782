"""The global mask of a run: which supervoxels matter most, and what the model draws with and without them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..attribution.baselines import make_baseline
from ..monitor import Stage
from ..roi_importance.global_mask import check_mask, choose_mask, mask_record
from .case import Case
from .mask_settings import MaskSettings


def global_mask(
    case: Case,
    settings: MaskSettings,
    segmentation: np.ndarray,
    regions: np.ndarray,
    masses: Mapping[str, np.ndarray],
    stages: tuple[Stage, Stage],
) -> tuple[np.ndarray, dict[str, Any]]:
    """The mask and what ``run.json`` says of it.

    Args:
        case: the CT and model.
        settings: of the mask.
        segmentation: of the whole CT, ``[x, y, z]``.
        regions: supervoxel of every voxel, ``[x, y, z]``.
        masses: for each explained label the attribution in every supervoxel.
        stages: of the segmentations with and without the mask.

    Returns:
        uint8 ``[x, y, z]``, and the record.
    """
    import torch

    found = choose_mask(regions, masses, settings.coverage, settings.number)
    start = make_baseline(settings.baseline, case.image, case.air, settings.blur, settings.seed)
    todo = list(stages)

    def segment_with(kept: np.ndarray) -> np.ndarray:
        return case.segment(todo.pop(0), torch.where(torch.from_numpy(kept), case.image, start)).labels

    indices = {label.name: label.index for label in case.model.card.labels if label.name in masses}
    dice = check_mask(found, indices, segmentation, segment_with)
    return found.mask.astype(np.uint8), mask_record(found, settings.supervoxels.kind, dice)
