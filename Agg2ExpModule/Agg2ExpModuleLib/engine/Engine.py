"""Runs one job at a time in a process of its own and tells what happens, without ever blocking the application."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from .EngineEnvironment import engineEnvironment, findPython, libraryFolder
from .EngineProcess import EngineProcess, QtProcess
from .EventReader import LineReader, parseEvent
from .Leftovers import Leftovers
from .ProcessTree import killTree, stillAlive
from .RunOutcome import CANCELLED, DONE, RunOutcome, outcomeOfEvent, outcomeOfFailedStart, outcomeOfSilentEnd

_TICK_MS = 50
_CANCEL_S = 3.0  # a run answers a stop within 2 s
_LEAVE_S = 10.0  # for a process that has told its outcome and only needs to unload its libraries
_SWEEP_S = 2.0  # for killed processes to be gone
_SHUTDOWN_ASK_MS, _SHUTDOWN_KILL_MS = 1400, 400
_KEPT_LINES = 20


@dataclass
class _Run:
    """What is known about the run that goes on."""

    process: EngineProcess
    jobFile: Path
    madeFolder: bool = False
    leftovers: Leftovers | None = None
    output: LineReader = field(default_factory=LineReader)
    errorOutput: LineReader = field(default_factory=LineReader)
    lastLines: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))
    outcome: RunOutcome | None = None
    ended: tuple[int, bool] | None = None
    cancelAsked: bool = False
    closing: bool = False
    killAt: float | None = None
    swept: bool = False
    doomed: set[int] = field(default_factory=set)
    sweepUntil: float = 0.0


class Engine:
    """Runs ``python -m Agg2ExpLib run job.json`` as a child process.

    All callbacks come on the main thread, from the event loop and never from inside ``start`` or ``cancel``.

    Args:
        processFactory: makes the child process.
        pythonExecutable: by default ``PythonSlicer`` beside the application, or the running Python outside Slicer.

    Attributes:
        onEvent: are given every event but the last (``progress``, ``notice``, ``partial``) as it was written.
        onLog: are given the lines of stderr, and those of stdout that are no event.
        onFinished: are given the outcome, exactly once a run, when no process is left and ``running`` is False again.
    """

    def __init__(self, processFactory: Callable[[], EngineProcess] = QtProcess, pythonExecutable: str | None = None):
        self.onEvent: list[Callable[[dict[str, Any]], None]] = []
        self.onLog: list[Callable[[str], None]] = []
        self.onFinished: list[Callable[[RunOutcome], None]] = []
        self._processFactory = processFactory
        self._pythonExecutable = pythonExecutable
        self._run: _Run | None = None
        self._kept: _Run | None = None
        self._timer = qt.QTimer()
        self._timer.timeout.connect(self._tick)

    @property
    def running(self) -> bool:
        """Whether a run goes on, also while it is being cancelled."""
        return self._run is not None

    def start(self, job: dict[str, Any], workFolder: str) -> None:
        """Start a run; what keeps it from starting comes as its outcome.

        Args:
            job: see ``Agg2ExpLib.runs.job.Job``; relative paths count from ``workFolder``.
            workFolder: holds the job file while the run goes on; made if it is missing.

        Raises:
            RuntimeError: a run goes on already.
        """
        if self._run is not None:
            raise RuntimeError(_("A computation is running already: wait until it has ended, or cancel it."))
        # Escapes carry names through that are no valid UTF-8.
        content = json.dumps(job)
        folder = Path(workFolder).absolute()
        # The name is the marker by which the processes of this run, and no other, are found.
        jobFile = folder / f"job-{uuid.uuid4().hex[:12]}.json"
        # Qt does not bear that a process is destroyed while it calls back, so the last one is kept until here.
        self._run = self._kept = run = _Run(self._processFactory(), jobFile)
        program, library = self._pythonExecutable or findPython(), libraryFolder()
        if program is None or library is None:
            missing = "PythonSlicer" if program is None else "Agg2ExpLib"
            self._fail(run, _("{name} was not found.").format(name=missing))
            return
        try:
            run.madeFolder = not folder.exists()
            folder.mkdir(parents=True, exist_ok=True)
            jobFile.write_text(content, encoding="utf-8")
            if job.get("output"):
                run.leftovers = Leftovers(folder / str(job["output"]))
        except OSError as error:
            reason = error.strerror or str(error)
            self._fail(run, _("{folder} cannot be written ({reason}).").format(folder=folder, reason=reason))
            return
        run.process.onOutput = lambda data: self._onLines(run, run.output.feed(data))
        run.process.onErrorOutput = lambda data: self._onErrorLines(run, run.errorOutput.feed(data))
        run.process.onEnded = lambda exitCode, crashed: self._onEnded(run, exitCode, crashed)
        run.process.onStartFailed = lambda reason: self._fail(run, reason)
        arguments = ["-m", "Agg2ExpLib", "run", str(jobFile)]
        run.process.start(program, arguments, str(folder), engineEnvironment(library))

    def cancel(self) -> None:
        """Ask the run to stop, and have it killed with all its children when it has not after 3 s. Returns at once."""
        run = self._run
        if run is None or run.cancelAsked:
            return
        run.cancelAsked = True
        run.process.write(b"stop\n")
        run.killAt = time.monotonic() + _CANCEL_S
        self._timer.start(_TICK_MS)

    def shutdown(self) -> None:
        """End the run before this returns, which takes at most about two seconds; for the end of scene or application.

        No event is told any more, only the outcome.
        """
        run = self._run
        if run is None or run.closing:
            return
        run.closing = True
        self.cancel()
        if not run.process.waitForEnded(_SHUTDOWN_ASK_MS):
            run.doomed |= self._kill(run)
            run.process.waitForEnded(_SHUTDOWN_KILL_MS)
        if self._run is run:
            self._sweep(run)
            deadline = time.monotonic() + _SHUTDOWN_KILL_MS / 1000
            while stillAlive(run.doomed) and time.monotonic() < deadline:
                time.sleep(0.02)
            self._finish(run)

    def _fail(self, run: _Run, reason: str) -> None:
        """No process came to be; told from the event loop, so that nobody is called back from inside ``start``."""
        run.outcome = outcomeOfFailedStart(reason)
        run.ended = (0, False)
        run.swept = True
        self._timer.start(_TICK_MS)

    def _onLines(self, run: _Run, lines: list[str]) -> None:
        for line in lines:
            if self._run is not run:  # a callback has shut the engine down
                return
            event = parseEvent(line)
            if event is None:
                self._tell(self.onLog, line)
                continue
            outcome = outcomeOfEvent(event)
            if outcome is None:
                if not run.closing:
                    self._tell(self.onEvent, event)
            elif run.outcome is None:
                run.outcome = outcome
                run.killAt = time.monotonic() + _LEAVE_S
                self._timer.start(_TICK_MS)

    def _onErrorLines(self, run: _Run, lines: list[str]) -> None:
        for line in lines:
            if self._run is not run:
                return
            run.lastLines.append(line)
            self._tell(self.onLog, line)

    def _onEnded(self, run: _Run, exitCode: int, crashed: bool) -> None:
        self._onLines(run, run.output.finish())
        self._onErrorLines(run, run.errorOutput.finish())
        run.ended = (exitCode, crashed)
        self._timer.start(_TICK_MS)

    def _tick(self) -> None:
        """One step towards the end of a run; the timer runs only when there is one to take."""
        run = self._run
        if run is None:
            self._timer.stop()
            return
        now = time.monotonic()
        if run.ended is None:
            if run.killAt is not None and now >= run.killAt:
                run.doomed |= self._kill(run)
                run.killAt = now + 1.0
            return
        self._sweep(run)
        if now < run.sweepUntil and stillAlive(run.doomed):
            return
        self._finish(run)

    def _kill(self, run: _Run) -> set[int]:
        doomed = killTree(run.process.pid, run.jobFile.name)
        run.process.kill()
        return doomed

    def _sweep(self, run: _Run) -> None:
        """Once, after a process has ended without having told an outcome: the computation behind a launcher may live on."""
        if run.swept:
            return
        run.swept = True
        if run.outcome is None or run.doomed:
            run.doomed |= killTree(None, run.jobFile.name)
            run.sweepUntil = time.monotonic() + _SWEEP_S

    def _finish(self, run: _Run) -> None:
        self._timer.stop()
        outcome = run.outcome
        if outcome is None:
            exitCode, crashed = run.ended or (-1, True)
            outcome = outcomeOfSilentEnd(exitCode, crashed, list(run.lastLines))
        # Who has asked for a stop need not hear that something failed on the way; finished results are told all the same.
        if run.cancelAsked and outcome.state != DONE:
            outcome = RunOutcome(CANCELLED)
        if run.leftovers is not None and outcome.state != DONE:
            run.leftovers.discard()
        try:
            run.jobFile.unlink(missing_ok=True)
            if run.madeFolder and not any(run.jobFile.parent.iterdir()):
                run.jobFile.parent.rmdir()
        except OSError as error:
            logging.warning("The folder of the job stays behind: %s", error)
        self._run = None
        self._tell(self.onFinished, outcome)

    @staticmethod
    def _tell(callbacks: list[Callable[[Any], None]], content: Any) -> None:
        for callback in list(callbacks):
            try:
                callback(content)
            except Exception:  # one panel part that fails must not stop the run or the other parts
                logging.exception("A callback of the engine failed")
