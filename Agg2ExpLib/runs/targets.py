"""What is explained: the labels that the segmentation has, each over its own fixed voxels or over a mask that somebody drew."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..attribution.stitched import Target
from ..errors import InputError
from ..inference.segmentation import Segmented
from ..inference.whole_volume import logit_voxel
from ..models.labels import Label, select_labels
from ..models.model_card import ModelCard
from ..monitor import Monitor


def requested_labels(names: Sequence[str], card: ModelCard) -> tuple[Label, ...]:
    """The labels or classes asked for; all but the background where none is named.

    Raises:
        InputError: an unknown name.
    """
    return select_labels(names, card.labels) if names else card.explainable


def class_targets(names: Sequence[str], card: ModelCard, shape: Sequence[int]) -> list[Target]:
    """The classes to explain: one voxel each, in which the network behind
    :func:`~Agg2ExpLib.inference.whole_volume.as_voxels` gives the logit.

    Raises:
        InputError: an unknown name.
    """
    voxel = logit_voxel(shape)
    return [Target(label.name, card.channel(label), voxel) for label in requested_labels(names, card)]


def find_targets(
    drawn: Segmented, names: Sequence[str], card: ModelCard, mask: np.ndarray | None, monitor: Monitor
) -> tuple[list[Target], tuple[str, ...]]:
    """The labels to explain with their fixed voxels ``ŷ_c``; labels that the segmentation lacks are said, not invented.

    Args:
        drawn: what the network draws.
        names: labels asked for; none for all that are found.
        card: of the model.
        mask: boolean ``[x, y, z]``, explained in place of the labels' own voxels.
        monitor: is told what is missing or was chosen.

    Returns:
        The targets, and the names of labels that were asked for but not found.

    Raises:
        InputError: nothing is left to explain.
    """
    if mask is not None:
        chosen = _labels_of_mask(drawn.labels, names, card, mask, monitor)
        return [Target(label.name, card.channel(label), mask) for label in chosen], ()
    counts = drawn.count(len(card.labels))
    requested = requested_labels(names, card)
    present = [label for label in requested if counts[label.index]]
    absent = tuple(label.name for label in requested if not counts[label.index])
    if not present:
        found = ", ".join(label.name for label in card.labels[1:] if counts[label.index]) or "nothing"
        raise InputError(
            f"The model found none of the requested labels in this CT ({', '.join(absent)}), so there is nothing to explain; it "
            f"found {found}."
        )
    if absent and names:
        monitor.notice(f"Not found in this CT and so not explained: {', '.join(absent)}.")
    return [Target(label.name, card.channel(label), drawn.mask(label.index)) for label in present], absent


def _labels_of_mask(
    segmentation: np.ndarray, names: Sequence[str], card: ModelCard, mask: np.ndarray, monitor: Monitor
) -> tuple[Label, ...]:
    """The labels whose logits are explained over a drawn mask: those asked for, else the one predicted most in it."""
    if names:
        return requested_labels(names, card)
    counts = np.bincount(segmentation[mask], minlength=len(card.labels))
    counts[0] = 0
    if not counts.any():
        raise InputError("The model sees only background in the target mask: name the label to explain with ⟨labels⟩.")
    label = card.labels[int(counts.argmax())]
    monitor.notice(f"Explaining '{label.name}', the label that the model predicts most in the target mask.")
    return (label,)
