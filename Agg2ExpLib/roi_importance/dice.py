"""Dice overlap of label maps, label by label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def dice_per_label(prediction: np.ndarray, reference: np.ndarray, labels: Sequence[int] | np.ndarray) -> np.ndarray:
    """``2 |P ∩ R| / (|P| + |R|)`` of each label; equals ``monai.metrics.compute_dice`` of the one-hot maps.

    Args:
        prediction: label map of any shape, whole numbers from 0; a bool mask is the map of label 1.
        reference: label map of the same shape on the same grid.
        labels: values to measure.

    Returns:
        float64 ``[len(labels)]``; NaN where the reference lacks the label, whatever the prediction says.

    Raises:
        ValueError: for shapes that differ or negative values.
        TypeError: for values that are not integers.
    """
    if prediction.shape != reference.shape:
        raise ValueError(f"prediction {prediction.shape} and reference {reference.shape} must have the same shape")
    wanted = np.asarray(labels, dtype=np.int64)
    if wanted.min(initial=0) < 0:  # would count from the end
        raise ValueError("labels must not be negative")
    size = 1 + int(max(part.max(initial=0) for part in (prediction, reference, wanted)))

    def voxels(values: np.ndarray) -> np.ndarray:
        return np.bincount(values.ravel(), minlength=size)[wanted]

    predicted, referenced = voxels(prediction), voxels(reference)
    shared = voxels(reference[prediction == reference])
    scores = np.full(len(wanted), np.nan)
    return np.divide(2 * shared, predicted + referenced, out=scores, where=referenced > 0)
