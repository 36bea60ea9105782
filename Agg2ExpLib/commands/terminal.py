"""Runs a job in the terminal: a progress bar where somebody watches, silence where not, notices on stderr."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ..errors import on_command_line, worded
from ..monitor import Monitor
from ..runs.job import Job
from ..runs.runner import CANCELLED, in_worker, stop_on_signals
from ..system.files import discard_unfinished

_T = TypeVar("_T")


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
        tqdm.write(f"Note: {worded(message, on_command_line)}", file=sys.stderr)

    def expected(self, memory_bytes: float) -> None:
        """A line on stderr where somebody watches."""
        if sys.stderr.isatty():
            from tqdm import tqdm

            tqdm.write(f"This takes about {memory_bytes / 1e9:.1f} GB of memory.", file=sys.stderr)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()


def run_in_terminal(job: Job, host: str = "", command: str = "") -> Path:
    """Do a job and return the results folder; Ctrl-C ends it within two seconds.

    Args:
        job: what to do.
        host: another computer to do it on, as for ssh.
        command: that starts the server there.

    Raises:
        Exception: what :func:`Agg2ExpLib.runs.pipeline.run_job` raises.
    """

    def work(monitor: Monitor) -> Path:
        if host:
            from ..serving.remote import asked_by_ssh

            return Path(str(asked_by_ssh(host, command, {"do": "run", "job": job.to_json()}, monitor)["result"]))
        from ..runs.pipeline import run_job

        return run_job(job, monitor)

    return work_in_terminal(work, "Cancelled: nothing was written.")


def work_in_terminal(work: Callable[[Monitor], _T], when_stopped: str) -> _T:
    """Do a piece of work under a progress bar and return what it returns; Ctrl-C ends it within two seconds.

    Args:
        work: is given the monitor.
        when_stopped: what is said where the work cannot end by itself after a stop; the process then ends here.

    Raises:
        Exception: what the work raises.
    """
    monitor = TerminalMonitor()
    outcome: list[tuple[_T | None, BaseException | None]] = []

    def run() -> None:
        try:
            outcome.append((work(monitor), None))
        except BaseException as error:
            outcome.append((None, error))

    before = stop_on_signals(monitor)
    in_worker(run, monitor)
    # What comes after the run, drawing pictures for one, must hear Ctrl-C again.
    for number, handler in before.items():
        signal.signal(number, handler or signal.SIG_DFL)
    monitor.close()
    discard_unfinished()
    if not outcome:
        print(when_stopped, file=sys.stderr)
        sys.stderr.flush()
        os._exit(CANCELLED)
    result, error = outcome[0]
    if error is not None:
        raise error
    return result  # type: ignore[return-value]
