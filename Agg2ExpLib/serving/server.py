"""The loop of a process that stays alive: requests as JSON lines on stdin, events as JSON lines on stdout, one request at a time.

The computation runs in a worker thread, as in :mod:`~Agg2ExpLib.runs.runner`: a request that is stopped ends within two seconds,
if need be with the whole process, which whoever started it starts anew.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, NoReturn, Protocol, TextIO

from ..errors import Cancelled, InputError, OutOfMemoryError, ToldError
from ..runs.runner import CANCELLED, FAILED, EventMonitor, describe
from ..system.files import discard_unfinished
from ..system.memory import free_memory
from ..version import __version__
from .frames import PROTOCOL, parse_line, read_line

IDLE_S = 900.0
# Below this what is kept is given back, so that the computer does not run short on account of it.
LEAST_FREE_BYTES = 1.5e9
_LOOK_S = 5.0
_END = object()


class Worker(Protocol):
    """Who does the requests.

    Attributes:
        requests: names of those it knows.
        grace_s: seconds that it has to end what is stopped.
        holds: whether there is anything to release.
    """

    @property
    def requests(self) -> Sequence[str]: ...

    @property
    def grace_s(self) -> float: ...

    @property
    def holds(self) -> bool: ...

    def answer(self, request: Mapping[str, Any], monitor: EventMonitor) -> dict[str, object]:
        """Do what a request asks; returns entries of ``done``."""
        ...

    def take(self, request: Mapping[str, Any], source: BinaryIO, monitor: EventMonitor) -> dict[str, object] | None:
        """Store files that follow on the stream."""
        ...

    def rest(self) -> None:
        """A request is done, and nothing of it is needed any more."""
        ...

    def release(self) -> None:
        """Forget all that is kept."""
        ...

    def close(self, hard: bool = False) -> None:
        """The process ends; ``hard`` where what is being done will not end by itself."""
        ...


class Server:
    """Does requests until it is told to end, nobody asks for a while, memory is short, or whoever started it is gone.

    Args:
        stream: where events go.
        worker: does the requests.
        idle_s: seconds without a request after which it ends.
        debug: whether tracebacks of expected errors are printed too.
    """

    def __init__(self, stream: TextIO, worker: Worker, idle_s: float = IDLE_S, debug: bool = False):
        self._stream, self._worker, self._idle_s, self._debug = stream, worker, idle_s, debug
        self._lock = threading.Lock()
        self._requests: queue.Queue[Any] = queue.Queue()
        self._waiting: set[EventMonitor] = set()  # of requests that are not done, the one that is being done among them
        self._ending = False

    def serve(self, source: BinaryIO) -> int:
        """Read requests from a stream and do them; returns the exit status."""
        threading.Thread(target=self._listen, args=(source,), daemon=True).start()
        numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]
        for number in numbers:
            signal.signal(number, lambda *_: self._end())
        self._monitor().emit("ready", version=__version__, protocol=PROTOCOL, requests=list(self._worker.requests))
        reason = "asked"
        while not self._ending:
            request = self._next()
            if isinstance(request, str):
                reason = request
                break
            if request is not _END:
                self._do(*request)
        self._worker.close()
        self._monitor().emit("ended", reason=reason)
        return 0

    def _next(self) -> Any:
        """The next request, or why there will be none."""
        deadline = time.monotonic() + self._idle_s
        while True:
            try:
                return self._requests.get(timeout=max(0.0, min(_LOOK_S, deadline - time.monotonic())))
            except queue.Empty:
                if time.monotonic() >= deadline:
                    return "idle"
                if self._is_short():
                    return "memory"

    def _is_short(self) -> bool:
        """Whether this process must go, since memory is short although it has given back what it kept."""
        try:
            if free_memory() >= LEAST_FREE_BYTES:
                return False
            if self._worker.holds:
                self._worker.release()
                self._monitor().emit("released")
            return free_memory() < LEAST_FREE_BYTES
        except ImportError:  # a Slicer without the requirements
            return False

    def _do(self, request: Any, monitor: EventMonitor) -> None:
        outcome: list[tuple[str, dict[str, object]]] = []

        def work() -> None:
            try:
                if not isinstance(request, dict):
                    raise InputError("A request must be a JSON object on one line.")
                monitor.check()
                outcome.append(("done", self._worker.answer(request, monitor)))
            except Cancelled:
                outcome.append(("cancelled", {}))
            except (InputError, ToldError) as error:
                if self._debug:
                    traceback.print_exc()
                outcome.append(("error", describe(error)))
            except OutOfMemoryError as error:
                outcome.append(("error", describe(error)))
                self._worker.release()  # nothing half done is kept
            except BaseException as error:
                traceback.print_exc()
                told = describe(error) if isinstance(error, Exception) else {"code": "internal", "message": repr(error), "hint": ""}
                # What went wrong in a library (an error of the graphics card, say) may last as long as the process.
                outcome.append(("error", {**told, "ended": True}))

        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        deadline: float | None = None
        while worker.is_alive():
            worker.join(0.05)
            if monitor.stopped:
                deadline = deadline or time.monotonic() + self._worker.grace_s
                if time.monotonic() > deadline:
                    discard_unfinished()
                    self._leave(monitor, CANCELLED, "cancelled", {"ended": True})
        self._waiting.discard(monitor)
        event, content = outcome[0]
        if content.get("ended"):
            self._leave(monitor, FAILED, event, content)
        monitor.emit(event, **content)
        self._worker.rest()

    def _leave(self, monitor: EventMonitor, status: int, event: str, content: dict[str, object]) -> None:
        """End the process at once."""
        self._worker.close(hard=True)
        monitor.emit(event, **content)
        sys.stderr.flush()
        os._exit(status)

    def _listen(self, source: BinaryIO) -> None:
        try:
            while (line := read_line(source)) is not None:
                if isinstance(line, bytes) and not line.strip():
                    continue
                request = {"do": "stop"} if isinstance(line, bytes) and line.strip() == b"stop" else parse_line(line)
                what = request.get("do") if isinstance(request, dict) else None
                if what == "stop":
                    self._stop()
                elif what == "end":
                    break
                elif what == "put" and "put" in self._worker.requests:
                    self._take(request, source)
                else:
                    monitor = self._monitor(request)
                    if what != "forget":  # a duty, not a wish
                        self._waiting.add(monitor)
                    self._requests.put((request, monitor))
        except (OSError, ValueError, EOFError):
            pass
        self._end()

    def _take(self, request: Mapping[str, Any], source: BinaryIO) -> None:
        monitor = self._monitor(request)
        try:
            stored = self._worker.take(request, source, monitor)
        except InputError as error:
            monitor.emit("error", **describe(error))
        else:
            monitor.emit("cancelled" if stored is None else "done", **(stored or {}))

    def _stop(self) -> None:
        """Stop what is being done, and what waits."""
        for monitor in list(self._waiting):
            monitor.stop()

    def _end(self) -> None:
        """End after the request that is being done, which is stopped."""
        self._ending = True
        self._stop()
        self._requests.put(_END)

    def _monitor(self, request: Any = None) -> EventMonitor:
        """Writes events, with the request's id where there is one."""
        if request is None:
            return EventMonitor(self._stream, self._lock)
        return EventMonitor(self._stream, self._lock, id=request.get("id") if isinstance(request, dict) else None)


def serve_on_stdio(worker: Worker, idle_s: float = IDLE_S, debug: bool = False) -> NoReturn:
    """Serve on stdin and stdout, and end the process; everything else that is printed goes to stderr."""
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    # Libraries write to the file descriptor too, and would break the lines.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # Not sys.stdin, which the interpreter closes at its end while the listening thread still reads.
    source = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    status = Server(stream, worker, idle_s, debug).serve(source)
    sys.stderr.flush()
    # Unloading the libraries takes longer than an application that closes should wait.
    os._exit(status)
