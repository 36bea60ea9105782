"""What a training run has behind it, and who is told; loads nothing heavy, so that the command line can name it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .scores import Scores


@dataclass
class Progress:
    """What a run has behind it.

    Attributes:
        step: optimiser steps taken.
        skipped: of these, steps whose gradient was not finite, so that the weights stayed as they were.
        seconds: time spent on steps.
        runs: the command and first step of every part of the run.
        history: ``{"step", "loss", measure: scores}`` of every validation.
        best: best mean score so far; None before the first validation.
    """

    step: int = 0
    skipped: int = 0
    seconds: float = 0.0
    runs: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    best: float | None = None


class TrainMonitor:
    """Silent; the command line shows a progress bar."""

    def step(self, progress: Progress, steps: int, loss: float) -> None:
        """After every step; ``loss`` is the mean of the last ones."""

    def validated(self, progress: Progress, scores: Scores) -> None:
        """After every validation."""
