"""Reads Swin UNETR's hyperparameters off the names and shapes of its tensors (MONAI's ``SwinUNETR``, versions 1 and 2).

What shapes cannot tell is how a patch-merging step orders its eight voxels. MONAI has three orders, two of them by the same name
(https://github.com/Project-MONAI/MONAI/issues/8284):

- ``merging_v0.9``: MONAI 0.9 to 1.4's ``merging``; two of the eight voxels are taken twice and two not at all;
- ``merging``: the same with that mistake repaired, MONAI 1.5 and later;
- ``mergingv2``: all eight in C order.

Weights work only with the order they were trained with. The first leaves a trace: the two copies of a voxel receive the same
updates in training, so the columns of ``reduction.weight`` that read them grow alike, more than those of any two different voxels.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:
    import torch

MERGING_LEGACY = "merging_v0.9"
DOWNSAMPLES = ("merging", "mergingv2", MERGING_LEGACY)
# (first axis, second axis, third axis) offset of each of the eight voxels, in the order of MONAI 0.9 to 1.4.
_LEGACY_ORDER = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (0, 1, 0), (0, 0, 1), (1, 1, 1))
_TWINS = ((2, 5), (3, 6))  # the voxels of that order which are taken twice

_ENCODER_KEY = "swinViT.patch_embed.proj.weight"
_BLOCK = "swinViT.layers{stage}.0.blocks.{block}."


# The first layer's name now and in self-supervised checkpoints, in a whole network and in an encoder of its own.
FIRST_NAMES = (_ENCODER_KEY, "swin_vit.patch_embed.proj.weight", "patch_embed.proj.weight")


def new_name(name: str) -> str:
    """MONAI's present name of a tensor: self-supervised checkpoints say ``swin_vit`` and ``mlp.fc1``."""
    return re.sub(r"\.mlp\.fc([12])\.", r".mlp.linear\1.", re.sub(r"^swin_vit\.", "swinViT.", name))


