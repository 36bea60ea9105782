"""One child process of ours at a time: started, heard, stopped, killed with all that it has started, and its end told.

The one plumbing behind runs, the list of graphics cards, the comparison with a cohort, exports and installations. What a child
tells is one JSON object a line on stdout with the entry ``event``; the last one is ``done``, ``error`` or ``cancelled``. All other
lines, and those of stderr, go to the log. A line ``stop`` on its stdin asks it to end. A lasting child does many things one after
the other, each of which ends with such an event; its own end is told by how it ended.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from .EngineEnvironment import engineEnvironment, findPython, libraryFolder
from .EngineProcess import EngineProcess, QtProcess
from .EventReader import LineReader, parseEvent
from .ProcessTree import killTree, stillAlive
from .RunOutcome import CANCELLED, DONE, RunOutcome, outcomeOfEvent, outcomeOfFailedStart, outcomeOfSilentEnd

_TICK_MS = 50
_STOP_S = 3.0  # our children answer a stop within 2 s
_LEAVE_S = 10.0  # for a process that has told its outcome and only needs to unload its libraries
_SWEEP_S = 2.0  # for killed processes to be gone
_SHUTDOWN_ASK_MS, _SHUTDOWN_KILL_MS = 1400, 400
_KEPT_LINES = 20
_LONGEST_LINE = 1 << 26  # bytes; a comparison of a hundred labels in a hundred regions takes two million


@dataclass
class _Life:
    """What is known about the process that lives."""

    process: EngineProcess
    marker: str
    output: LineReader = field(default_factory=lambda: LineReader(_LONGEST_LINE))
    errorOutput: LineReader = field(default_factory=LineReader)
    lastLines: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))
    outcome: RunOutcome | None = None
    ended: tuple[int, bool] | None = None
    stopAsked: bool = False
    closing: bool = False
    killAt: float | None = None
    swept: bool = False
    doomed: set[int] = field(default_factory=set)
    sweepUntil: float = 0.0


class Child:
    """Runs Slicer's Python with arguments.

    All callbacks come on the main thread, from the event loop and never from inside ``start`` or ``stop``.

    Args:
        parent: Qt object that owns the timer; None in tests.
        processFactory: makes the child process.
        pythonExecutable: by default ``PythonSlicer`` beside the application, or the running Python outside Slicer.
        lasting: whether ``done``, ``error`` and ``cancelled`` are events like others.

    Attributes:
        onEvent: are given every event but the last (of a lasting child every one), as it was written.
        onLog: are given the lines of stderr, and those of stdout that are no event.
        onFinished: are given the outcome, exactly once a start, when no process is left and ``running`` is False again.
    """

    def __init__(
        self,
        parent: Any = None,
        processFactory: Callable[[], EngineProcess] = QtProcess,
        pythonExecutable: str | None = None,
        lasting: bool = False,
    ):
        self._lasting = lasting
        self.onEvent: list[Callable[[dict[str, Any]], None]] = []
        self.onLog: list[Callable[[str], None]] = []
        self.onFinished: list[Callable[[RunOutcome], None]] = []
        self.processFactory = processFactory
        self._pythonExecutable = pythonExecutable
        self._life: _Life | None = None
        self._kept: _Life | None = None
        self._dying: list[EngineProcess] = []  # Qt does not bear that they go before they have ended
        self._timer = qt.QTimer(parent) if parent is not None else qt.QTimer()
        self._timer.timeout.connect(self._tick)

    @property
    def running(self) -> bool:
        """Whether a process lives, also while it is being stopped."""
        return self._life is not None

    @property
    def pid(self) -> int | None:
        """Id of the process, None while there is none."""
        return self._life.process.pid if self._life is not None else None

    def start(
        self,
        arguments: Sequence[str],
        folder: str | Path | None = None,
        marker: str = "",
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start; what keeps it from starting comes as its outcome.

        Args:
            arguments: of Python.
            folder: that it runs in, by default the library's.
            marker: an argument (or part of one) that no other process has, by which the computation behind a launcher that was
                killed is found; by default one is appended to the arguments.
            stdin: written to it at once.
            environment: on top of what all our children are given.

        Raises:
            RuntimeError: one lives already.
        """
        if self._life is not None:
            raise RuntimeError(_("A computation is running already: wait until it has ended, or cancel it."))
        program, library = self._pythonExecutable or findPython(), libraryFolder()
        arguments = list(arguments)
        if not marker:
            marker = f"agg2exp-{uuid.uuid4().hex[:12]}"
            arguments.append(marker)
        # Qt does not bear that a process is destroyed while it calls back, so the last one is kept until here.
        self._life = self._kept = life = _Life(self.processFactory(), marker)
        if program is None or library is None:
            self.fail(_("{name} was not found.").format(name="PythonSlicer" if program is None else "Agg2ExpLib"))
            return
        life.process.onOutput = lambda data: self._onLines(life, life.output.feed(data))
        life.process.onErrorOutput = lambda data: self._onErrorLines(life, life.errorOutput.feed(data))
        life.process.onEnded = lambda exitCode, crashed: self._onEnded(life, exitCode, crashed)
        life.process.onStartFailed = lambda reason: self._onStartFailed(life, reason)
        variables = {**engineEnvironment(library), **(environment or {})}
        life.process.start(program, arguments, str(folder or library), variables)
        if stdin:
            life.process.write(stdin)

    def fail(self, reason: str) -> None:
        """Make ``reason`` the outcome of a start; told from the event loop, so that nobody is called back from inside it."""
        if self._life is None:
            self._life = self._kept = _Life(self.processFactory(), "")
        self._onStartFailed(self._life, reason)

    def write(self, data: bytes) -> None:
        """Send to its stdin."""
        if self._life is not None:
            self._life.process.write(data)

    def stop(self, patience: float = _STOP_S, words: bytes = b"stop\n") -> None:
        """Ask it to stop, and have it killed with all its children when it has not after ``patience`` seconds. Returns at once."""
        life = self._life
        if life is None or life.stopAsked:
            return
        life.stopAsked = True
        life.process.write(words)
        life.killAt = time.monotonic() + patience
        self._timer.start(_TICK_MS)

    def live(self) -> None:
        """A lasting child has stopped what it did, and lives on."""
        life = self._life
        if life is not None and not life.closing and not life.doomed:
            life.stopAsked, life.killAt = False, None

    def shutdown(self, patience: float = _SHUTDOWN_ASK_MS / 1000, words: bytes = b"stop\n") -> None:
        """End it before this returns, at most about two seconds later; for the end of scene or application.

        No event is told any more, only the outcome.
        """
        life = self._life
        if life is None or life.closing:
            return
        life.closing = True
        if life.stopAsked:
            life.process.write(words)
        self.stop(words=words)
        if not life.process.waitForEnded(round(1000 * patience)):
            life.doomed |= self._kill(life)
            life.process.waitForEnded(_SHUTDOWN_KILL_MS)
        if self._life is life:
            self._sweep(life)
            deadline = time.monotonic() + _SHUTDOWN_KILL_MS / 1000
            while stillAlive(life.doomed) and time.monotonic() < deadline:
                time.sleep(0.02)
            self._finish(life)

    def forget(self, milliseconds: int = 0) -> None:
        """Kill it at once without telling an outcome, and wait at most so long for its end."""
        life, self._life = self._life, None
        self._timer.stop()
        if life is None:
            return
        process = life.process
        deaf: Callable[..., None] = lambda *_unused: None  # noqa: E731
        process.onOutput = process.onErrorOutput = process.onEnded = process.onStartFailed = deaf
        if process.running:
            killTree(process.pid, life.marker)
            process.kill()
            self._dying = [each for each in self._dying if each.running] + [process]
            if milliseconds:
                process.waitForEnded(milliseconds)

    def _onStartFailed(self, life: _Life, reason: str) -> None:
        life.outcome = outcomeOfFailedStart(reason)
        life.ended = (0, False)
        life.swept = True
        self._timer.start(_TICK_MS)

    def _onLines(self, life: _Life, lines: list[str]) -> None:
        for line in lines:
            if self._life is not life:  # a callback has shut it down
                return
            event = parseEvent(line)
            if event is None:
                self._tell(self.onLog, line)
                continue
            outcome = None if self._lasting else outcomeOfEvent(event)
            if outcome is None:
                if not life.closing:
                    self._tell(self.onEvent, event)
            elif life.outcome is None:
                life.outcome = outcome
                life.killAt = time.monotonic() + _LEAVE_S
                self._timer.start(_TICK_MS)

    def _onErrorLines(self, life: _Life, lines: list[str]) -> None:
        for line in lines:
            if self._life is not life:
                return
            life.lastLines.append(line)
            self._tell(self.onLog, line)

    def _onEnded(self, life: _Life, exitCode: int, crashed: bool) -> None:
        self._onLines(life, life.output.finish())
        self._onErrorLines(life, life.errorOutput.finish())
        life.ended = (exitCode, crashed)
        self._timer.start(_TICK_MS)

    def _tick(self) -> None:
        """One step towards the end; the timer runs only when there is one to take."""
        life = self._life
        if life is None:
            self._timer.stop()
            return
        now = time.monotonic()
        if life.ended is None:
            if life.killAt is not None and now >= life.killAt:
                life.doomed |= self._kill(life)
                life.killAt = now + 1.0
            return
        self._sweep(life)
        if now < life.sweepUntil and stillAlive(life.doomed):
            return
        self._finish(life)

    def _kill(self, life: _Life) -> set[int]:
        doomed = killTree(life.process.pid, life.marker)
        life.process.kill()
        return doomed

    def _sweep(self, life: _Life) -> None:
        """Once, after a process has ended without having told an outcome: the computation behind a launcher may live on."""
        if life.swept:
            return
        life.swept = True
        if life.outcome is None or life.doomed:
            life.doomed |= killTree(None, life.marker)
            life.sweepUntil = time.monotonic() + _SWEEP_S

    def _finish(self, life: _Life) -> None:
        self._timer.stop()
        outcome = life.outcome
        if outcome is None:
            exitCode, crashed = life.ended or (-1, True)
            outcome = outcomeOfSilentEnd(exitCode, crashed, list(life.lastLines))
        # Who has asked for a stop need not hear that something failed on the way; finished results are told all the same.
        if life.stopAsked and outcome.state != DONE and not outcome.exitedWell:
            outcome = RunOutcome(CANCELLED)
        self._life = None
        self._tell(self.onFinished, outcome)

    @staticmethod
    def _tell(callbacks: list[Callable[[Any], None]], content: Any) -> None:
        for callback in list(callbacks):
            try:
                callback(content)
            except Exception:  # one panel part that fails must not stop the process or the other parts
                logging.exception("A callback of a child process failed")
