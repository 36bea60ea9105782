"""What the training loop asks of a task: the network, what it is shown, how wrong it is, how good it is, its card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..models.model_card import ModelCard
from .monitor import Progress
from .scores import Scores
from .settings import TrainSettings

if TYPE_CHECKING:
    import torch


class Task(Protocol):
    """One kind of network to train. Of a task without a truth the target is what its loss needs, at the least the input.

    Attributes:
        settings: of the run.
        outputs: names of the network's channels, which a run that goes on must find unchanged; may be empty.
        spec: class and arguments of the network, as the model card keeps them.
        measure: what a validation measures: a key of the history and of the card's metrics, and the end of the table's name.
        title: the measure in messages.
        higher_is_better: whether the mean score is to be raised or lowered.
    """

    settings: TrainSettings
    outputs: tuple[str, ...]
    spec: dict[str, Any]
    measure: str
    title: str
    higher_is_better: bool

    def new_network(self, device: str) -> torch.nn.Module:
        """A network with fresh weights (from torch's seed) on the CPU, in training mode.

        Args:
            device: kind of device it will be trained on, ``cpu`` or ``cuda`` …, in case something there needs guarding against.

        Raises:
            InputError: the network cannot be built.
        """
        ...

    def make_loss(self, device: torch.device) -> Callable[[Any, torch.Tensor], torch.Tensor]:
        """From the network's output (in the run's precision, whatever shape it has) and a batch of targets to a scalar."""
        ...

    def draw(self, rng: np.random.Generator, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """One input of the network and its target, both of the same shape in every call; stacked to batches.

        Args:
            rng: the example's own; the result depends on nothing but the arguments, so that a run that goes on repeats itself.
            index: counts the examples of the run.
        """
        ...

    def validate(self, network: torch.nn.Module, fabric: Any = None) -> Scores:
        """Measure a network (which keeps its mode); with several processes each takes its share of the cases."""
        ...

    def examine(self, network: torch.nn.Module) -> Scores:
        """The last measurement, of the weights as they were written: as :meth:`validate`, and on test cases where there are any."""
        ...

    def write_history(self, path: Path, history: Sequence[Mapping[str, Any]]) -> None:
        """All validations, ``{"step", "loss", measure: Scores.to_dict()}``, as a tidy CSV."""
        ...

    def card(self, progress: Progress, scores: Mapping[str, Any], licence: str | None, citation: str | None) -> ModelCard:
        """The model card.

        Args:
            scores: as measured on the weights that were written; empty as long as they are not.
            licence, citation: in place of the data's own.
        """
        ...


def is_better(task: Task, value: float, best: float | None) -> bool:
    """Whether a mean score beats the best so far; NaN never does."""
    if value != value:
        return False
    return best is None or (value > best if task.higher_is_better else value < best)
