"""Preliminary maps for a client on another computer: sent as often as the line bears it."""

from __future__ import annotations

import time
from pathlib import Path

from ..monitor import Monitor
from ..runs.runner import EventMonitor
from .scratch import send_file

# A tenth of the time at most goes into maps that are replaced by better ones.
_SHARE = 0.1


class PartialSender(Monitor):
    """Passes everything on to the monitor of a request, and sends the file with each partial result.

    Args:
        monitor: of the request.
    """

    wants_partial = True

    def __init__(self, monitor: EventMonitor):
        super().__init__()
        self._to = monitor
        self._not_before = 0.0

    @property
    def stopped(self) -> bool:
        return self._to.stopped

    def stop(self) -> None:
        self._to.stop()

    def check(self) -> None:
        self._to.check()

    def progress(self, stage: str, fraction: float, message: str = "", eta_s: float | None = None) -> None:
        self._to.progress(stage, fraction, message, eta_s)

    def notice(self, message: str) -> None:
        super().notice(message)
        self._to.notice(message)

    def expected(self, memory_bytes: float) -> None:
        self._to.expected(memory_bytes)

    def partial(self, kind: str, path: Path, **details: object) -> None:
        """A map is sent unless the last ones took too much of the time."""
        began = time.monotonic()
        if kind != "attribution" or began < self._not_before:
            return
        send_file(path, f"attributions/{path.name}", self, self._to, partial=kind, **details)
        taken = time.monotonic() - began
        self._not_before = began + taken / _SHARE
