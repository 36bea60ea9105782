"""Trained model folders of nnU-Net v2: ``dataset.json``, ``plans.json`` and a checkpoint in each ``fold_X``.

Given as that folder, as one of its folds or as a checkpoint in one. Nothing in them is run, and nnU-Net itself is not needed.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..inference.averaged import averaged
from ..system.json_files import read_json, shown
from . import nnunet_network
from .checkpoint import Tensors, read_content, tensors_of
from .described import Described
from .labels import make_labels
from .loaded import Loaded
from .model_card import ModelCard
from .nnunet_labels import NnunetLabels, read_labels
from .nnunet_plans import Plans, read_plans
from .pickled_settings import is_whole
from .variant import Variant
from .weights_file import checksum
from .window_memory import require_window_memory

FINAL, BEST = "checkpoint_final.pth", "checkpoint_best.pth"
_FILES = ("plans.json", "dataset.json")
# What only nnU-Net v1 wrote.
_V1 = ("plans.pkl", "model_final_checkpoint.model", "fold_0/model_final_checkpoint.model", "all/model_final_checkpoint.model")
_TRAINED = re.compile(r"[^_].*__.+__.+")  # trainer, plans, configuration
_STEP = 0.5  # windows are at most this part of a window apart, which is nnU-Net's default
# Trainers of nnU-Net and TotalSegmentator that build the network as the plans say; how they train does not matter here.
_USUAL_TRAINER = re.compile(
    r"nnUNetTrainer(V2)?(_?(\d+ep(ochs?)?|DA5|DAOrd0|DASegOrd0|ord0|Segord0|NoDA|no(Dummy2D)?DA|NoMirroring|onlyMirror01|(Dice)?CELoss"
    r"|DiceLoss|(Dice)?Topk?\d+Loss(LS01)?|noSmooth|CosAnneal|warmup|NoDeepSupervision|(Vanilla)?Ada[mn]\d*e?n?\d*|Benchmark"
    r"|noDataLoading|probabilisticOversampling|\d{3}|BN))*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ModelFolder:
    """A trained model on disk.

    Attributes:
        root: folder with ``plans.json`` and ``dataset.json``.
        fold: the fold that was given, such as ``fold_0``; None for the whole folder.
        checkpoint: the checkpoint that was given.
    """

    root: Path
    fold: str | None = None
    checkpoint: Path | None = None


def find(path: Path) -> ModelFolder | None:
    """The model that a folder, a fold or a checkpoint belongs to; None where it is none of nnU-Net.

    Raises:
        InputError: it is one of nnU-Net v1, lacks one of its files, or the folder is that of a whole data set.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - links stay as they were named
    if path.name in ("model_final_checkpoint.model", "model_best.model") or any((path / name).is_file() for name in _V1):
        raise InputError(f"{shown(path.name)} is a model of nnU-Net v1, which is not supported: give one of nnU-Net v2.")
    if path.is_file():
        if not path.parent.name.startswith("fold_") or not path.name.startswith("checkpoint_"):
            return None
        if path.with_suffix(".json").is_file():  # a model card: the checkpoint of something else
            return None
        return ModelFolder(_complete(path.parent.parent), path.parent.name, path)
    if not path.is_dir():
        return None
    if path.name.startswith("fold_"):
        return ModelFolder(_complete(path.parent), path.name) if _checkpoints(path) or _is_root(path.parent) else None
    if _is_root(path) or _folds(path):
        return ModelFolder(_complete(path))
    trained = sorted(part.name for part in path.iterdir() if _TRAINED.fullmatch(part.name) and part.is_dir() and _is_root(part))
    if trained:
        raise InputError(
            f"The folder {shown(path.name)} holds several things: give the trained model in it, {' or '.join(trained)}."
        )
    return None


