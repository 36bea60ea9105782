"""Whether a model can do what is asked of it, told before anything long begins."""

from __future__ import annotations

from ..attribution.method import Method
from ..errors import InputError
from ..models.model import Model
from ..models.model_card import AUTOENCODER, CLASSIFICATION, SEGMENTATION


def check_suits(model: Model, method: Method | None, target_mask: bool, global_mask: bool, segmenter: bool) -> None:
    """Refuse a question that a model of this kind cannot answer.

    Args:
        model: to be asked.
        method: of attribution; None to segment only.
        target_mask, global_mask, segmenter: whether a target mask, a global mask or a model for the regions is given.

    Raises:
        InputError: one sentence.
    """
    if model.task == AUTOENCODER:
        raise InputError(
            f"{model.name} is an autoencoder, which draws nothing and sorts nothing: give a segmentation network or a classifier; "
            "it serves as the ⟨autoencoder⟩ of a counterfactual."
        )
    if method is None:
        model.require(SEGMENTATION, "Segmenting")
    if model.task != CLASSIFICATION:
        if segmenter:
            raise InputError(f"{model.name} draws its own regions: leave out ⟨segmenter⟩, which is for classifiers.")
        return
    if target_mask:
        raise InputError(f"{model.name} is a classifier, whose output has no voxels: leave out ⟨target_mask⟩.")
    if global_mask:
        raise InputError(
            f"{model.name} is a classifier, and a global mask is tested by segmenting again: leave out ⟨mask_coverage⟩ and "
            "⟨mask_regions⟩."
        )
