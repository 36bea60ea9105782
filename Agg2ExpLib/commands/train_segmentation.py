"""What ``agg2exp train --task segmentation`` is trained on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..training.settings import TrainSettings

if TYPE_CHECKING:
    from ..training.pairs_source import PairsSource
    from ..training.preparation import Prepared
    from ..training.task import Task


def new_task(args: argparse.Namespace, settings: TrainSettings, folder: Path) -> tuple[Task, Prepared | None]:
    """The task of the options, and what is to be prepared for it; ``folder`` takes the cache where no other is named.

    Raises:
        InputError: the options name nothing to train on, or something that cannot be read.
    """
    from ..training.segmentation_task import SegmentationTask

    if not args.data:
        from ..training.synthetic_source import SyntheticSource

        painted = SyntheticSource([Path(path) for path in args.synthetic], args.phantoms, settings, args.held_out)
        return SegmentationTask(settings, painted), None
    source = _pairs(args, settings, folder)
    return SegmentationTask(settings, source), source


def _pairs(args: argparse.Namespace, settings: TrainSettings, folder: Path) -> PairsSource:
    if args.synthetic or args.phantoms:
        raise InputError("⟨data⟩ and ⟨synthetic⟩ (or ⟨phantoms⟩) exclude each other: choose one source.")
    from ..models.label_maps import read_scheme
    from ..training.pairs import find_pairs
    from ..training.pairs_source import PairsSource
    from ..training.shares import held_out

    data = Path(args.data)
    scheme = read_scheme(data, args.label_map)
    pairs = find_pairs(data)
    kept_out = held_out([pair.name for pair in pairs], args.validation, settings.seed)
    training = [pair for pair in pairs if pair.name not in kept_out]
    cache = Path(args.cache) if args.cache else folder / "cache"
    validation = [pair for pair in pairs if pair.name in kept_out]
    return PairsSource(training, validation, scheme, settings, cache, data.name, not args.no_augment)
