"""Builds the networks of nnU-Net from what plans say, with the package ``dynamic-network-architectures``.

Nothing that a file names is imported: classes and layers are taken by name from the lists below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:
    import torch

ARCHITECTURES = ("PlainConvUNet", "ResidualEncoderUNet")
# Arguments that name layers, and the layers of torch.nn they may name.
_LAYERS = {
    "conv_op": ("Conv3d",),
    "norm_op": ("InstanceNorm3d", "BatchNorm3d"),
    "dropout_op": ("Dropout3d",),
    "nonlin": ("LeakyReLU", "ReLU", "ELU", "GELU", "SiLU", "PReLU", "Mish"),
}
_SETTINGS = ("norm_op_kwargs", "dropout_op_kwargs", "nonlin_kwargs")
_SIZES = ("features_per_stage", "kernel_sizes", "strides", "n_conv_per_stage_decoder")
_SPATIAL = ("kernel_sizes", "strides")
_DEPTHS = {"PlainConvUNet": "n_conv_per_stage", "ResidualEncoderUNet": "n_blocks_per_stage"}
_OPTIONAL = {"PlainConvUNet": ("nonlin_first",), "ResidualEncoderUNet": ("bottleneck_channels", "stem_channels")}
_MOST_STAGES, _MOST_PARTS = 12, 200
PACKAGE = "dynamic-network-architectures"

Tensors = Mapping[str, "torch.Tensor"]


def build(architecture: str, arguments: Mapping[str, Any], channels: int, tensors: Sequence[Tensors], source: str) -> list[Any]:
    """One network for each set of tensors, float32, on the CPU, in ``eval()``, its weights without gradients.

    Args:
        architecture: one of :data:`ARCHITECTURES`.
        arguments: of that class, as the plans give them.
        channels: of the output.
        tensors: weights by name, one set for each fold.
        source: the model's name, for messages.

    Raises:
        InputError: another architecture, arguments that cannot be, or tensors that do not fit.
    """
    if architecture not in ARCHITECTURES:
        raise InputError(
            f"{source} is a {architecture[:60]}, and of nnU-Net's networks {' and '.join(ARCHITECTURES)} are supported: explain it "
            "from Python, as a network in memory."
        )
    kind = _class(architecture)
    given = _checked(architecture, arguments, source)
    networks = []
    for each in tensors:
        network = _empty(kind, given, channels, source)
        _fill(network, each, architecture, source)
        networks.append(network.float().eval().requires_grad_(False))
    return networks


def divisors(arguments: Mapping[str, Any]) -> tuple[int, ...]:
    """What a window's sides must be divisible by, along the network's axes; of arguments that :func:`build` took."""
    strides = [[step] * 3 if isinstance(step, int) else step for step in arguments["strides"]]
    return tuple(math.prod(step[axis] for step in strides) for axis in range(3))


def describe(architecture: str, arguments: Mapping[str, Any], channels: int, network: torch.nn.Module) -> str:
    """The network in one line, for people."""
    features = arguments["features_per_stage"]
    millions = sum(weight.numel() for weight in network.parameters()) / 1e6
    return (
        f"nnU-Net {architecture}, {arguments['n_stages']} stages, {features[0]} to {features[-1]} features, {channels} channels, "
        f"{millions:.1f} million weights"
    )


def _class(architecture: str) -> Any:
    try:
        from dynamic_network_architectures.architectures import unet
    except ImportError as error:
        raise InputError(
            f"Models of nnU-Net need the small package {PACKAGE}: install it with `pip install --no-deps {PACKAGE}`."
        ) from error
    return getattr(unet, architecture)


def _checked(architecture: str, arguments: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The arguments with layers for their names; nothing but plain, moderate values is passed on.

    Raises:
        InputError: an argument that is unknown, missing or cannot be.
    """
    depths = _DEPTHS[architecture]
    known = ("n_stages", *_SIZES, depths, "conv_bias", *_LAYERS, *_SETTINGS, *_OPTIONAL[architecture])
    unknown = next((key for key in arguments if key not in known and key != "deep_supervision"), None)
    missing = next((key for key in ("n_stages", *_SIZES, depths, "conv_op") if arguments.get(key) is None), None)
    if unknown or missing:
        told = f"an argument '{str(unknown)[:40]}' that is unknown here" if unknown else f"no '{missing}'"
        raise InputError(f"The plans.json of {source} gives its {architecture} {told}: it cannot be built.")
    stages = arguments["n_stages"]
    wrong = InputError(f"The plans.json of {source} describes a {architecture} that cannot be: copy the model's folder again.")
    if not isinstance(stages, int) or not 2 <= stages <= _MOST_STAGES:
        raise wrong
    given: dict[str, Any] = {}
    for key in known:
        value = arguments.get(key)
        if key in _LAYERS:
            given[key] = _layer(key, value, source)
        elif key in _SETTINGS:
            if value is not None and not (
                isinstance(value, dict) and all(isinstance(part, int | float) for part in value.values())
            ):
                raise wrong
            given[key] = value
        elif value is not None:
            if not _is_moderate(value):
                raise wrong
            given[key] = value
    for key in (*_SIZES, depths):
        count = stages - (key == "n_conv_per_stage_decoder")
        if isinstance(given[key], int):
            given[key] = [given[key]] * count
        parts = given[key]
        if not isinstance(parts, list) or len(parts) != count or not all(_is_size(part, key in _SPATIAL) for part in parts):
            raise wrong
    return given


