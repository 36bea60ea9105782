"""A child process that stays alive between what it is asked: ``agg2exp serve``, started when it is first needed.

It does one thing at a time. What is stopped ends within three seconds, if need be with the process, which is started anew for the
next thing. It ends by itself when nobody asks for a while, when memory is short, and when this application is gone. A fresh one
takes its place where it would not be the same: other packages were installed, another device or another computer was chosen.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import qt
from slicer.i18n import tr as _

from .Child import Child
from .EngineProcess import EngineProcess, QtProcess
from .RunOutcome import CANCELLED, RunOutcome, outcomeOfEvent, outcomeOfFailedStart

_IDLE_S = 600
_END = b'{"do": "end"}\n'
_END_S = 3.0  # for a process that is not needed any more


class WarmEngine:
    """Asks a process that stays alive.

    All callbacks come on the main thread, from the event loop and never from inside ``ask`` or ``stop``.

    Args:
        parent: Qt object that owns the timers; None in tests.
        processFactory: makes the child process.
        pythonExecutable: by default ``PythonSlicer`` beside the application, or the running Python outside Slicer.

    Attributes:
        onLog: are given the lines of stderr, and those of stdout that are no event.
        where: gives further arguments of ``agg2exp serve``, such as the computer that it works on.
    """

    def __init__(
        self,
        parent: Any = None,
        processFactory: Callable[[], EngineProcess] = QtProcess,
        pythonExecutable: str | None = None,
    ):
        self.onLog: list[Callable[[str], None]] = []
        self.where: Callable[[], Sequence[str]] = tuple
        self._parent, self._factory, self._python = parent, processFactory, pythonExecutable
        self._child: Child | None = None
        self._leaving: list[Child] = []
        self._kind: tuple[object, ...] = ()
        self._request: Mapping[str, Any] = {}
        self._asked: str | None = None
        self._heard = False
        self._saidEnd = False
        self._onEvent: Callable[[dict[str, Any]], None] = lambda event: None
        self._onFinished: Callable[[RunOutcome], None] = lambda outcome: None
        self._outcome: RunOutcome | None = None
        self._timer = qt.QTimer(parent) if parent is not None else qt.QTimer()
        self._timer.singleShot = True
        self._timer.timeout.connect(self._tell)

    @property
    def busy(self) -> bool:
        """Whether something asked for is being done, also while it is being stopped."""
        return self._asked is not None

    @property
    def alive(self) -> bool:
        """Whether the process lives."""
        return self._child is not None and self._child.running

    @property
    def pid(self) -> int | None:
        """Id of the process, None while there is none."""
        return self._child.pid if self._child is not None else None

    def ask(
        self,
        request: Mapping[str, Any],
        onEvent: Callable[[dict[str, Any]], None],
        onFinished: Callable[[RunOutcome], None],
    ) -> None:
        """Ask; ``onFinished`` is given the outcome exactly once.

        Args:
            request: see ``agg2exp serve --help``; its id is set here.
            onEvent: is given progress, notices and partial results.
            onFinished: is given how it ended.

        Raises:
            RuntimeError: something else is being done.
        """
        if self.busy:
            raise RuntimeError(_("A computation is running already: wait until it has ended, or cancel it."))
        self._asked, self._outcome, self._heard = uuid.uuid4().hex[:12], None, False
        self._onEvent, self._onFinished, self._request = onEvent, onFinished, request
        self._send(request)

    def prepare(self, device: str) -> None:
        """Start the process and have it load its libraries, so that what is asked next begins at once."""
        if not self.busy and not self.alive:
            self._ready(device).write(_line({"do": "prepare"}))

    def forget(self) -> None:
        """What was kept of patients is let go; the model stays."""
        if self.alive and self._child is not None:
            self._child.write(_line({"do": "forget"}))

    def stop(self) -> None:
        """Stop what is being done; what does not end by itself within three seconds is killed."""
        if self.busy and self._child is not None:
            self._child.stop()

    def fail(self, reason: str) -> None:
        """Make ``reason`` the outcome of what cannot even be asked."""
        self._finish(outcomeOfFailedStart(reason))

    def renew(self) -> None:
        """Let the process go; the next thing is asked of a fresh one."""
        if not self.busy:
            self._retire()

    def shutdown(self) -> None:
        """End the process before this returns, at most about two seconds later.

        No event is told any more, only the outcome.
        """
        child, self._child = self._child, None
        for each in self._leaving:
            each.forget(400)
        self._leaving.clear()
        if child is not None:
            child.onEvent.clear()
            child.onFinished.clear()
            child.shutdown(words=b"stop\n" + _END)
        if self.busy:
            self._finish(RunOutcome(CANCELLED))
            self._timer.stop()
            self._tell()

    def _send(self, request: Mapping[str, Any]) -> None:
        job = request.get("job")
        device = str((job if isinstance(job, Mapping) else request).get("device") or "auto")
        # Escapes carry names through that are no valid UTF-8.
        self._ready(device).write(_line({**request, "id": self._asked}))

    def _ready(self, device: str) -> Child:
        """The process, a fresh one where there is none or it would not be the same."""
        where = tuple(self.where())
        kind = (where, device, _packages())
        if self._child is not None and self._child.running and (kind != self._kind or self._saidEnd):
            self._retire()
        if self._child is None:
            self._child = self._made()
        if not self._child.running:
            self._kind, self._saidEnd = kind, False
            marker = f"agg2exp-{uuid.uuid4().hex[:12]}"
            words = ["-m", "Agg2ExpLib", "serve", "--stdio", "--idle", str(_IDLE_S), *where, "--name", marker]
            self._child.start(words, marker=marker)
        return self._child

    def _made(self) -> Child:
        child = Child(self._parent, self._factory, self._python, lasting=True)
        child.onLog.append(self._log)
        child.onEvent.append(self._onLine)
        child.onFinished.append(lambda outcome: self._onEnded(child, outcome))
        return child

    def _retire(self) -> None:
        """Let a process end by itself, in whatever time it takes within limits."""
        child, self._child = self._child, None
        if child is not None and child.running:
            child.onEvent.clear()
            child.onFinished[:] = [lambda outcome: self._leaving.remove(child)]
            self._leaving.append(child)
            child.stop(_END_S, _END)

    def _onLine(self, event: dict[str, Any]) -> None:
        if event["event"] == "ended":  # whatever is asked now comes too late for it
            self._saidEnd = True
        if self._asked is None or event.get("id") != self._asked:
            return
        self._heard = True
        outcome = outcomeOfEvent(event)
        if outcome is None:
            self._guarded(self._onEvent, event)
            return
        self._saidEnd = self._saidEnd or event.get("ended") is True
        if self._child is not None:
            self._child.live()
        self._finish(outcome)

    def _onEnded(self, child: Child, outcome: RunOutcome) -> None:
        if self._outcome is not None or not self.busy or child is not self._child:
            return
        if self._saidEnd and not self._heard and outcome.state != CANCELLED:
            self._send(self._request)  # it ended for lack of work in the moment it was asked
        else:
            self._finish(outcome)

    def _finish(self, outcome: RunOutcome) -> None:
        """Tell the outcome from the event loop."""
        if self._outcome is None:
            self._outcome = outcome
            self._timer.start(0)

    def _tell(self) -> None:
        if self._outcome is not None:
            outcome, self._outcome, self._asked = self._outcome, None, None
            self._guarded(self._onFinished, outcome)

    def _log(self, line: str) -> None:
        for callback in list(self.onLog):
            self._guarded(callback, line)

    @staticmethod
    def _guarded(callback: Callable[[Any], None], content: Any) -> None:
        try:
            callback(content)
        except Exception:  # one panel part that fails must not stop the process or the other parts
            logging.exception("A callback of the warm engine failed")


def _line(request: Mapping[str, Any]) -> bytes:
    return (json.dumps(request) + "\n").encode("utf-8")


def _packages() -> tuple[str | None, ...]:
    """Versions of the packages that a process has loaded for good."""
    from importlib import metadata

    found: list[str | None] = []
    for name in ("torch", "monai", "numpy"):
        try:
            found.append(metadata.version(name))
        except metadata.PackageNotFoundError:
            found.append(None)
    return tuple(found)
