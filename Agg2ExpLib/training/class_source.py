"""What a classifier learns from: the protocol that every source of labelled volumes follows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Case:
    """A volume with its truth.

    Attributes:
        group: the set it belongs to, a row of the table of scores.
        name: for messages.
        hu: float32 ``[x, y, z]`` on the model grid.
        target: float32 ``[classes]``, 0 or 1.
    """

    group: str
    name: str
    hu: np.ndarray
    target: np.ndarray


class ClassSource(Protocol):
    """Labelled volumes.

    Attributes:
        classes: names in channel order.
        output: ``softmax`` where exactly one class is true of every volume, else ``sigmoid``.
        targets: float32 ``[volumes, classes]`` of the volumes to train on.
    """

    classes: tuple[str, ...]
    output: str

    @property
    def targets(self) -> np.ndarray:
        """Truth of the volumes to train on."""
        ...

    def volume(self, number: int) -> np.ndarray:
        """A volume to train on, ``[x, y, z]`` in HU on the model grid; ``number`` is its row of ``targets``."""
        ...

    def validation(self) -> Iterator[Case]:
        """Volumes that training never sees, by which the weights to keep are chosen; one at a time."""
        ...

    def test(self) -> Iterator[Case]:
        """Volumes that play no part in the run at all, where there are such."""
        ...

    def describe(self) -> dict[str, Any]:
        """For the model card: ``data`` (sentences), ``citation``, ``licence``, ``intended_use``."""
        ...