def load(found: ModelFolder, card: Path | None, variant: Variant) -> Loaded:
    """The model of a folder; several folds become one network that averages them.

    Raises:
        InputError: one sentence that says what is wrong with it, or with the choice of folds.
    """
    source = f"The nnU-Net {shown(found.root.name)}"
    if card is not None:
        raise InputError(f"{source} says itself what its labels and settings are: leave ⟨card⟩ out.")
    files = _chosen(found, variant, source)
    checkpoints = [_Checkpoint.read(file) for file in files]
    first = checkpoints[0]
    if other := next((one for one in checkpoints if one.configuration != first.configuration), None):
        raise InputError(
            f"The folds of {source[4:]} are of different configurations ({first.configuration}, {other.configuration}): copy the "
            "folder again."
        )
    plans = read_plans(read_json(found.root / "plans.json", "nnU-Net's"), first.configuration, source)
    labels = read_labels(read_json(found.root / "dataset.json", "nnU-Net's"), source)
    arguments = dict(plans.arguments)
    if first.trainer == "nnUNetTrainerBN":
        arguments |= {"norm_op": "torch.nn.BatchNorm3d", "norm_op_kwargs": {"eps": 1e-5, "affine": True}}
    networks = nnunet_network.build(plans.architecture, arguments, labels.channels, [one.tensors for one in checkpoints], source)
    _check_window(plans, arguments, labels, source)
    title = nnunet_network.describe(plans.architecture, arguments, labels.channels, networks[0])
    if len(files) > 1:
        title += f", mean of {len(files)} folds"
    axes = _mirror_axes(first, source) if variant.mirror else ()
    if axes:
        title += f", mirrored along {len(axes)} axes"
    name = f"{plans.dataset or found.root.parent.name}_{plans.configuration}"
    return Loaded(
        averaged(networks, axes),
        _card(plans, arguments, labels),
        name if len(files) > 1 else f"{name}_{files[0].parent.name}",
        _checksum(files),
        title,
        tuple(_warnings(files, first, plans, labels, variant)),
    )


def describe(found: ModelFolder) -> Described:
    """Labels and settings by the folder's names and its JSON files.

    Raises:
        InputError: one sentence that says why it cannot be explained.
    """
    source = f"The nnU-Net {shown(found.root.name)}"
    files = _chosen(found, Variant(), source)
    if cut := next((file for file in files if not is_whole(file)), None):
        raise InputError(f"{cut.name} in {cut.parent.name} of {source[4:]} is cut short: copy or download it again.")
    trainer, _, rest = found.root.name.partition("__")
    plans = read_plans(read_json(found.root / "plans.json", "nnU-Net's"), rest.rpartition("__")[2], source)
    labels = read_labels(read_json(found.root / "dataset.json", "nnU-Net's"), source)
    _check_window(plans, plans.arguments, labels, source)
    notes = (f"mean of {len(files)} folds",) if len(files) > 1 else ()
    return Described(f"nnU-Net, {plans.configuration}, {trainer}", _card(plans, plans.arguments, labels), notes)


@dataclass(frozen=True)
class _Checkpoint:
    """What is used of a checkpoint."""

    tensors: Tensors
    configuration: str
    trainer: str
    mirror_axes: tuple[int, ...]

    @classmethod
    def read(cls, file: Path) -> _Checkpoint:
        content = read_content(file)
        values = content if isinstance(content, Mapping) else {}
        begun = values.get("init_args")
        configuration = begun.get("configuration") if isinstance(begun, Mapping) else None
        if not isinstance(configuration, str) or not isinstance(values.get("network_weights"), Mapping):
            raise InputError(
                f"{shown(file.name)} in {shown(file.parent.name)} is no checkpoint of nnU-Net v2: copy the folder again."
            )
        axes = values.get("inference_allowed_mirroring_axes") or ()
        tensors = tensors_of(values["network_weights"], file)
        # DistributedDataParallel and torch.compile put prefixes before the names.
        last = "decoder.seg_layers."
        prefix = next((name[: name.index(last)] for name in tensors if last in name), "")
        return cls(
            {name.removeprefix(prefix): tensor for name, tensor in tensors.items()},
            configuration,
            str(values.get("trainer_name", "")),
            tuple(int(axis) for axis in axes if isinstance(axis, int) and 0 <= axis <= 2),
        )


def _is_root(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _FILES) and (
        bool(_folds(folder)) or all((folder / n).is_file() for n in _FILES)
    )


def _complete(root: Path) -> Path:
    """The folder, if it has what it must have."""
    missing = next((name for name in _FILES if not (root / name).is_file()), None)
    if missing:
        raise InputError(f"The nnU-Net {shown(root.name)} lacks {missing}, which lies beside its folds: copy the whole folder.")
    return root


def _folds(root: Path) -> dict[str, Path]:
    """Folds with a checkpoint, by what follows ``fold_``, numbers first."""
    found = [part for part in root.glob("fold_*") if part.is_dir() and _checkpoints(part)]
    return {
        part.name[5:]: part for part in sorted(found, key=lambda part: (not part.name[5:].isdigit(), len(part.name), part.name))
    }


