"""What is told while another computer works: its own progress between that of sending and that of fetching."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..monitor import Monitor

# Where sending and fetching lie on the scale of the whole.
SENT, FETCHING = 0.05, 0.95


class Sending(Monitor):
    """Tells a monitor how far sending is; what is sent later never seems to go back.

    Args:
        to: is told, and asked whether to stop.
    """

    def __init__(self, to: Monitor):
        super().__init__()
        self._to = to
        self._reached = 0.0

    @property
    def stopped(self) -> bool:
        return self._to.stopped

    def check(self) -> None:
        self._to.check()

    def progress(self, stage: str, fraction: float, message: str = "", eta_s: float | None = None) -> None:
        self._reached = max(self._reached, fraction)
        self._to.progress("send", SENT * self._reached, message, eta_s)


def passing_on(monitor: Monitor) -> Callable[[Mapping[str, Any]], None]:
    """Tells a monitor what the other computer tells."""

    def heard(event: Mapping[str, Any]) -> None:
        kind = event["event"]
        if kind == "progress":
            fraction = SENT + (FETCHING - SENT) * float(event.get("fraction") or 0.0)
            eta = event.get("eta_s")
            monitor.progress(str(event.get("stage")), fraction, str(event.get("message") or ""), eta if eta is None else float(eta))
        elif kind == "notice":
            monitor.notice(str(event.get("template") or event.get("message") or ""))
        elif kind == "expected":
            monitor.expected(float(event.get("memory_bytes") or 0.0))
        elif kind == "file" and event.get("partial"):
            details = {key: event[key] for key in ("label", "samples", "of") if key in event}
            monitor.partial(str(event["partial"]), event["path"], **details)

    return heard
