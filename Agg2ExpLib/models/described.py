"""What can be said of a model without loading it, and without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model_card import ModelCard


@dataclass(frozen=True)
class Described:
    """A model that lies on a disk.

    Attributes:
        kind: the format, for people.
        card: labels and settings; None where only loading the model would tell.
        notes: sentences for the user.
    """

    kind: str
    card: ModelCard | None = None
    notes: tuple[str, ...] = ()
