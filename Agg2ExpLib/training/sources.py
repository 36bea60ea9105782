"""What training examples come from: the protocol of segmentation's sources, and what a task draws as a torch data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..models.labels import Label
from ..synthetic.scans import Example
from .settings import TrainSettings

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Validation:
    """A case kept out of training: the set it belongs to (a column of the Dice table), its name, and how it is read."""

    group: str
    name: str
    example: Example


class Source(Protocol):
    """Where windows come from. ``window`` depends on nothing but its arguments, so that a resumed run repeats itself."""

    labels: tuple[Label, ...]

    def window(self, rng: np.random.Generator, index: int) -> Example:
        """A training window; ``index`` counts the windows of the run, ``rng`` is its own."""
        ...

    def validation(self) -> Iterator[Validation]:
        """The cases that training never sees, one at a time."""
        ...

    def describe(self) -> dict[str, Any]:
        """For the model card: ``data`` (sentences), ``citation``, ``licence``, ``intended_use``."""
        ...


def scale(hu: np.ndarray, window: Sequence[float]) -> np.ndarray:
    """HU clipped to the window and scaled to [0, 1], float32: what the network sees."""
    low, high = window
    return ((np.clip(hu, low, high) - low) / (high - low)).astype(np.float32)


class Draws:
    """What a task draws as a map-style torch data set: item ``step · batch + k`` is drawn from (seed, step, k)."""

    def __init__(self, draw: Callable[[np.random.Generator, int], tuple[torch.Tensor, torch.Tensor]], settings: TrainSettings):
        self.draw, self.seed, self.steps, self.batch = draw, settings.seed, settings.steps, settings.batch

    def __len__(self) -> int:
        return self.steps * self.batch

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        step, k = divmod(index, self.batch)
        return self.draw(np.random.default_rng((self.seed, step, k)), index)


def step_indices(start: int, steps: int, batch: int, rank: int, ranks: int) -> list[list[int]]:
    """Items of :class:`Draws` that one of ``ranks`` processes takes in each step from ``start`` on."""
    return [[step * batch + k for k in range(rank, batch, ranks)] for step in range(start, steps)]
