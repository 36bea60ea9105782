"""Runs one job at a time in a process that stays alive, and tells what happens, without ever blocking the application."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from .EngineProcess import EngineProcess, QtProcess
from .Leftovers import Leftovers
from .RunOutcome import DONE, RunOutcome
from .WarmEngine import WarmEngine


class Engine:
    """Has jobs done by ``agg2exp serve``; see :class:`WarmEngine` for when the callbacks come.

    Args:
        processFactory: makes the child process.
        pythonExecutable: see :class:`WarmEngine`.
        parent: Qt object that owns the timers.

    Attributes:
        warm: the process.
        onEvent: are given the events of a run (``progress``, ``notice``, ``expected``, ``partial``).
        onLog: are given the lines of stderr, and those of stdout that are no event.
        onFinished: are given the outcome, exactly once a run, when ``running`` is False again.
    """

    def __init__(
        self,
        processFactory: Callable[[], EngineProcess] = QtProcess,
        pythonExecutable: str | None = None,
        parent: Any = None,
    ):
        self.warm = WarmEngine(parent, processFactory, pythonExecutable)
        self.onEvent: list[Callable[[dict[str, Any]], None]] = []
        self.onLog = self.warm.onLog
        self.onFinished: list[Callable[[RunOutcome], None]] = []
        self.running = False

    def start(self, job: dict[str, Any]) -> None:
        """Start a run; what keeps it from starting comes as its outcome.

        Args:
            job: see ``Agg2ExpLib.runs.job.Job``; paths are absolute.

        Raises:
            RuntimeError: a run goes on already, or another question is being answered.
        """
        if self.warm.busy:
            raise RuntimeError(_("A computation is running already: wait until it has ended, or cancel it."))
        self.running = True
        self.ask({"do": "run", "job": job}, self._onEvent, self._onFinished)

    def ask(
        self,
        request: Mapping[str, Any],
        onEvent: Callable[[dict[str, Any]], None],
        onFinished: Callable[[RunOutcome], None],
    ) -> None:
        """Have something else done; what a killed process leaves beside the output of its job goes.

        Args:
            request, onEvent, onFinished: see :meth:`WarmEngine.ask`.

        Raises:
            RuntimeError: something else is being done.
        """
        output = (request.get("job") or {}).get("output")
        leftovers = Leftovers(Path(str(output))) if output else None

        def finished(outcome: RunOutcome) -> None:
            if leftovers is not None and outcome.state != DONE:
                leftovers.discard()
            onFinished(outcome)

        self.warm.ask(request, onEvent, finished)

    def cancel(self) -> None:
        """Ask for a stop, and have the process killed with all its children when it has not after 3 s. Returns at once."""
        self.warm.stop()

    def shutdown(self) -> None:
        """End the run and the process before this returns, which takes at most about two seconds; for the end of the application.

        No event is told any more, only the outcome.
        """
        self.warm.shutdown()

    def _onEvent(self, event: dict[str, Any]) -> None:
        for callback in list(self.onEvent):
            _guarded(callback, event)

    def _onFinished(self, outcome: RunOutcome) -> None:
        self.running = False
        for callback in list(self.onFinished):
            _guarded(callback, outcome)


def _guarded(callback: Callable[[Any], None], content: Any) -> None:
    try:
        callback(content)
    except Exception:  # one panel part that fails must not stop the other parts
        logging.exception("A callback of the engine failed")
