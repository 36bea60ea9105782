"""Runs one job at a time in a process of its own and tells what happens, without ever blocking the application."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from .Child import Child
from .EngineProcess import EngineProcess, QtProcess
from .Leftovers import Leftovers
from .RunOutcome import DONE, RunOutcome


@dataclass
class _Job:
    """The files around the run that goes on."""

    file: Path
    madeFolder: bool = False
    leftovers: Leftovers | None = None


class Engine:
    """Runs ``python -m Agg2ExpLib run job.json`` as a child process; see :class:`Child` for when the callbacks come.

    Args:
        processFactory: makes the child process.
        pythonExecutable: see :class:`Child`.
        parent: Qt object that owns the timer.

    Attributes:
        child: the process.
        onEvent, onLog: see :class:`Child` (events are ``progress``, ``notice``, ``partial``).
        onFinished: are given the outcome, exactly once a run, when no process is left and ``running`` is False again.
    """

    def __init__(
        self,
        processFactory: Callable[[], EngineProcess] = QtProcess,
        pythonExecutable: str | None = None,
        parent: Any = None,
    ):
        self.child = Child(parent, processFactory, pythonExecutable)
        self.onEvent, self.onLog = self.child.onEvent, self.child.onLog
        self.onFinished: list[Callable[[RunOutcome], None]] = []
        self.child.onFinished.append(self._onFinished)
        self._job: _Job | None = None

    @property
    def running(self) -> bool:
        """Whether a run goes on, also while it is being cancelled."""
        return self.child.running

    def start(self, job: dict[str, Any], workFolder: str) -> None:
        """Start a run; what keeps it from starting comes as its outcome.

        Args:
            job: see ``Agg2ExpLib.runs.job.Job``; relative paths count from ``workFolder``.
            workFolder: holds the job file while the run goes on; made if it is missing.

        Raises:
            RuntimeError: a run goes on already.
        """
        if self.running:
            raise RuntimeError(_("A computation is running already: wait until it has ended, or cancel it."))
        # Escapes carry names through that are no valid UTF-8.
        content = json.dumps(job)
        folder = Path(workFolder).absolute()
        # The name is the marker by which the processes of this run, and no other, are found.
        self._job = kept = _Job(folder / f"job-{uuid.uuid4().hex[:12]}.json")
        try:
            kept.madeFolder = not folder.exists()
            folder.mkdir(parents=True, exist_ok=True)
            kept.file.write_text(content, encoding="utf-8")
            if job.get("output"):
                kept.leftovers = Leftovers(folder / str(job["output"]))
        except OSError as error:
            reason = error.strerror or str(error)
            self.child.fail(_("{folder} cannot be written ({reason}).").format(folder=folder, reason=reason))
            return
        self.child.start(["-m", "Agg2ExpLib", "run", str(kept.file)], folder, kept.file.name)

    def cancel(self) -> None:
        """Ask the run to stop, and have it killed with all its children when it has not after 3 s. Returns at once."""
        self.child.stop()

    def shutdown(self) -> None:
        """End the run before this returns, which takes at most about two seconds; for the end of scene or application.

        No event is told any more, only the outcome.
        """
        self.child.shutdown()

    def _onFinished(self, outcome: RunOutcome) -> None:
        job, self._job = self._job, None
        if job is not None:
            if job.leftovers is not None and outcome.state != DONE:
                job.leftovers.discard()
            try:
                job.file.unlink(missing_ok=True)
                if job.madeFolder and not any(job.file.parent.iterdir()):
                    job.file.parent.rmdir()
            except OSError as error:
                logging.warning("The folder of the job stays behind: %s", error)
        for callback in list(self.onFinished):
            try:
                callback(outcome)
            except Exception:  # one panel part that fails must not stop the other parts
                logging.exception("A callback of the engine failed")
