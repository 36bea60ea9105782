"""What ``agg2exp train --task classification`` is trained on."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..training.classifier_choice import POOLINGS
from ..training.settings import TrainSettings
from .train_cache import fill_cache

if TYPE_CHECKING:
    from ..training.class_source import ClassSource
    from ..training.findings_source import FindingsSource
    from ..training.labelled_source import LabelledSource
    from ..training.preparation import Prepared
    from ..training.task import Task

AXES = ("axial", "coronal", "sagittal")


def add_options(group: Any) -> None:
    """Options that only classifiers have."""
    group.add_argument("--pooling", choices=POOLINGS, help="of the slices' features (default attention)")
    group.add_argument("--axes", nargs="+", choices=AXES, help="along which slices are taken (default axial)")
    group.add_argument("--heads", type=int, metavar="N", help="of the attention (default 8)")
    group.add_argument(
        "--findings", type=_names, default=(), metavar="NAME,…", help="to paint into synthetic CT, e.g. nodule,pleural_effusion"
    )
    group.add_argument("--volumes", type=int, default=600, metavar="N", help="synthetic CT to train on (default 600)")
    group.add_argument("--classes", type=_names, default=(), metavar="NAME,…", help="names of the classes of an .npz, in its order")


def new_task(args: argparse.Namespace, settings: TrainSettings, folder: Path) -> tuple[Task, Prepared | None]:
    """The task of the options, and what is to be prepared for it; ``folder`` takes the cache where no other is named.

    Raises:
        InputError: the options name nothing to train on, or something that cannot be read.
    """
    from ..training.classification_task import ClassificationTask

    pooled: dict[str, Any] = {key: getattr(args, key) for key in ("pooling", "heads") if getattr(args, key) is not None}
    if args.axes is not None:
        pooled["axes"] = [2 - AXES.index(axis) for axis in args.axes]
    settings = replace(settings, network_options={**settings.network_options, **pooled})
    if args.data and Path(args.data).suffix.lower() == ".npz":
        settings, volumes = _of_npz(args, settings)
        return ClassificationTask(settings, volumes, not args.no_augment), None
    if args.classes:
        raise InputError("⟨classes⟩ names those of an .npz: leave it out, CTs have the names of their table or folders.")
    cache = Path(args.cache) if args.cache else folder / "cache"
    if not args.data:
        painted = _synthetic(args, settings, cache)
        fill_cache(painted, settings)  # what is painted at random is known only then
        return ClassificationTask(settings, painted, not args.no_augment), None
    source = _labelled(args, settings, cache)
    return ClassificationTask(settings, source, not args.no_augment), source


def _of_npz(args: argparse.Namespace, settings: TrainSettings) -> tuple[TrainSettings, ClassSource]:
    """Volumes without HU and mm; their size, split and range are the file's."""
    from ..training.medmnist_source import INTENSITIES, MedmnistSource

    if given := next((name for name in ("roi", "spacing", "hu_window") if getattr(args, name) is not None), None):
        raise InputError(f"An .npz has its own size and range: leave out ⟨{given}⟩.")
    source = MedmnistSource(Path(args.data), args.classes)
    return replace(settings, roi=source.shape, spacing=(1.0, 1.0, 1.0), hu_window=INTENSITIES), source


def _labelled(args: argparse.Namespace, settings: TrainSettings, cache: Path) -> LabelledSource:
    if args.synthetic or args.phantoms or args.findings:
        raise InputError("⟨data⟩ and ⟨synthetic⟩ (or ⟨phantoms⟩, ⟨findings⟩) exclude each other: choose one source.")
    from ..training.labelled import find_labelled
    from ..training.labelled_source import LabelledSource
    from ..training.shares import held_out_alike

    data = Path(args.data)
    found = find_labelled(data)
    kinds = dict(zip(found.patients, map(tuple, found.targets.tolist()), strict=True))
    out = held_out_alike(kinds, args.validation, settings.seed)
    return LabelledSource(found, out, settings, cache, data.name)


def _synthetic(args: argparse.Namespace, settings: TrainSettings, cache: Path) -> FindingsSource:
    from ..training.findings_source import FINDINGS, FindingsSource

    maps = [Path(path) for path in args.synthetic]
    return FindingsSource(maps, args.phantoms, settings, cache, args.volumes, args.held_out, args.findings or FINDINGS)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
