"""``agg2exp run``: a job in a process of its own, with events as JSON lines on stdout and a stop within two seconds.

The computation runs in a worker thread, since a signal handler cannot run while the main thread is inside a long tensor operation.
A stop is asked for by SIGINT or SIGTERM, or by a line ``stop`` on stdin (the one way that works on every system).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from ..errors import Cancelled, InputError, OutOfMemoryError, ToldError, parameters_in, worded
from ..monitor import Monitor
from ..system.allocator import keep_freed_memory
from ..system.files import discard_unfinished
from .job import Job

DONE, FAILED, CANCELLED = 0, 1, 130
# A stop must end the run within 2 s; what has not ended by itself until then is left where it is.
GRACE_S = 0.8
_BETWEEN_PROGRESS_S = 0.2


class EventMonitor(Monitor):
    """Writes what it is told as JSON lines, one event a line, flushed at once.

    Args:
        stream: to write to.
        lock: of the stream, where others write to it too.
        always: entries of every event.
    """

    wants_partial = True

    def __init__(self, stream: TextIO, lock: threading.Lock | None = None, **always: object):
        super().__init__()
        self._stream, self._always = stream, always
        self._lock = lock or threading.Lock()
        self._last = 0.0

    def emit(self, event: str, **content: object) -> None:
        """Write one event; where nobody reads any more, the run is stopped."""
        self.emit_bytes(event, b"", **content)

    def emit_bytes(self, event: str, data: bytes, /, **content: object) -> None:
        """Write one event and, after its line, bytes that belong to it."""
        with self._lock:
            try:
                self._stream.write(json.dumps({"event": event, **self._always, **content}, ensure_ascii=True) + "\n")
                self._stream.flush()
                if data:
                    self._stream.buffer.write(data)
                    self._stream.buffer.flush()
            except OSError:
                self.stop()

    def progress(self, stage: str, fraction: float, message: str = "", eta_s: float | None = None) -> None:
        """A ``progress`` event, at most five a second."""
        now = time.monotonic()
        if now - self._last < _BETWEEN_PROGRESS_S and fraction < 1:
            return
        self._last = now
        eta = None if eta_s is None else round(eta_s, 1)
        self.emit("progress", stage=stage, fraction=round(fraction, 4), eta_s=eta, message=message)

    def notice(self, message: str) -> None:
        """A ``notice`` event."""
        super().notice(message)
        self.emit("notice", message=worded(message), **_template(message))

    def expected(self, memory_bytes: float) -> None:
        """An ``expected`` event."""
        self.emit("expected", memory_bytes=round(memory_bytes))

    def partial(self, kind: str, path: Path, **details: object) -> None:
        """A ``partial`` event: a preliminary result can be read."""
        self.emit("partial", kind=kind, path=str(path), **details)


def stop_on_signals(monitor: Monitor) -> dict[int, Any]:
    """Let SIGINT, SIGTERM and SIGBREAK ask the monitor to stop; returns the handlers there were before."""
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]
    return {number: signal.signal(number, lambda *_: monitor.stop()) for number in numbers}


def in_worker(work: Callable[[], None], monitor: Monitor) -> None:
    """Run ``work`` in a thread until it ends, or until a stop was asked for and it had its time to clean up."""
    keep_freed_memory()
    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    deadline: float | None = None
    while worker.is_alive():
        worker.join(0.05)
        if monitor.stopped:
            deadline = deadline or time.monotonic() + GRACE_S
            if time.monotonic() > deadline:
                return


def run_with_events(job_file: Path, debug: bool = False) -> int:
    """Do the job of a file; see :func:`work_with_events`."""

    def work(monitor: Monitor) -> dict[str, object]:
        from .pipeline import run_job

        return {"result": str(run_job(Job.read(job_file), monitor))}

    return work_with_events(work, debug)


def work_with_events(work: Callable[[Monitor], dict[str, object]], debug: bool = False) -> int:
    """Do what a front end has asked for; returns the exit status unless a stop makes the process end here.

    Prints exactly one of ``done`` (with what ``work`` returns), ``error`` and ``cancelled`` as the last event; all other output
    goes to stderr.
    """
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    # Libraries write to the file descriptor too, and would break the lines.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    monitor = EventMonitor(stream)
    signals = stop_on_signals(monitor)
    threading.Thread(target=_listen, args=(monitor,), daemon=True).start()
    outcome: list[tuple[int, str, dict[str, object]]] = []

    def guarded() -> None:
        try:
            outcome.append((DONE, "done", work(monitor)))
        except Cancelled:
            outcome.append((CANCELLED, "cancelled", {}))
        except Exception as error:
            if debug or not isinstance(error, InputError | OutOfMemoryError):
                traceback.print_exc()
            outcome.append((FAILED, "error", describe(error)))

    in_worker(guarded, monitor)
    discard_unfinished()
    # From here on a stop comes too late: it must not change the exit status while the interpreter ends.
    for number in signals:
        signal.signal(number, signal.SIG_IGN)
    # A worker without an outcome is inside a long operation and cannot clean up by itself.
    status, event, content = outcome[0] if outcome else (CANCELLED, "cancelled", {})
    monitor.emit(event, **content)
    if status == CANCELLED:
        # Unloading the libraries takes longer than a user who stops should wait.
        os._exit(status)
    return status


def describe(error: Exception) -> dict[str, object]:
    """Code, message and hint of an ``error`` event."""
    if isinstance(error, ToldError):
        return {"code": error.code, "message": error.message, "hint": error.hint}
    if isinstance(error, OutOfMemoryError):
        return {"code": "out_of_memory", "message": str(error), "hint": worded(error.hint), **_template(error.template, error.hint)}
    if isinstance(error, InputError):
        hint = "Correct the input and start again."
        return {"code": "bad_input", "message": str(error), "hint": hint, **_template(error.template)}
    return {
        "code": "internal",
        "message": f"{type(error).__name__}: {error}",
        "hint": "This is a fault of Agg2Exp: please report it with the log.",
    }


def _template(message: str, hint: str | None = None) -> dict[str, object]:
    """The same sentences with parameters as ``⟨name⟩``, where they name any, for front ends with words of their own."""
    found: dict[str, object] = {}
    if parameters_in(message):
        found["template"] = message
    if hint is not None and parameters_in(hint):
        found["hint_template"] = hint
    return found


def _listen(monitor: Monitor) -> None:
    if sys.stdin is None:  # closed by whoever started the process
        return
    with contextlib.suppress(OSError, ValueError):
        for line in sys.stdin:
            if line.strip().lower() == "stop":
                monitor.stop()
                return
