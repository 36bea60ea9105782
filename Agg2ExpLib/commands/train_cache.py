"""Fills the cache of what ``agg2exp train`` trains on, with a bar that tells how far it is."""

from __future__ import annotations

from ..training.preparation import Prepared, prepare
from ..training.settings import TrainSettings


def fill_cache(source: Prepared, settings: TrainSettings) -> None:
    """Make everything, in as many processes as prepare examples later.

    Raises:
        InputError: something cannot be made.
    """
    from tqdm import tqdm

    for _ in tqdm(
        prepare(source, settings.workers), total=len(source.items()), desc="preparing", unit="CT", disable=None, leave=False
    ):
        pass