def _checkpoints(fold: Path) -> list[Path]:
    """The checkpoints of a finished training in a fold, the better one to use first."""
    return [fold / name for name in (FINAL, BEST) if (fold / name).is_file()]


def _chosen(found: ModelFolder, variant: Variant, source: str) -> list[Path]:
    """The checkpoints to use."""
    if found.fold is not None:
        if variant.folds not in (None, found.fold.removeprefix("fold_"), found.fold):
            raise InputError(f"One fold was given already ({found.fold}): give the folder above it, or leave ⟨folds⟩ out.")
        there = [found.checkpoint] if found.checkpoint else _checkpoints(found.root / found.fold)
        if not there:
            raise InputError(f"{source} has no {FINAL} in {found.fold}: finish its training, or copy the whole folder.")
        return [there[0]]
    folds = _folds(found.root)
    if not folds:
        raise InputError(f"{source} has no {FINAL} in any fold: finish its training, or copy the whole folder.")
    if variant.folds in (None, "all"):
        # As nnU-Net does: the folds of the cross-validation, of which unfinished ones are left out where others are finished.
        names = [name for name in folds if name.isdigit()] or list(folds)[:1]
        finished = [name for name in names if (folds[name] / FINAL).is_file()]
        return [_checkpoints(folds[name])[0] for name in finished or names]
    wanted = [part.strip().removeprefix("fold_") for part in str(variant.folds).split(",")]
    if unknown := next((name for name in wanted if name not in folds), None):
        raise InputError(f"{source} has no fold '{unknown}': ⟨folds⟩ can be all, or some of {', '.join(folds)}.")
    return [_checkpoints(folds[name])[0] for name in dict.fromkeys(wanted)]


def _check_window(plans: Plans, arguments: Mapping[str, Any], labels: NnunetLabels, source: str) -> None:
    told = "x".join(map(str, plans.patch_size))
    divisors = nnunet_network.divisors(arguments)
    if any(side % divisor for side, divisor in zip(plans.patch_size, divisors, strict=True)):
        raise InputError(
            f"The patch_size {told} in the plans.json of {source[4:]} does not fit its network, which halves it to "
            f"1/{'x'.join(map(str, divisors))}: copy the folder again."
        )
    require_window_memory(plans.patch_size, arguments["features_per_stage"][0], labels.channels, f"patch_size of {source[4:]}")


def _mirror_axes(checkpoint: _Checkpoint, source: str) -> tuple[int, ...]:
    if not checkpoint.mirror_axes:
        raise InputError(f"{source} was trained without mirroring: leave ⟨mirror⟩ out.")
    return checkpoint.mirror_axes


def _card(plans: Plans, arguments: Mapping[str, Any], labels: NnunetLabels) -> ModelCard:
    return ModelCard(
        labels=make_labels(labels.names),
        spacing=plans.spacing,
        hu_window=None,
        roi_size=plans.patch_size,
        network={"class": plans.architecture, **arguments},
        steps=plans.preprocessing,
        output="sigmoid" if labels.regions else "softmax",
        overlap=1 - _STEP,
        blend="gaussian",
        windows="nnunet",
    )


def _checksum(files: Sequence[Path]) -> str:
    """sha256 of the checkpoint; of several that of their checksums in a row."""
    sums = [checksum(file) for file in files]
    return sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()


def _warnings(files: Sequence[Path], first: _Checkpoint, plans: Plans, labels: NnunetLabels, variant: Variant) -> list[str]:
    told = []
    if len(files) > 1 and variant.folds is None:
        told.append(
            f"The {len(files)} folds of the model are averaged, as nnU-Net does, which takes {len(files)} times as long as one: "
            "choose one with ⟨folds⟩ 0."
        )
    if worse := [file.parent.name for file in files if file.name != FINAL]:
        told.append(f"{', '.join(worse)}: the training was not finished or its last state not chosen, {files[0].name} was taken.")
    if not _USUAL_TRAINER.fullmatch(first.trainer):
        told.append(
            f"The model was trained with {first.trainer[:80] or 'an unnamed trainer'}, which is not nnU-Net's own: it was assumed "
            "that its network and images are as the plans say."
        )
    if not labels.channel.lower().startswith(("ct", "cbct")):
        told.append(f"The model's images are called '{labels.channel[:60]}': make sure that they are CT in HU.")
    if first.mirror_axes and not variant.mirror:
        told.append(
            f"nnU-Net itself also averages over mirrored windows ({2 ** len(first.mirror_axes)} passes in place of one), which can "
            "change single voxels: ask for it with ⟨mirror⟩."
        )
    return told
