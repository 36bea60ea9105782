"""A child process that stays alive between questions: ``agg2exp serve``, started when it is first needed.

It is asked one thing at a time. A question that is stopped ends within three seconds, if need be with the process, which is started
anew for the next one. It ends by itself when nobody asks for a while, when memory is short, and when this application is gone.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import qt
from slicer.i18n import tr as _

from .EngineEnvironment import engineEnvironment, findPython, libraryFolder
from .EngineProcess import EngineProcess, QtProcess
from .EventReader import LineReader, parseEvent
from .ProcessTree import killTree
from .RunOutcome import CANCELLED, RunOutcome, outcomeOfEvent, outcomeOfFailedStart, outcomeOfSilentEnd

_IDLE_S = 600
_STOP_S = 3.0
_TICK_MS = 50
_KEPT_LINES = 20


class WarmEngine:
    """Asks a process that stays alive.

    All callbacks come on the main thread, from the event loop and never from inside ``ask`` or ``stop``.

    Args:
        parent: Qt object that owns the timer; None in tests.
        processFactory: makes the child process.
        pythonExecutable: by default ``PythonSlicer`` beside the application, or the running Python outside Slicer.

    Attributes:
        onLog: are given the lines of stderr, and those of stdout that are no event.
    """

    def __init__(
        self,
        parent: Any = None,
        processFactory: Callable[[], EngineProcess] = QtProcess,
        pythonExecutable: str | None = None,
    ):
        self.onLog: list[Callable[[str], None]] = []
        self._factory, self._python = processFactory, pythonExecutable
        self._process: EngineProcess | None = None
        self._gone: list[EngineProcess] = []  # Qt does not bear that they are destroyed while they call back
        self._marker = ""
        self._output, self._errors = LineReader(), LineReader()
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._asked: str | None = None
        self._onEvent: Callable[[Mapping[str, Any]], None] = lambda event: None
        self._onFinished: Callable[[RunOutcome], None] = lambda outcome: None
        self._outcome: RunOutcome | None = None
        self._killAt: float | None = None
        self._timer = qt.QTimer(parent) if parent is not None else qt.QTimer()
        self._timer.timeout.connect(self._tick)

    @property
    def busy(self) -> bool:
        """Whether a question is being answered."""
        return self._asked is not None

    @property
    def alive(self) -> bool:
        """Whether the process lives."""
        return self._process is not None

    def ask(
        self,
        request: Mapping[str, Any],
        onEvent: Callable[[Mapping[str, Any]], None],
        onFinished: Callable[[RunOutcome], None],
    ) -> None:
        """Ask; ``onFinished`` is given the outcome exactly once.

        Args:
            request: see ``agg2exp serve --help``; its id is set here.
            onEvent: is given progress and notices.
            onFinished: is given how it ended.

        Raises:
            RuntimeError: another question is being answered.
        """
        if self.busy:
            raise RuntimeError(_("A question is being answered: wait until it is, or cancel it."))
        self._asked, self._outcome, self._killAt = uuid.uuid4().hex[:12], None, None
        self._onEvent, self._onFinished = onEvent, onFinished
        if self._process is None and not self._start():
            return
        line = json.dumps({**request, "id": self._asked}) + "\n"
        assert self._process is not None
        self._process.write(line.encode("utf-8"))

    def stop(self) -> None:
        """Stop the question; what does not end by itself within three seconds is killed."""
        if self._process is None or not self.busy or self._killAt is not None:
            return
        self._process.write(b"stop\n")
        self._killAt = time.monotonic() + _STOP_S
        self._timer.start(_TICK_MS)

    def shutdown(self, milliseconds: int = 1000) -> None:
        """End the process before this returns, at most about so much later; nothing is told any more."""
        self._timer.stop()
        self._asked = None
        process, self._process = self._process, None
        if process is None:
            return
        self._deafen(process)
        process.write(b'{"do": "end"}\n')
        if not process.waitForEnded(milliseconds):
            killTree(process.pid, self._marker)
            process.kill()
            process.waitForEnded(400)
        self._gone = [process]

    def _start(self) -> bool:
        program, library = self._python or findPython(), libraryFolder()
        if program is None or library is None:
            missing = _("{name} was not found.").format(name="PythonSlicer" if program is None else "Agg2ExpLib")
            self._finish(outcomeOfFailedStart(missing))
            return False
        self._output, self._errors = LineReader(), LineReader()
        self._lines.clear()
        self._marker = f"agg2exp-{uuid.uuid4().hex[:12]}"
        self._process = process = self._factory()
        process.onOutput = lambda data: self._onLines(process, self._output.feed(data))
        process.onErrorOutput = lambda data: self._onErrorLines(self._errors.feed(data))
        process.onEnded = lambda exitCode, crashed: self._onEnded(process, exitCode, crashed)
        process.onStartFailed = lambda reason: self._onStartFailed(process, reason)
        arguments = ["-m", "Agg2ExpLib", "serve", "--idle", str(_IDLE_S), "--name", self._marker]
        process.start(program, arguments, str(library), engineEnvironment(library))
        return True

    def _onLines(self, process: EngineProcess, lines: list[str]) -> None:
        for line in lines:
            if self._process is not process:
                return
            event = parseEvent(line)
            if event is None:
                self._log(line)
            elif event.get("id") == self._asked and self._asked is not None:
                outcome = outcomeOfEvent(event)
                if outcome is None:
                    self._guarded(self._onEvent, event)
                else:
                    self._finish(outcome)

    def _onErrorLines(self, lines: list[str]) -> None:
        for line in lines:
            self._lines.append(line)
            self._log(line)

    def _onEnded(self, process: EngineProcess, exitCode: int, crashed: bool) -> None:
        self._onLines(process, self._output.finish())
        self._onErrorLines(self._errors.finish())
        if self._process is process:
            self._process = None
            self._gone = [process]
        killTree(None, self._marker)  # the computation behind a launcher that was killed
        if self.busy and self._outcome is None:
            stopped = self._killAt is not None
            self._finish(RunOutcome(CANCELLED) if stopped else outcomeOfSilentEnd(exitCode, crashed, list(self._lines)))

    def _onStartFailed(self, process: EngineProcess, reason: str) -> None:
        if self._process is process:
            self._process = None
            self._gone = [process]
        self._finish(outcomeOfFailedStart(reason))

    def _finish(self, outcome: RunOutcome) -> None:
        """Tell the outcome from the event loop."""
        if self._outcome is None:
            self._outcome = outcome
            self._killAt = None
            self._timer.start(0)

    def _tick(self) -> None:
        if self._outcome is not None:
            self._timer.stop()
            outcome, self._outcome, self._asked = self._outcome, None, None
            self._guarded(self._onFinished, outcome)
        elif self._killAt is not None and time.monotonic() >= self._killAt and self._process is not None:
            killTree(self._process.pid, self._marker)
            self._process.kill()
            self._killAt = time.monotonic() + 1.0
        elif self._killAt is None:
            self._timer.stop()

    @staticmethod
    def _deafen(process: EngineProcess) -> None:
        deaf: Callable[..., None] = lambda *_unused: None  # noqa: E731
        process.onOutput = process.onErrorOutput = process.onEnded = process.onStartFailed = deaf

    def _log(self, line: str) -> None:
        for callback in list(self.onLog):
            callback(line)

    @staticmethod
    def _guarded(callback: Callable[[Any], None], content: Any) -> None:
        try:
            callback(content)
        except Exception:  # one panel part that fails must not stop the process
            logging.exception("A callback of the warm engine failed")
