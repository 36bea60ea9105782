"""Builds the network that tensors belong to: Swin UNETR by the tensors, others by class and arguments from the model card."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from . import swin_unetr
from .autoencoders import AUTOENCODERS, new_autoencoder
from .autoencoders import describe as describe_autoencoder
from .checkpoint import Weights, as_float32
from .classifiers import CLASSIFIERS, classes_of, new_classifier
from .classifiers import describe as describe_classifier
from .readings import Reading, check_left_out, choose, readings, size_of

if TYPE_CHECKING:
    import torch

# Classes of monai.networks.nets that map one CT channel to one logit a label and voxel; nothing else is ever built.
ALLOWED = ("SwinUNETR", "UNETR", "UNet", "BasicUNet", "DynUNet", "SegResNet", "SegResNetDS", "VNet", "AttentionUnet")

Tensors = Mapping[str, "torch.Tensor"]


@dataclass(frozen=True)
class Built:
    """A network with its weights in it.

    Attributes:
        network: float32, on the CPU, in ``eval()``, without gradients for its weights.
        spec: ``class`` and arguments as plain JSON values.
        channels: output channels.
        divisors: what the sides of a window must be divisible by, along the axes of the network's arrays.
        architecture: one line for people.
        warnings: sentences for the user.
    """

    network: torch.nn.Module
    spec: dict[str, Any]
    channels: int
    divisors: tuple[int, int, int]
    architecture: str
    warnings: tuple[str, ...] = ()


def build_network(
    weights: Weights, named: Mapping[str, Any] | None, asked: str | None = None, leave_out: Sequence[str] = ()
) -> Built:
    """The network of these weights.

    Args:
        weights: what the file holds.
        named: ``network`` of the model card: ``class`` and its arguments.
        asked: ``weights`` of the model card: which of several networks in the file.
        leave_out: ``leave_out`` of the model card: names of tensors that play no part in the output.

    Raises:
        InputError: one sentence that says what does not fit, or would be left out.
    """
    spec = dict(named or {})
    kind = spec.pop("class", "SwinUNETR")
    if kind in CLASSIFIERS:
        return _build_classifier(weights, kind, spec, asked, tuple(leave_out))
    if kind in AUTOENCODERS:
        return _build_autoencoder(weights, kind, spec, asked, tuple(leave_out))
    if kind not in ALLOWED:
        known = ", ".join((*ALLOWED, *CLASSIFIERS, *AUTOENCODERS))
        raise InputError(f"The network class {kind!r} of {weights.source} is not supported: 'class' can be {known}.")
    build = _build_swin_unetr if kind == "SwinUNETR" else _build_named
    return build(weights, kind, spec, asked, tuple(leave_out))


def _build_swin_unetr(weights: Weights, kind: str, named: dict[str, Any], asked: str | None, leave_out: tuple[str, ...]) -> Built:
    source = weights.source
    found = readings(weights, swin_unetr.FIRST_NAMES)
    renamed = [replace(reading, tensors=swin_unetr.rename_old(reading.tensors)) for reading in found]
    fitting = [reading for reading in renamed if swin_unetr.looks_like_swin_unetr(reading.tensors)]
    whole = [reading for reading in fitting if swin_unetr.has_decoder(reading.tensors)]
    if not fitting:
        group = max(weights.groups.values(), key=len)
        first = next((name for name, tensor in group.items() if tensor.ndim > 1), next(iter(group)))
        raise InputError(
            f"{source} is not a Swin UNETR ({len(group)} tensors such as '{first}' {size_of(group[first])} and "
            "no 'swinViT.patch_embed.proj.weight'): give Swin UNETR weights, or name its MONAI class as 'network' in a model card."
        )
    taken, told = choose(whole or fitting[:1], weights, asked, kind)
    tensors = as_float32(taken.tensors, source)
    args = swin_unetr.recognise(tensors, source, named)
    _check_channels(args["in_channels"], args["out_channels"], source)
    warnings = [
        f"The model card says {key} {named[key]!r}, but the weights of {source} say {_plain(args[key])!r}, which was taken."
        for key in args
        if key in named and _plain(args[key]) not in (_plain(named[key]), [named[key]] * 3)
    ]
    if args["downsample"] == swin_unetr.MERGING_LEGACY and "downsample" not in named:
        warnings.append(
            f"{source} was trained with the patch merging of MONAI 0.9 to 1.4, as its weights show; that one was taken, name "
            "another as 'downsample' in the model card if need be."
        )
    network = _construct(lambda: swin_unetr.build(args), source, kind)
    own = set(network.state_dict())
    _fill(network, tensors, source, swin_unetr.describe(args))
    told += check_left_out(taken, weights, lambda name: swin_unetr.new_name(name) in own, whole, leave_out, kind)
    return Built(
        _frozen(network),
        {"class": kind, **_plain(args)},
        args["out_channels"],
        (args["patch_size"] ** 5,) * 3,
        swin_unetr.describe(args),
        (*told, *warnings),
    )


def _build_named(weights: Weights, kind: str, named: dict[str, Any], asked: str | None, leave_out: tuple[str, ...]) -> Built:
    from monai.networks import nets

    source = weights.source
    if "spatial_dims" in named and named["spatial_dims"] != 3:
        raise InputError(
            f"The network named for {source} has spatial_dims {named['spatial_dims']!r}: give a 3D network (spatial_dims 3)."
        )
    args = {"spatial_dims": 3, "in_channels": 1, **{key: _tuples(value) for key, value in named.items()}}
    if not isinstance(args.get("out_channels"), int):
        raise InputError(f"The {kind} named for {source} lacks 'out_channels': give the number of labels with the background.")
    _check_channels(args["in_channels"], args["out_channels"], source)
    if args.get("preprocess") is not None:
        raise InputError(f"The {kind} named for {source} prepares its input by code ('preprocess'), which is not run.")
    _check_claims(args, weights, kind)
    network = _construct(lambda: getattr(nets, kind)(**args), source, kind)
    channels = int(args["out_channels"])
    title = f"{kind}, {channels} channels, {sum(part.numel() for part in network.parameters()) / 1e6:.1f} million weights"
    told = fill_from(network, weights, kind, f"{kind} named in the model card", asked, leave_out)
    return Built(_frozen(network), {"class": kind, **_plain(args)}, channels, _divisors(kind, args, network), title, told)


def _build_classifier(weights: Weights, kind: str, named: dict[str, Any], asked: str | None, leave_out: tuple[str, ...]) -> Built:
    spec = {"class": kind, **named}
    count = classes_of(spec)
    backbone = named.get("backbone")
    _check_claims({"": [*named.values(), *(backbone.values() if isinstance(backbone, Mapping) else ())]}, weights, kind)
    network = _construct(lambda: new_classifier(spec), weights.source, kind)
    told = fill_from(network, weights, kind, f"the {kind} named in the model card", asked, leave_out)
    return Built(_frozen(network), _plain(spec), count, (1, 1, 1), describe_classifier(spec, network), told)


def _build_autoencoder(weights: Weights, kind: str, named: dict[str, Any], asked: str | None, leave_out: tuple[str, ...]) -> Built:
    spec = {"class": kind, **named}
    _check_claims(named, weights, kind)
    network = _construct(lambda: new_autoencoder(spec), weights.source, kind)
    told = fill_from(network, weights, kind, f"the {kind} named in the model card", asked, leave_out)
    return Built(_frozen(network), _plain(spec), 1, (1, 1, 1), describe_autoencoder(network), told)


def fill_from(
    network: torch.nn.Module,
    weights: Weights,
    kind: str,
    title: str,
    asked: str | None = None,
    leave_out: Sequence[str] = (),
) -> tuple[str, ...]:
    """Put the weights into a network under whichever reading of their names fits.

    Args:
        network: as its class makes it; filled in place.
        weights: what the file holds.
        kind: the network's class, for messages.
        title: the network in more words, for messages.
        asked, leave_out: see :func:`build_network`.

    Returns:
        Sentences for the user.

    Raises:
        InputError: no reading fits, several do, or something would be left out that can change the output.
    """
    own = network.state_dict()
    found = readings(weights, own.keys())
    fitting = [reading for reading in found if not _misfits(own, reading.tensors)]
    if not fitting:
        best = found[0] if found else Reading("", "", max(weights.groups.values(), key=len))
        _fill(network, best.tensors, weights.source, title)
    taken, told = choose(fitting, weights, asked, kind)
    tensors = {name: tensor for name, tensor in taken.tensors.items() if name in own}
    _fill(network, as_float32(tensors, weights.source), weights.source, title)
    return told + check_left_out(taken, weights, own.__contains__, fitting, leave_out, kind)


def _check_claims(args: Mapping[str, Any], weights: Weights, kind: str) -> None:
    """Refuse a network that is described far larger than its weights, before it is built."""
    most = max([1024, *(length for _, shape in weights.shapes() for length in shape)])
    level: list[Any] = list(args.values())
    for _ in range(8):
        if any(isinstance(value, int) and abs(value) > most for value in level) or len(level) > 1000:
            raise InputError(f"The {kind} named for {weights.source} is far larger than its weights: correct the model card.")
        level = [part for value in level if isinstance(value, (list, tuple)) for part in value]


def _check_channels(inputs: object, outputs: object, source: str) -> None:
    if inputs != 1:
        raise InputError(f"{source} takes {inputs} input channels, and a CT has one: give weights of a network for CT alone.")
    if not isinstance(outputs, int) or outputs < 1:
        raise InputError(
            f"{source} has {outputs} output channel(s): give a network with one channel for the background and one for each label."
        )


def _construct(make: Any, source: str, kind: str) -> torch.nn.Module:
    import torch

    try:
        with torch.random.fork_rng(devices=[]):  # initial weights must not use up the caller's seed
            network: torch.nn.Module = make()
            return network
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"The network {kind} of {source} does not fit into memory: use a machine with more memory.") from error
    except Exception as error:  # MONAI answers bad arguments with whatever its inner layers raise
        detail = " ".join(str(error).split())[:160]
        raise InputError(
            f'MONAI\'s {kind} cannot be built for {source} ({detail}): correct "network" in the model card.'
        ) from error


def _misfits(own: Tensors, tensors: Tensors) -> tuple[list[str], list[str]] | None:
    """Names of the network that the tensors lack, and those whose shape is another; None where all fit."""
    # Position indices follow from the window size, and counters of batches play no part after training.
    optional = ("relative_position_index", "num_batches_tracked")
    # A module registered twice has its tensors under two names, of which safetensors stores one.
    present = {own[name].data_ptr() for name in tensors if name in own}
    missing = [name for name in own if name not in tensors and not name.endswith(optional) and own[name].data_ptr() not in present]
    wrong = [name for name in own if name in tensors and own[name].shape != tensors[name].shape]
    return (missing, wrong) if missing or wrong else None


def _fill(network: torch.nn.Module, tensors: Tensors, source: str, title: str) -> None:
    """Put the tensors into the network, or say in one sentence which do not fit."""
    own = network.state_dict()
    if misfits := _misfits(own, tensors):
        missing, wrong = misfits
        extra = [name for name in tensors if name not in own and not name.endswith("num_batches_tracked")]
        problems = []
        if wrong:
            name = wrong[0]
            sizes = f"{size_of(tensors[name])} instead of {size_of(own[name])}"
            problems.append(f"{len(wrong)} of the wrong shape, first '{name}' {sizes}")
        if missing:
            problems.append(f"{len(missing)} missing, first '{missing[0]}' {size_of(own[missing[0]])}")
        if extra:
            problems.append(f"{len(extra)} that it does not have, first '{extra[0]}' {size_of(tensors[extra[0]])}")
        raise InputError(f"{source} does not fit {title}: of its {len(own)} tensors, {'; '.join(problems)}.")
    network.load_state_dict({name: tensors.get(name, value) for name, value in own.items()})


def _frozen(network: torch.nn.Module) -> torch.nn.Module:
    return network.float().cpu().eval().requires_grad_(False)


def _divisors(kind: str, args: Mapping[str, Any], network: Any) -> tuple[int, int, int]:
    """What a window's sides must be divisible by."""
    if kind in ("UNet", "AttentionUnet", "DynUNet"):
        steps = [tuple(step) if isinstance(step, (list, tuple)) else (step,) * 3 for step in args["strides"]]
        x, y, z = (math.prod(step[axis] for step in steps) for axis in range(3))
        return x, y, z
    if kind == "SegResNetDS":
        x, y, z = (int(factor) for factor in network.shape_factor())
        return x, y, z
    if kind == "SegResNet":
        return (2 ** (len(args.get("blocks_down", (1, 2, 2, 4))) - 1),) * 3
    return (16, 16, 16)  # UNETR, VNet and BasicUNet halve four times


def _tuples(value: Any) -> Any:
    """JSON lists as the tuples that MONAI's factories expect."""
    return tuple(_tuples(part) for part in value) if isinstance(value, (list, tuple)) else value


def _plain(value: Any) -> Any:
    """The same value with lists for tuples, as JSON gives it back."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value
