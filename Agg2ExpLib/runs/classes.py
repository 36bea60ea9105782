"""What a classifier says of a CT, and what each slice contributed to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..models.classifiers import is_slice_classifier
from .case import Case

if TYPE_CHECKING:
    import torch

Parts = dict[int, tuple[np.ndarray, dict[str, np.ndarray]]]


def class_scores(case: Case) -> list[dict[str, Any]]:
    """Logit and probability of every class, in the order of the network's outputs, as ``run.json`` tells them.

    Args:
        case: of a classifier, its network at work.
    """
    import torch

    with torch.inference_mode(), case.compute.arithmetic():
        logits = case.network(_image(case))[0, :, 0, 0, 0].double().cpu()
    shares = torch.sigmoid(logits) if case.model.card.output == "sigmoid" else torch.softmax(logits, 0)
    return [
        {
            "name": label.name,
            "color": list(label.color),
            "group": label.group,
            "logit": round(float(logits[label.index]), 6),
            "probability": round(float(shares[label.index]), 6),
        }
        for label in case.model.card.labels
    ]


def slice_parts(case: Case) -> Parts:
    """For each axis of the grid that a slice classifier has slices along: weights ``[n]`` and, by class, contributions ``[n]``.

    The contributions of a class over all axes and the network's constant sum to its logit. Nothing for other networks.
    """
    import torch

    network: Any = case.model.network
    if not is_slice_classifier(network):
        return {}
    turn = case.prepared.turn
    with torch.inference_mode(), case.compute.arithmetic():
        features = network.slice_features(turn.tensor_forth(_image(case)))[0]
        weights, parts, _ = (values.double().cpu().numpy() for values in network.slice_parts(features))
    found: Parts = {}
    begin = 0
    for axis in network.axes:
        ours = turn.order[axis]
        end = begin + case.grid.shape[ours]
        step = slice(None, None, -1) if turn.flips[axis] else slice(None)
        by_class = {label.name: parts[label.index, begin:end][step] for label in case.model.card.labels}
        found[ours] = (weights[begin:end][step], by_class)
        begin = end
    return found


def _image(case: Case) -> torch.Tensor:
    return case.image.to(case.compute.device, case.compute.dtype)[None, None]
