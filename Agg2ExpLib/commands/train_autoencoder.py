"""What ``agg2exp train --task autoencoder`` is trained on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..training.settings import TrainSettings

if TYPE_CHECKING:
    from ..training.preparation import Prepared
    from ..training.task import Task


def new_task(args: argparse.Namespace, settings: TrainSettings, folder: Path) -> tuple[Task, Prepared | None]:
    """The task of the options, and what is to be prepared for it; ``folder`` takes the cache where no other is named.

    Raises:
        InputError: the options name nothing to train on, or something that cannot be read.
    """
    from ..training.autoencoder_task import AutoencoderTask
    from ..training.shares import held_out
    from ..training.slices_source import SlicesSource, find_cts

    data = Path(args.data) if args.data else None
    cts = find_cts(data) if data else []
    kept_out = held_out(sorted({ct.name for ct in cts}), args.validation, settings.seed) if cts else set()
    source = SlicesSource(
        [ct for ct in cts if ct.name not in kept_out],
        [ct for ct in cts if ct.name in kept_out],
        [Path(path) for path in args.synthetic],
        args.phantoms,
        settings,
        Path(args.cache) if args.cache else folder / "cache",
        origin=data.name if data else "",
        augment=not args.no_augment,
    )
    return AutoencoderTask(settings, source), source