def rename_old(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors under MONAI's present names."""
    return {new_name(name): tensor for name, tensor in tensors.items()}


def looks_like_swin_unetr(tensors: Mapping[str, torch.Tensor]) -> bool:
    """Whether the names are a Swin UNETR's, whole or encoder only."""
    return _ENCODER_KEY in tensors or (
        "patch_embed.proj.weight" in tensors and any(name.startswith("layers1.") for name in tensors)
    )


def has_decoder(tensors: Mapping[str, torch.Tensor]) -> bool:
    """Whether the tensors are a whole Swin UNETR's and not its encoder's alone."""
    return _ENCODER_KEY in tensors and "out.conv.conv.weight" in tensors


def recognise(tensors: Mapping[str, torch.Tensor], source: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ``monai.networks.nets.SwinUNETR`` that give these tensors.

    Args:
        tensors: state dict under MONAI's names, see :func:`rename_old`.
        source: the file's name, for messages.
        known: arguments from the model card; used where tensors leave a choice (``downsample``, ``norm_name``, ``window_size``,
            ``normalize``).

    Raises:
        InputError: the tensors are an encoder without decoder, of a 2D network, or leave a choice that ``known`` does not settle.
    """
    if "out.conv.conv.weight" not in tensors or "encoder1.layer.conv1.conv.weight" not in tensors:
        raise InputError(
            f"{source} holds only the encoder of a Swin UNETR (self-supervised pre-training); its decoder is missing, so it cannot "
            "segment: give the weights of the whole fine-tuned network."
        )
    embed, out = _shape(tensors, _ENCODER_KEY, source), _shape(tensors, "out.conv.conv.weight", source)
    if len(embed) != 5 or len(out) != 5:
        raise InputError(f"{source} is a 2D Swin UNETR and explains no volumes: give the weights of a 3D network.")
    depths, heads, hidden = _stages(tensors, source)
    first = _BLOCK.format(stage=1, block=0)
    args: dict[str, Any] = {
        "in_channels": embed[1],
        "out_channels": out[0],
        "feature_size": embed[0],
        "patch_size": embed[2],
        "depths": depths,
        "num_heads": heads,
        "window_size": _window_size(tensors, source, known),
        "qkv_bias": first + "attn.qkv.bias" in tensors,
        "mlp_ratio": max(units / (embed[0] * 2**stage) for stage, units in enumerate(hidden)),
        "patch_norm": "swinViT.patch_embed.norm.weight" in tensors,
        "norm_name": _norm_name(tensors, source, known),
        "use_v2": any(name.startswith("swinViT.layers1c.") for name in tensors),
        "normalize": known.get("normalize", True),
        "downsample": _downsample(tensors, known, source),
        "spatial_dims": 3,
    }
    if len(set(embed[2:])) > 1 or embed[2] != 2:
        raise InputError(
            f"{source} is a Swin UNETR with patch size {'x'.join(map(str, embed[2:]))}: give one with 2, as MONAI needs it."
        )
    for stage, count in enumerate(heads):
        if count < 1 or (embed[0] * 2**stage) % count:
            raise InputError(
                f"{source} has {count} attention heads for {embed[0] * 2**stage} features in stage {stage + 1}, which do not "
                "divide: give weights of a Swin UNETR as MONAI builds it."
            )
    return args


def build(args: Mapping[str, Any]) -> torch.nn.Module:
    """MONAI's ``SwinUNETR`` for arguments of :func:`recognise`, with the patch merging they name."""
    from monai.networks.nets import SwinUNETR

    chosen = dict(args)
    if chosen.get("downsample") == MERGING_LEGACY:
        chosen["downsample"] = legacy_merging()
    return SwinUNETR(**chosen)


def legacy_merging() -> type[torch.nn.Module]:
    """The patch-merging layer of MONAI 0.9 to 1.4 (``[batch, x, y, z, channel]`` → half the size, twice the channels)."""
    import torch
    from monai.networks.nets.swin_unetr import PatchMergingV2

    class PatchMergingV09(PatchMergingV2):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            odd = [length % 2 for length in x.shape[1:4]]
            if any(odd):
                x = torch.nn.functional.pad(x, (0, 0, 0, odd[2], 0, odd[1], 0, odd[0]))
            merged = torch.cat([x[:, i::2, j::2, k::2] for i, j, k in _LEGACY_ORDER], dim=-1)
            return self.reduction(self.norm(merged))

    return PatchMergingV09


def describe(args: Mapping[str, Any]) -> str:
    """One line for people: version, feature size, depths, heads and what is unusual."""
    parts = [
        f"SwinUNETR {'v2' if args['use_v2'] else 'v1'}",
        f"feature size {args['feature_size']}",
        f"depths {'-'.join(map(str, args['depths']))}",
        f"heads {'-'.join(map(str, args['num_heads']))}",
    ]
    if tuple(args["window_size"]) != (7, 7, 7):
        parts.append(f"attention window {'x'.join(map(str, args['window_size']))}")
    if args["downsample"] != "merging":
        parts.append(str(args["downsample"]))
    return ", ".join([*parts, f"{args['out_channels']} channels"])


def merging_trace(tensors: Mapping[str, torch.Tensor]) -> float:
    """How much more alike the twice-taken voxels' columns are than any other two, in standard errors (> 0: MONAI before 1.5).

    For each stage the eight column blocks of ``reduction.weight`` are correlated pairwise; of the smaller of the twins'
    correlations the largest of all other pairs is subtracted, in units of 1/√(entries of a block). The largest stage counts.
    """
    import torch

    found = -math.inf
    for stage in range(1, 5):
        weight = tensors.get(f"swinViT.layers{stage}.0.downsample.reduction.weight")
        if weight is None or weight.ndim != 2 or weight.shape[1] % 8:
            continue
        blocks = weight.double().reshape(weight.shape[0], 8, -1).transpose(0, 1).reshape(8, -1)
        correlation = torch.corrcoef(blocks)
        pairs = list(itertools.combinations(range(8), 2))
        twins = min(float(correlation[pair]) for pair in _TWINS)
        others = max(float(correlation[pair]) for pair in pairs if pair not in _TWINS)
        if math.isfinite(twins) and math.isfinite(others):
            found = max(found, (twins - others) * math.sqrt(blocks.shape[1]))
    return found


def _shape(tensors: Mapping[str, torch.Tensor], name: str, source: str) -> tuple[int, ...]:
    if name not in tensors:
        raise InputError(f"{source} looks like a Swin UNETR but lacks the tensor '{name}': give the complete weights.")
    return tuple(tensors[name].shape)


def _stages(tensors: Mapping[str, torch.Tensor], source: str) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Blocks, attention heads and MLP units of each of the four stages."""
    depths, heads, hidden = [], [], []
    for stage in range(1, 5):
        pattern = re.compile(rf"swinViT\.layers{stage}\.0\.blocks\.(\d+)\.")
        blocks = {int(match.group(1)) for name in tensors if (match := pattern.match(name))}
        first = _BLOCK.format(stage=stage, block=0)
        heads.append(_shape(tensors, first + "attn.relative_position_bias_table", source)[-1])
        hidden.append(_shape(tensors, first + "mlp.linear1.weight", source)[0])
        depths.append(max(blocks) + 1)
    return tuple(depths), tuple(heads), tuple(hidden)


def _window_size(tensors: Mapping[str, torch.Tensor], source: str, known: Mapping[str, Any]) -> tuple[int, int, int]:
    """The attention window of every axis, from the bias table's length and the index that says which pairs share an entry."""
    first = _BLOCK.format(stage=1, block=0) + "attn."
    rows = _shape(tensors, first + "relative_position_bias_table", source)[0]
    index = tensors.get(first + "relative_position_index")
    fits = []
    divisors = [number for number in range(1, rows + 1, 2) if rows % number == 0]
    for one, two in itertools.product(divisors, divisors):
        if rows % (one * two):
            continue
        size = ((one + 1) // 2, (two + 1) // 2, (rows // (one * two) + 1) // 2)
        if index is None or (index.shape[0] == math.prod(size) and _index_is(index, size)):
            fits.append(size)
    if cubic := [size for size in fits if len(set(size)) == 1]:
        return cubic[0]
    named = known.get("window_size")
    asked = tuple(named) if isinstance(named, (list, tuple)) else None
    if chosen := [size for size in fits if size == asked]:
        return chosen[0]
    if fits and (len(fits) == 1 or index is not None):  # sizes that share an index differ only in the order of axes of length 1
        return fits[0]
    raise InputError(
        f"The attention window of {source} cannot be read off its tensors: name it in the model card, "
        'e.g. "network": {"class": "SwinUNETR", "window_size": [7, 7, 7]}.'
    )


def _index_is(index: torch.Tensor, size: tuple[int, int, int]) -> bool:
    """Whether row 0 of a ``relative_position_index`` belongs to a window of this size."""
    import torch

    steps = ((2 * size[1] - 1) * (2 * size[2] - 1), 2 * size[2] - 1, 1)
    axes = [torch.arange(length) * step for length, step in zip(size, steps, strict=True)]
    place = (axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :]).flatten()
    return bool(torch.equal(index[:, 0].long() - index[0, 0].long(), place))


def _norm_name(tensors: Mapping[str, torch.Tensor], source: str, known: Mapping[str, Any]) -> Any:
    """The decoder's normalisation: instance norm has no tensors, batch norm has running statistics, others need the card."""
    weight, running = "encoder1.layer.norm1.weight" in tensors, "encoder1.layer.norm1.running_mean" in tensors
    if running:  # instance norm that tracks statistics is the same once training is over
        return "batch" if weight else ("batch", {"affine": False})
    if not weight:
        return "instance"
    named = known.get("norm_name")
    if named is None:
        raise InputError(
            f"The normalisation layers of {source} have weights, as instance and as group norm have: name which in the model card, "
            'e.g. "network": {"class": "SwinUNETR", "norm_name": ["instance", {"affine": true}]}.'
        )
    return named


def _downsample(tensors: Mapping[str, torch.Tensor], known: Mapping[str, Any], source: str) -> str:
    named = known.get("downsample")
    if named is not None:
        if named not in DOWNSAMPLES:
            raise InputError(f"'downsample' for {source} must be one of {', '.join(DOWNSAMPLES)}, not {named!r}.")
        return str(named)
    # Far above chance: networks trained briefly do not show the trace yet and get the order of present MONAI.
    return MERGING_LEGACY if merging_trace(tensors) > 5 else "merging"
