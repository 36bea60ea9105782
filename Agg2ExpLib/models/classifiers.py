"""Builds classifiers from their description in a model card: slice classifiers around MONAI's 2D networks, and 3D networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:
    import torch

SLICE_CLASSIFIER = "SliceClassifier"
# Classes of monai.networks.nets that turn an image into a row of numbers, and how they call the number of them.
BACKBONES = {"ResNet": "num_classes", "DenseNet": "out_channels", "EfficientNetBN": "num_classes"}
CLASSIFIERS = (SLICE_CLASSIFIER, *BACKBONES)
_INPUTS = {"ResNet": "n_input_channels", "DenseNet": "in_channels", "EfficientNetBN": "in_channels"}
_SIDE = 64  # of the image by which a backbone's features are counted


def new_classifier(spec: Mapping[str, Any]) -> torch.nn.Module:
    """A classifier with fresh weights (from torch's seed), float32, on the CPU.

    Args:
        spec: ``class``, either ``SliceClassifier`` with ``backbone`` (class and arguments of a 2D network), ``pooling``, ``axes``,
            ``heads`` and ``out_channels``; or the class of a 3D network with its arguments, logits included.

    Raises:
        InputError: an unknown class, or a setting that makes no sense.
        Exception: whatever MONAI raises for bad arguments.
    """
    kind = spec.get("class")
    if kind != SLICE_CLASSIFIER:
        return _network(dict(spec), 3)
    from .slice_classifier import SliceClassifier

    arguments = {key: value for key, value in spec.items() if key not in ("class", "backbone", "out_channels")}
    backbone = spec.get("backbone")
    if not isinstance(backbone, Mapping) or "class" not in backbone:
        raise InputError(f'A SliceClassifier needs a "backbone" such as {{"class": "ResNet", …}}, not {backbone!r}.')
    if unknown := [key for key in arguments if key not in ("pooling", "axes", "heads")]:
        raise InputError(f"A SliceClassifier has no setting '{unknown[0]}': it has backbone, pooling, axes, heads, out_channels.")
    network = _network(dict(backbone), 2)
    return SliceClassifier(network, _features(network), classes_of(spec), **arguments)


def is_slice_classifier(network: Any) -> bool:
    """Whether a network is a slice classifier, which can tell what each slice contributes; needs no torch."""
    return hasattr(network, "slice_features") and hasattr(network, "slice_parts")


def classes_of(spec: Mapping[str, Any]) -> int:
    """How many logits a described classifier gives.

    Raises:
        InputError: the description does not say.
    """
    key = "out_channels" if spec.get("class") == SLICE_CLASSIFIER else BACKBONES.get(str(spec.get("class")), "out_channels")
    count = spec.get(key)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise InputError(f"The {spec.get('class')} of a classifier lacks '{key}': give the number of classes.")
    return count


def describe(spec: Mapping[str, Any], network: torch.nn.Module) -> str:
    """One line for people."""
    count = f"{classes_of(spec)} classes, {sum(part.numel() for part in network.parameters()) / 1e6:.1f} million weights"
    if spec.get("class") != SLICE_CLASSIFIER:
        return f"{spec.get('class')} in 3D, {count}"
    names = ("sagittal", "coronal", "axial")
    slices = ", ".join(names[axis] for axis in getattr(network, "axes", ()))
    return f"{spec['backbone']['class']} of {slices} slices, {getattr(network, 'pooling', '')} pooling, {count}"


def _network(spec: dict[str, Any], dimensions: int) -> torch.nn.Module:
    from monai.networks import nets

    kind = str(spec.pop("class"))
    if kind not in BACKBONES:
        raise InputError(f"The network class {kind!r} is not supported in a classifier: it can be {', '.join(BACKBONES)}.")
    if spec.get("spatial_dims", dimensions) != dimensions:
        raise InputError(f"The {kind} of this classifier must have spatial_dims {dimensions}, not {spec['spatial_dims']}.")
    if spec.get(_INPUTS[kind], 1) != 1:
        raise InputError(f"The {kind} takes {spec[_INPUTS[kind]]} channels, and a CT has one: set '{_INPUTS[kind]}' to 1.")
    if kind == "EfficientNetBN":
        spec.setdefault("pretrained", False)
        if spec["pretrained"]:
            raise InputError("Pretrained weights are not fetched: leave 'pretrained' out.")
    arguments = {key: tuple(value) if isinstance(value, list) else value for key, value in spec.items()}
    network: torch.nn.Module = getattr(nets, kind)(**{"spatial_dims": dimensions, _INPUTS[kind]: 1, **arguments})
    return network


def _features(network: torch.nn.Module) -> int:
    """Numbers that a 2D network makes of an image."""
    import torch

    training = network.training
    with torch.no_grad():
        found = network.eval()(torch.zeros(1, 1, _SIDE, _SIDE))
    network.train(training)
    if found.dim() != 2:
        raise InputError(
            f"The backbone turns an image into {list(found.shape[1:])}, not into a row of features: for a ResNet set "
            '"feed_forward": false.'
        )
    return int(found.shape[1])
