"""The tasks that ``agg2exp train`` knows, with their networks and where their recipe differs; loads nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import InputError
from ..models.model_card import AUTOENCODER, CLASSIFICATION, SEGMENTATION
from .classifier_choice import CLASSIFIERS
from .network_choice import NETWORKS
from .settings import TrainSettings


@dataclass(frozen=True)
class Kind:
    """One task.

    Attributes:
        networks: names of ``--network``, the default first.
        recipe: settings whose default is another than :class:`TrainSettings` has.
    """

    networks: tuple[str, ...]
    recipe: Mapping[str, Any] = field(default_factory=dict)


KINDS: dict[str, Kind] = {
    SEGMENTATION: Kind(tuple(NETWORKS)),
    CLASSIFICATION: Kind(
        tuple(CLASSIFIERS),
        {  # optimizer and learning rate of arXiv:2307.06614; a whole chest fits the field of view
            "optimizer": "nadam",
            "learning_rate": 2e-4,
            "roi": (128, 128, 128),
            "spacing": (3.0, 3.0, 3.0),
            "steps": 6000,
            "batch": 8,
        },
    ),
    AUTOENCODER: Kind(
        ("slice_autoencoder",),
        {"steps": 15000, "batch": 16, "learning_rate": 1.5e-3, "warmup": 200, "roi": (96, 96, 1), "spacing": (4.0, 4.0, 4.0)},
    ),
}


def settings_of(task: str, given: Mapping[str, Any]) -> TrainSettings:
    """The settings of a run.

    Args:
        task: a key of :data:`KINDS`.
        given: what the user chose; None stands for the task's default.

    Raises:
        InputError: a value makes no sense, or the network is of another task.
    """
    kind = KINDS[task]
    chosen = {key: value for key, value in given.items() if value is not None}
    settings = TrainSettings(**{"network": kind.networks[0], **kind.recipe, **chosen, "task": task})
    if settings.network not in kind.networks:
        raise InputError(
            f"{settings.network} is no network for {task}: choose one of {', '.join(kind.networks)} with ⟨network⟩, or another "
            "⟨task⟩."
        )
    return settings


def default_of(name: str) -> str:
    """The default of a setting for the command line's help: the paper's, then those of other tasks that differ."""
    usual = TrainSettings().to_dict()[name]
    others = [f"{_words(kind.recipe[name])} for {task}" for task, kind in KINDS.items() if name in kind.recipe]
    return ", ".join([f"default {_words(usual)}", *others])


def _words(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return _words(value[0]) if len(set(value)) == 1 else " ".join(map(_words, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
