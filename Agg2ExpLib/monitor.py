"""How long computations talk to whoever started them: progress, notices, partial results, and the request to stop."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from .errors import Cancelled, worded


class Monitor:
    """Silent monitor; subclasses show what they are told (a progress bar, JSON lines).

    Computations call :meth:`check` often: it raises once :meth:`stop` was called, from any thread.

    Attributes:
        wants_partial: whether partial results are worth writing.
        notices: everything told by :meth:`notice` so far.

    Examples:
        >>> class Printed(agg2exp.Monitor):
        ...     def progress(self, stage, fraction, message="", eta_s=None):
        ...         print(f"{fraction:4.0%} {stage} {message}")
        >>> agg2exp.explain("chest.nii.gz", "swin_unetr.pt", labels=["heart"], samples=2, monitor=Printed())
    """

    wants_partial = False

    def __init__(self) -> None:
        self._stop = threading.Event()
        self.notices: list[str] = []

    def stop(self) -> None:
        """Ask the computation to end at its next check."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether somebody asked to stop."""
        return self._stop.is_set()

    def check(self) -> None:
        """Raise :class:`Cancelled` if somebody asked to stop."""
        if self._stop.is_set():
            raise Cancelled

    def progress(self, stage: str, fraction: float, message: str = "", eta_s: float | None = None) -> None:
        """Tell how far the whole run is: ``fraction`` in 0..1, remaining seconds where they can be told."""

    def notice(self, message: str) -> None:
        """Tell the user something that does not end the run; it is also kept for the results.

        Args:
            message: a sentence, which names parameters as ``⟨name⟩`` (see :func:`~Agg2ExpLib.errors.worded`).
        """
        self.notices.append(worded(message))

    def expected(self, memory_bytes: float) -> None:
        """Tell what the run is going to need at its peak, before anything long begins."""

    def partial(self, kind: str, path: Path, **details: object) -> None:
        """Tell that a preliminary result can be read at ``path``; it may be replaced by a better one at any time."""


@dataclass
class Stage:
    """One part of a run on the scale of the whole: maps its own 0..1 to ``start..end`` and estimates what remains.

    Attributes:
        monitor: who is told.
        name: stage name in the events.
        start, end: the part's place in the run, 0..1.
    """

    monitor: Monitor
    name: str
    start: float
    end: float
    _began: float = field(default_factory=time.monotonic)

    def update(self, fraction: float, message: str = "") -> None:
        """Report the stage's own progress (0..1) and check for a stop."""
        self.monitor.check()
        elapsed = time.monotonic() - self._began
        eta = elapsed * (1 - fraction) / fraction if fraction > 0.02 else None
        self.monitor.progress(self.name, self.start + (self.end - self.start) * min(fraction, 1.0), message, eta)