def _layer(key: str, value: object, source: str) -> Any:
    """A layer of torch.nn by its name."""
    if value is None and key != "conv_op":
        return None
    name = str(value).rsplit(".", 1)[-1]
    if name not in _LAYERS[key] or not str(value).startswith("torch.nn."):
        raise InputError(
            f"The plans.json of {source} names {str(value)[:60]} as '{key}', which is unknown here: it cannot be built."
        )
    from torch import nn

    return getattr(nn, name)


def _is_size(value: object, spatial: bool) -> bool:
    """Whether it is a number of at least 1, or where it may be one for each axis, three of them."""
    parts = value if isinstance(value, list) and spatial and len(value) == 3 else [value]
    return all(isinstance(part, int) and not isinstance(part, bool) and part >= 1 for part in parts)


def _is_moderate(value: object, depth: int = 0) -> bool:
    if isinstance(value, list):
        return depth < 2 and len(value) <= _MOST_STAGES and all(_is_moderate(part, depth + 1) for part in value)
    return isinstance(value, bool) or (isinstance(value, int) and 0 <= value <= 1 << 14)


def _empty(kind: Any, given: Mapping[str, Any], channels: int, source: str) -> torch.nn.Module:
    """The network without weights: it takes no memory, however large plans say it is."""
    import torch

    layers = sum(
        given[key][stage] for key in given if key.startswith("n_") and key != "n_stages" for stage in range(len(given[key]))
    )
    try:
        if layers > _MOST_PARTS:
            raise ValueError(f"{layers} layers")
        with torch.device("meta"):
            network: torch.nn.Module = kind(input_channels=1, num_classes=channels, deep_supervision=False, **given)
            return network
    except Exception as error:  # whatever its inner layers raise for bad arguments
        detail = " ".join(str(error).split())[:160]
        raise InputError(f"The network in the plans.json of {source} cannot be built ({detail}): copy the folder again.") from error


def _fill(network: torch.nn.Module, tensors: Tensors, architecture: str, source: str) -> None:
    """Put the tensors into the network, or say in one sentence that they do not fit."""
    own = network.state_dict()
    once = {name for name, _ in network.named_parameters()} | {name for name, _ in network.named_buffers()}
    counter = "num_batches_tracked"
    missing = sorted(name for name in once if name not in tensors and not name.endswith(counter))
    extra = [name for name in tensors if name not in own and not name.endswith(counter)]
    wrong = [name for name in own if name in tensors and own[name].shape != tensors[name].shape]
    if missing or extra or wrong:
        if wrong:
            shapes = ["x".join(map(str, each[wrong[0]].shape)) for each in (tensors, own)]
            first = f"'{wrong[0]}' is {shapes[0]} instead of {shapes[1]}"
        else:
            first = f"'{missing[0]}' is missing" if missing else f"'{extra[0]}' is not part of it"
        raise InputError(
            f"The weights of {source} do not fit the {architecture} of its plans.json ({len(wrong)} tensors of another shape, "
            f"{len(missing)} missing, {len(extra)} too many; {first}): plans and checkpoint are of different models, or a trainer "
            "of its own built another network."
        )
    import torch

    filled = {name: tensors[name] for name in own if name in tensors}
    filled |= {name: torch.zeros(own[name].shape, dtype=own[name].dtype) for name in once if name not in tensors}
    network.load_state_dict(filled, strict=False, assign=True)
