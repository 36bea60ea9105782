"""How long the application stood still: a timer that should beat often, and the longest time that it did not."""

from __future__ import annotations

import os
import time
from typing import Any

import qt

_BEAT_MS = 10


class Heartbeat:
    """Beats from :meth:`start` to :meth:`stop`, and may be started again.

    Args:
        parent: Qt object that owns the timer.

    Attributes:
        gaps: for each thing that was done the longest time between two beats in seconds, and the processor time of it that the
            application's main thread has used itself (the rest went to other programs, or to threads that draw).
    """

    def __init__(self, parent: Any):
        self.gaps: dict[str, tuple[float, float]] = {}
        self._what = ""
        self._last = (0.0, 0.0)
        self._timer = qt.QTimer(parent)
        self._timer.timeout.connect(self._beat)

    def start(self, what: str) -> None:
        """Begin; ``what`` is being done."""
        self._what, self._last = what, (time.monotonic(), time.thread_time())
        self._timer.start(_BEAT_MS)

    def stop(self) -> None:
        """Beat no more; what is done now is not measured."""
        self._beat()
        self._timer.stop()

    def slowest(self) -> tuple[str, float, float]:
        """What stood still longest: its name, seconds, and processor seconds of the main thread."""
        if not self.gaps:
            return "", 0.0, 0.0
        what = max(self.gaps, key=lambda name: self.gaps[name][0])
        return what, *self.gaps[what]

    def problem(self, limit: float) -> str:
        """What stood still for longer than ``limit`` seconds; empty where nothing did.

        The main thread's own processor time counts on any machine, the time on the clock only where nobody else computes.
        """
        busy = isBusy()
        slow = [
            f"{what}: {gap:.2f} s (processor {own:.2f} s)"
            for what, (gap, own) in self.gaps.items()
            if own > limit or (gap > limit and not busy)
        ]
        return "; ".join(slow)

    def _beat(self) -> None:
        now = (time.monotonic(), time.thread_time())
        gap, own = now[0] - self._last[0], now[1] - self._last[1]
        longest, longestOwn = self.gaps.get(self._what, (0.0, 0.0))
        self.gaps[self._what] = (max(longest, gap), max(longestOwn, own))
        self._last = now


def isBusy() -> bool:
    """Whether other programs use so much of this machine that times on the clock tell nothing; also where that is not known."""
    load = getattr(os, "getloadavg", None)
    return load is None or load()[0] > 0.7 * (os.cpu_count() or 1)
