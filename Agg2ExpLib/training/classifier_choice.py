"""The classifiers that ``agg2exp train`` offers: ResNets of slices with pooled features, and a ResNet in 3D."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..models.classifiers import SLICE_CLASSIFIER, new_classifier

if TYPE_CHECKING:
    import torch

POOLINGS = ("attention", "mean", "max")  # as in models.slice_classifier, which loads torch
_POOLED = ("pooling", "axes", "heads")  # of the classifier; every other option is the ResNet's
_RESNET: dict[str, Any] = {"class": "ResNet", "block": "basic", "block_inplanes": [64, 128, 256, 512]}

# name → arguments of the ResNet; the first is that of arXiv:2307.06614.
CLASSIFIERS: dict[str, dict[str, Any]] = {
    "slice_resnet18": {**_RESNET, "layers": [2, 2, 2, 2], "spatial_dims": 2, "n_input_channels": 1, "feed_forward": False},
    "slice_resnet10": {**_RESNET, "layers": [1, 1, 1, 1], "spatial_dims": 2, "n_input_channels": 1, "feed_forward": False},
    "resnet3d": {**_RESNET, "layers": [2, 2, 2, 2], "spatial_dims": 3, "n_input_channels": 1},
}


def classifier_spec(name: str, options: Mapping[str, Any], classes: int) -> dict[str, Any]:
    """Class and arguments of a classifier, as the model card keeps them.

    Args:
        name: a key of :data:`CLASSIFIERS`.
        options: ``pooling``, ``axes``, ``heads`` of a classifier of slices; all others are arguments of MONAI's ResNet.
        classes: how many logits.

    Raises:
        InputError: unknown name, or a setting of slices for a network in 3D.
    """
    if name not in CLASSIFIERS:
        raise InputError(f"There is no classifier '{name}': choose one of {', '.join(CLASSIFIERS)}.")
    resnet = {**CLASSIFIERS[name], **{key: value for key, value in options.items() if key not in _POOLED}}
    pooled = {key: options[key] for key in _POOLED if key in options}
    if resnet["spatial_dims"] == 3:
        if pooled:
            raise InputError(f"{name} sees the volume as a whole: leave out ⟨{next(iter(pooled))}⟩, or choose slice_resnet18.")
        return {**resnet, "num_classes": classes}
    return {"class": SLICE_CLASSIFIER, "backbone": resnet, "pooling": "attention", "axes": [2], "heads": 8, **pooled} | {
        "out_channels": classes
    }


def build(spec: Mapping[str, Any], roi: Sequence[int]) -> torch.nn.Module:
    """A classifier with fresh weights (from torch's seed), in training mode.

    Raises:
        InputError: MONAI refuses an argument, or the volume does not suit the network.
    """
    import torch

    try:
        network = new_classifier(spec).eval()
        with torch.no_grad():
            network(torch.zeros(1, 1, *roi))
    except (TypeError, ValueError, RuntimeError, AssertionError, KeyError, IndexError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"This classifier cannot be built for volumes of {'x'.join(map(str, roi))} voxels ({reason}): change "
            "⟨network_options⟩ or ⟨roi⟩."
        ) from None
    return network.train()
