"""What a model card says of the run that made a network."""

from __future__ import annotations

from typing import Any

from .monitor import Progress
from .settings import OPTIMIZERS, TrainSettings


def training_record(settings: TrainSettings, progress: Progress, recipe: str) -> dict[str, Any]:
    """The entry ``training`` of a card's metrics.

    Args:
        recipe: loss, ``{optimizer}`` and schedule in a few words.
    """
    return {
        "recipe": recipe.format(optimizer=OPTIMIZERS[settings.optimizer]),
        "runs": progress.runs,
        "steps_taken": progress.step,
        "steps_skipped": progress.skipped,
        "minutes_taken": round(progress.seconds / 60, 1),
        "settings": settings.to_dict(),
    }
