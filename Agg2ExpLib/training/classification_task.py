"""Training of classifiers: whole volumes, cross-entropy with weighted classes, AUROC on the cases kept out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..models.card_labels import read_classes
from ..models.model_card import CLASSIFICATION, WHOLE, ModelCard
from .card import training_record
from .class_scores import ClassScores, score, write_history
from .class_source import Case, ClassSource
from .classifier_choice import build, classifier_spec
from .monitor import Progress
from .settings import TrainSettings
from .sources import scale
from .volume_variation import Variation, fitted

if TYPE_CHECKING:
    import torch

MOST_WEIGHT = 20.0  # of a rare class
RECIPE = {
    "softmax": "cross-entropy with classes weighted by their rarity, {optimizer}, cosine annealing, all weights from scratch",
    "sigmoid": "binary cross-entropy with examples weighted by rarity, {optimizer}, cosine annealing, all weights from scratch",
}


class ClassificationTask:
    """Classes of whole volumes.

    Training sees volumes cropped and filled up to the field of view ``settings.roi``, so that they form batches; validation and
    use take volumes of any size.

    Args:
        settings: of the run.
        source: labelled volumes.
        augment: whether volumes are varied at random.

    Raises:
        InputError: a class without example or true of all, a bad name, or a network that cannot be.
    """

    measure, title, higher_is_better = "scores", "AUROC", True

    def __init__(self, settings: TrainSettings, source: ClassSource, augment: bool = True):
        self.settings, self.source = settings, source
        values = {"classes": list(source.classes), "output": source.output}
        self.labels = read_classes(values, "the data")
        self.outputs = tuple(label.name for label in self.labels)
        self.spec = classifier_spec(settings.network, settings.network_options, len(self.outputs))
        self.weights = class_weights(source.targets, self.outputs, source.output, settings.label_weights)
        self._vary = Variation(settings.roi, settings.hu_window) if augment else None

    def new_network(self, device: str) -> torch.nn.Module:
        """See :meth:`~Agg2ExpLib.training.task.Task.new_network`."""
        import torch

        network = build(self.spec, self.settings.roi)
        backbone = getattr(network, "backbone", None)
        if backbone is not None:
            backbone.to(memory_format=torch.channels_last)  # a quarter faster on a CPU; weights are written as ever
        return network

    def make_loss(self, device: torch.device) -> Callable[[Any, torch.Tensor], torch.Tensor]:
        """Cross-entropy, or binary cross-entropy of every class."""
        import torch

        weights = torch.tensor(self.weights, dtype=torch.float32, device=device)
        softmax = self.source.output == "softmax"
        loss = torch.nn.CrossEntropyLoss(weights) if softmax else torch.nn.BCEWithLogitsLoss(pos_weight=weights)
        return lambda logits, target: loss(logits.float(), target)

    def draw(self, rng: np.random.Generator, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The next volume ``[1, x, y, z]`` in a random order that is new for every pass, and its truth ``[classes]``."""
        import torch

        turn, place = divmod(index, len(self.source.targets))
        order = np.random.default_rng((self.settings.seed, turn)).permutation(len(self.source.targets))
        number = int(order[place])
        volume = fitted(self.source.volume(number), self.settings.roi, self.settings.hu_window[0])
        if self._vary is not None:
            volume = self._vary(volume, rng)
        image = torch.from_numpy(self._scaled(volume))[None]
        return image, torch.from_numpy(np.ascontiguousarray(self.source.targets[number], np.float32))

    def validate(self, network: torch.nn.Module, fabric: Any = None) -> ClassScores:
        """The measures on the source's validation cases."""
        return self._score(network, self.source.validation(), fabric)

    def examine(self, network: torch.nn.Module) -> ClassScores:
        """The measures on validation and test cases."""
        return self._score(network, chain(self.source.validation(), self.source.test()))

    def write_history(self, path: Path, history: Sequence[Mapping[str, Any]]) -> None:
        """See :func:`~Agg2ExpLib.training.class_scores.write_history`."""
        write_history(path, self.measure, history)

    def card(self, progress: Progress, scores: Mapping[str, Any], licence: str | None, citation: str | None) -> ModelCard:
        """See :meth:`~Agg2ExpLib.training.task.Task.card`."""
        told = self.source.describe()
        record = training_record(self.settings, progress, RECIPE[self.source.output])
        record["class_weights"] = {name: round(float(value), 3) for name, value in zip(self.outputs, self.weights, strict=True)}
        return ModelCard(
            labels=self.labels,
            spacing=self.settings.spacing,
            hu_window=self.settings.hu_window,
            roi_size=WHOLE,
            network=self.spec,
            output=self.source.output,
            citation=citation or told.get("citation"),
            licence=licence or told.get("licence"),
            intended_use=told.get("intended_use"),
            metrics={self.measure: dict(scores), "data": told["data"], "training": record},
            task=CLASSIFICATION,
        )

    def _score(self, network: torch.nn.Module, cases: Iterator[Case], fabric: Any = None) -> ClassScores:
        return score(network, cases, self.outputs, self.source.output, self._scaled, fabric)

    def _scaled(self, hu: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(scale(hu, self.settings.hu_window))


def class_weights(targets: np.ndarray, classes: Sequence[str], output: str, own: Mapping[str, float]) -> np.ndarray:
    """Weight of each class in the loss, float ``[classes]``.

    ``softmax``: mean count ÷ own count; ``sigmoid``: negatives ÷ positives, both from 1/20 to 20; times the user's own.

    Raises:
        InputError: a class has no example, or no counterexample; or ``own`` names an unknown class.
    """
    if unknown := [name for name in own if name not in classes]:
        raise InputError(f"⟨label_weights⟩ names '{unknown[0]}', which is no class: there are {', '.join(classes)}.")
    total, positive = len(targets), targets.sum(axis=0)
    for name, count in zip(classes, positive, strict=True):
        if count == 0:
            raise InputError(f"The class '{name}' has no example among the {total} CTs to train on: add some, or leave it out.")
        if count == total:
            raise InputError(f"The class '{name}' is true of all {total} CTs to train on, so nothing can be learnt: add others.")
    weights = total / (len(classes) * positive) if output == "softmax" else (total - positive) / positive
    factors = np.array([own.get(name, 1.0) for name in classes])
    return np.clip(weights, 1 / MOST_WEIGHT, MOST_WEIGHT) * factors
