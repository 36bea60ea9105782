"""Builds the network that tensors belong to: Swin UNETR by the tensors, others by class and arguments from the model card."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from . import swin_unetr

if TYPE_CHECKING:
    import torch

# Classes of monai.networks.nets that map one CT channel to one logit a label and voxel; nothing else is ever built.
ALLOWED = ("SwinUNETR", "UNETR", "UNet", "BasicUNet", "DynUNet", "SegResNet", "VNet", "AttentionUnet")

Tensors = Mapping[str, "torch.Tensor"]


@dataclass(frozen=True)
class Built:
    """A network with its weights in it.

    Attributes:
        network: float32, on the CPU, in ``eval()``, without gradients for its weights.
        spec: ``class`` and arguments as plain JSON values.
        channels: output channels.
        divisor: every side of a window must be divisible by this.
        architecture: one line for people.
        warnings: sentences for the user.
    """

    network: torch.nn.Module
    spec: dict[str, Any]
    channels: int
    divisor: int
    architecture: str
    warnings: tuple[str, ...] = ()


def build_network(candidates: Sequence[Tensors], source: str, named: Mapping[str, Any] | None) -> Built:
    """The network of these weights.

    Args:
        candidates: the weights' tensors under every reading of their names (``checkpoint.name_candidates``).
        source: the file's name, for messages.
        named: ``network`` of the model card: ``class`` and its arguments.

    Raises:
        InputError: one sentence that says what does not fit.
    """
    spec = dict(named or {})
    kind = spec.pop("class", "SwinUNETR")
    if kind not in ALLOWED:
        raise InputError(f"The network class {kind!r} of {source} is not supported: 'class' can be {', '.join(ALLOWED)}.")
    if kind == "SwinUNETR":
        return _build_swin_unetr(candidates, source, spec)
    return _build_named(candidates, source, kind, spec)


def _build_swin_unetr(candidates: Sequence[Tensors], source: str, named: dict[str, Any]) -> Built:
    renamed = [swin_unetr.rename_old(tensors) for tensors in candidates]
    found = next((tensors for tensors in renamed if swin_unetr.looks_like_swin_unetr(tensors)), None)
    if found is None:
        first = next((name for name, tensor in candidates[-1].items() if tensor.ndim > 1), next(iter(candidates[-1])))
        raise InputError(
            f"{source} is not a Swin UNETR ({len(candidates[0])} tensors such as '{first}' {_size(candidates[-1][first])} and "
            "no 'swinViT.patch_embed.proj.weight'): give Swin UNETR weights, or name its MONAI class as 'network' in a model card."
        )
    args = swin_unetr.recognise(found, source, named)
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
    network = _construct(lambda: swin_unetr.build(args), source, "SwinUNETR")
    _fill(network, found, source, swin_unetr.describe(args))
    return Built(
        _frozen(network),
        {"class": "SwinUNETR", **_plain(args)},
        args["out_channels"],
        args["patch_size"] ** 5,
        swin_unetr.describe(args),
        tuple(warnings),
    )


def _build_named(candidates: Sequence[Tensors], source: str, kind: str, named: dict[str, Any]) -> Built:
    from monai.networks import nets

    if "spatial_dims" in named and named["spatial_dims"] != 3:
        raise InputError(
            f"The network named for {source} has spatial_dims {named['spatial_dims']!r}: give a 3D network (spatial_dims 3)."
        )
    args = {"spatial_dims": 3, "in_channels": 1, **{key: _tuples(value) for key, value in named.items()}}
    if not isinstance(args.get("out_channels"), int):
        raise InputError(f"The {kind} named for {source} lacks 'out_channels': give the number of labels with the background.")
    _check_channels(args["in_channels"], args["out_channels"], source)
    _check_claims(args, candidates[0], source, kind)
    network = _construct(lambda: getattr(nets, kind)(**args), source, kind)
    wanted = set(network.state_dict())
    found = max(candidates, key=lambda tensors: len(wanted & set(tensors)))
    channels = int(args["out_channels"])
    title = f"{kind}, {channels} channels, {sum(part.numel() for part in network.parameters()) / 1e6:.1f} million weights"
    _fill(network, found, source, f"{kind} named in the model card")
    return Built(_frozen(network), {"class": kind, **_plain(args)}, channels, _divisor(kind, args), title)


def _check_claims(args: Mapping[str, Any], tensors: Tensors, source: str, kind: str) -> None:
    """Refuse a network that is described far larger than its weights, before it is built."""
    most = max([1024, *(length for tensor in tensors.values() for length in tensor.shape)])
    level: list[Any] = list(args.values())
    for _ in range(8):
        if any(isinstance(value, int) and abs(value) > most for value in level) or len(level) > 1000:
            raise InputError(f"The {kind} named for {source} is far larger than its weights: correct the model card.")
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
    except MemoryError as error:
        raise InputError(f"The network {kind} of {source} does not fit into memory: use a machine with more memory.") from error
    except Exception as error:  # MONAI answers bad arguments with whatever its inner layers raise
        detail = " ".join(str(error).split())[:160]
        raise InputError(
            f'MONAI\'s {kind} cannot be built for {source} ({detail}): correct "network" in the model card.'
        ) from error


def _fill(network: torch.nn.Module, tensors: Tensors, source: str, title: str) -> None:
    """Put the tensors into the network, or say in one sentence which do not fit."""
    own = network.state_dict()
    # Position indices follow from the window size, and counters of batches play no part after training.
    optional = ("relative_position_index", "num_batches_tracked")
    # A module registered twice has its tensors under two names, of which safetensors stores one.
    present = {own[name].data_ptr() for name in tensors if name in own}
    missing = [name for name in own if name not in tensors and not name.endswith(optional) and own[name].data_ptr() not in present]
    extra = [name for name in tensors if name not in own and not name.endswith("num_batches_tracked")]
    wrong = [name for name in own if name in tensors and own[name].shape != tensors[name].shape]
    problems = []
    if wrong:
        name = wrong[0]
        problems.append(f"{len(wrong)} of the wrong shape, first '{name}' {_size(tensors[name])} instead of {_size(own[name])}")
    if missing:
        problems.append(f"{len(missing)} missing, first '{missing[0]}' {_size(own[missing[0]])}")
    if extra:
        problems.append(f"{len(extra)} that it does not have, first '{extra[0]}' {_size(tensors[extra[0]])}")
    if problems:
        raise InputError(f"{source} does not fit {title}: of its {len(own)} tensors, {'; '.join(problems)}.")
    network.load_state_dict({name: tensors.get(name, value) for name, value in own.items()})


def _frozen(network: torch.nn.Module) -> torch.nn.Module:
    return network.float().cpu().eval().requires_grad_(False)


def _size(tensor: torch.Tensor) -> str:
    return "x".join(str(length) for length in tensor.shape) or "scalar"


def _divisor(kind: str, args: Mapping[str, Any]) -> int:
    """What a window's sides must be divisible by."""
    if kind in ("UNet", "AttentionUnet", "DynUNet"):
        return math.prod(max(_flat(step)) for step in args["strides"])
    if kind == "SegResNet":
        return 2 ** (len(args.get("blocks_down", (1, 2, 2, 4))) - 1)
    return 16  # UNETR, VNet and BasicUNet halve four times


def _flat(value: Any) -> Iterable[int]:
    return value if isinstance(value, (list, tuple)) else (value,)


def _tuples(value: Any) -> Any:
    """JSON lists as the tuples that MONAI's factories expect."""
    return tuple(_tuples(part) for part in value) if isinstance(value, (list, tuple)) else value


def _plain(value: Any) -> Any:
    """The same value with lists for tuples, as JSON gives it back."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value
