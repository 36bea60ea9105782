"""The model card of a trained network: what it was trained on, how well it does, and what it must not be used for."""

from __future__ import annotations

from typing import Any

from ..models.model_card import ModelCard
from .monitor import Progress
from .settings import TrainSettings
from .sources import Source


def model_card(
    settings: TrainSettings,
    source: Source,
    spec: dict[str, Any],
    progress: Progress,
    dice: dict[str, Any],
    licence: str | None = None,
    citation: str | None = None,
) -> ModelCard:
    """The card; ``dice`` as measured on the weights that were written.

    Args:
        spec: class and arguments of the network.
        licence, citation: in place of the source's own.
    """
    told = source.describe()
    training = {
        "recipe": "Dice + cross-entropy loss over the foreground, AdamW, cosine annealing",
        "runs": progress.runs,
        "steps_taken": progress.step,
        "steps_skipped": progress.skipped,
        "minutes_taken": round(progress.seconds / 60, 1),
        "settings": settings.to_dict(),
    }
    return ModelCard(
        labels=source.labels,
        spacing=settings.spacing,
        hu_window=settings.hu_window,
        roi_size=settings.roi,
        network=spec,
        citation=citation or told.get("citation"),
        licence=licence or told.get("licence"),
        intended_use=told.get("intended_use"),
        metrics={"dice": dice, "data": told["data"], "training": training},
    )
