"""Runs a job in the terminal: a progress bar where somebody watches, silence where not, notices on stderr."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from ..files import discard_unfinished
from ..job import Job
from ..monitor import Monitor
from ..runner import CANCELLED, in_worker, stop_on_signals


class TerminalMonitor(Monitor):
    """A tqdm bar on stderr if that is a terminal."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None

    def progress(self, stage: str, fraction: float, message: str = "", eta_s: float | None = None) -> None:
        """Move the bar."""
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(
                total=1.0, disable=None, leave=False, bar_format="{desc} {percentage:3.0f}% |{bar}| {elapsed}{postfix}"
            )
        left = "" if eta_s is None else f"{int(eta_s) // 60:02d}:{int(eta_s) % 60:02d} left"
        self._bar.set_description_str(f"{stage:10} {message[:40]:40}", refresh=False)
        self._bar.set_postfix_str(left, refresh=False)
        self._bar.n = max(self._bar.n, fraction)
        self._bar.refresh()

    def notice(self, message: str) -> None:
        """A line on stderr."""
        from tqdm import tqdm

        super().notice(message)
        tqdm.write(f"Note: {message}", file=sys.stderr)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()


def run_in_terminal(job: Job) -> Path:
    """Do a job and return the results folder; Ctrl-C ends it within two seconds.

    Raises:
        Exception: what :func:`Agg2ExpLib.pipeline.run_job` raises.
    """
    monitor = TerminalMonitor()
    outcome: list[Path | BaseException] = []

    def work() -> None:
        try:
            from ..pipeline import run_job

            outcome.append(run_job(job, monitor))
        except BaseException as error:
            outcome.append(error)

    before = stop_on_signals(monitor)
    in_worker(work, monitor)
    # What comes after the run, drawing pictures for one, must hear Ctrl-C again.
    for number, handler in before.items():
        signal.signal(number, handler or signal.SIG_DFL)
    monitor.close()
    discard_unfinished()
    if not outcome:
        print("Cancelled: nothing was written.", file=sys.stderr)
        sys.stderr.flush()
        os._exit(CANCELLED)
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]
