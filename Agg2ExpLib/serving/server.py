"""The loop of a process that stays alive: requests as JSON lines on stdin, events as JSON lines on stdout, one request at a time.

The computation runs in a worker thread, as in :mod:`~Agg2ExpLib.runs.runner`: a request that is stopped ends within two seconds,
if need be with the whole process, which whoever started it starts anew.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from typing import Any, TextIO

from ..errors import Cancelled, InputError, OutOfMemoryError
from ..runs.runner import CANCELLED, GRACE_S, EventMonitor, describe
from ..system.allocator import keep_freed_memory
from ..system.files import discard_unfinished
from ..system.memory import free_memory
from ..version import __version__
from .requests import ENTRIES, Memory, answer

IDLE_S = 900.0
# Below this what is kept is given back, so that the computer does not run short on account of it.
LEAST_FREE_BYTES = 1.5e9
_LONGEST_LINE = 4 * 2**20
_END = object()


class Server:
    """Does requests until it is told to end, nobody asks for a while, or whoever started it is gone.

    Args:
        stream: where events go.
        idle_s: seconds without a request after which it ends.
        debug: whether tracebacks of expected errors are printed too.
    """

    def __init__(self, stream: TextIO, idle_s: float = IDLE_S, debug: bool = False):
        self._stream, self._idle_s, self._debug = stream, idle_s, debug
        self._requests: queue.Queue[Any] = queue.Queue()
        self._memory = Memory()
        self._current: EventMonitor | None = None
        self._ending = False

    def serve(self, source: TextIO) -> int:
        """Read requests from a stream and do them; returns the exit status."""
        keep_freed_memory()
        threading.Thread(target=self._listen, args=(source,), daemon=True).start()
        numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]
        for number in numbers:
            signal.signal(number, lambda *_: self._end())
        self._tell("ready", version=__version__, requests=sorted(ENTRIES))
        while not self._ending:
            try:
                request = self._requests.get(timeout=self._idle_s)
            except queue.Empty:
                self._tell("ended", reason="idle")
                return 0
            if request is _END:
                break
            self._do(request)
            if free_memory() < LEAST_FREE_BYTES:
                self._memory.release()
                self._tell("released")
        self._tell("ended", reason="asked")
        return 0

    def _do(self, request: Any) -> None:
        monitor = EventMonitor(self._stream, id=request.get("id") if isinstance(request, dict) else None)
        self._current = monitor
        outcome: list[tuple[str, dict[str, object]]] = []

        def work() -> None:
            try:
                if not isinstance(request, dict):
                    raise InputError("A request must be a JSON object on one line.")
                outcome.append(("done", answer(request, monitor, self._memory)))
            except Cancelled:
                outcome.append(("cancelled", {}))
            except Exception as error:
                if self._debug or not isinstance(error, InputError | OutOfMemoryError):
                    traceback.print_exc()
                if not isinstance(error, InputError):
                    self._memory.release()  # nothing half done is kept
                outcome.append(("error", describe(error)))

        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        deadline: float | None = None
        while worker.is_alive():
            worker.join(0.05)
            if monitor.stopped:
                deadline = deadline or time.monotonic() + GRACE_S
                if time.monotonic() > deadline:
                    discard_unfinished()
                    monitor.emit("cancelled", ended=True)
                    os._exit(CANCELLED)
        self._current = None
        event, content = outcome[0]
        monitor.emit(event, **content)

    def _listen(self, source: TextIO) -> None:
        try:
            while line := source.readline(_LONGEST_LINE):
                text = line.strip()
                if not text:
                    continue
                try:
                    request = json.loads(text) if text != "stop" else {"do": "stop"}
                except (ValueError, RecursionError):
                    request = None
                what = request.get("do") if isinstance(request, dict) else None
                if what == "stop":
                    if (current := self._current) is not None:
                        current.stop()
                elif what == "end":
                    break
                else:
                    self._requests.put(request)
        except (OSError, ValueError):
            pass
        self._end()

    def _end(self) -> None:
        """End after the request that is being done, which is stopped."""
        self._ending = True
        if (current := self._current) is not None:
            current.stop()
        self._requests.put(_END)

    def _tell(self, event: str, **content: object) -> None:
        EventMonitor(self._stream).emit(event, **content)


def serve_on_stdio(idle_s: float = IDLE_S, debug: bool = False) -> int:
    """Serve on stdin and stdout; everything else that is printed goes to stderr. Returns the exit status."""
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    # Libraries write to the file descriptor too, and would break the lines.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return Server(stream, idle_s, debug).serve(sys.stdin)
