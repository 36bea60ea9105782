"""What the tests of the engine share: an engine with all that it tells, programs in Python's place, and a look at what lives."""

from __future__ import annotations

import subprocess
import time
from typing import Any

LIMIT_S = 240.0

# A server that hears one request and does as a test says.
SERVES = """
import json, os, signal, subprocess, sys, time
asked = lambda: json.loads(sys.stdin.readline())
text = lambda request, kind, **content: json.dumps({"event": kind, "id": request["id"], **content}, ensure_ascii=False)
tell = lambda request, kind, **content: print(text(request, kind, **content), flush=True)
"""
LAUNCHER = "sys.exit(subprocess.Popen([sys.executable, *sys.argv[1:]]).wait())"


# As Slicer's launcher does: the signal is hidden behind words of its own and status 1.
BEHIND_A_LAUNCHER = (
    "code = lambda command: subprocess.run(command).returncode\n"
    "run = lambda command: (sys.stderr.write('error: [/opt/python-real] exit abnormally - Report the problem.\\n'), sys.exit(1))"
    " if code(command) < 0 else None\n"
    "run([sys.executable, '-c',"
)


class Spy:
    """An engine with everything it tells."""

    def __init__(self, application, python=None):
        from Agg2ExpModuleLib.engine.Engine import Engine

        self.application = application
        self.engine = Engine(pythonExecutable=None if python is None else str(python))
        self.events: list[dict[str, Any]] = []
        self.log: list[str] = []
        self.finished: list[Any] = []
        self.engine.onEvent.append(self.events.append)
        self.engine.onLog.append(self.log.append)
        self.engine.onFinished.append(self.finished.append)

    def until(self, condition, limit=LIMIT_S):
        """Run the event loop until something is true; fails when it has not become so, and when the loop was ever blocked."""
        deadline = time.monotonic() + limit
        slowest = 0.0
        while not condition():
            assert time.monotonic() < deadline, (self.events[-3:], self.log, self.finished)
            began = time.perf_counter()
            self.application.processEvents()
            slowest = max(slowest, time.perf_counter() - began)
            time.sleep(0.005)
        return slowest

    def to_the_end(self):
        """The outcome, which must come exactly once."""
        self.until(lambda: not self.engine.running)
        for _ in range(20):
            self.application.processEvents()
            time.sleep(0.005)
        assert len(self.finished) == 1
        return self.finished[0]

    def until_partial(self):
        self.until(lambda: any(event["event"] == "partial" for event in self.events))

    def again(self, job):
        """Another run, to its end."""
        self.finished.clear()
        self.engine.start(job)
        return self.to_the_end()

    @property
    def marker(self):
        """What the command lines of the process and its like hold."""
        return self.engine.warm._child._life.marker


def processes_of(text):
    """Command lines of living processes that contain a text."""
    listing = subprocess.run(["ps", "-A", "-ww", "-o", "stat=,command="], capture_output=True, text=True, check=False).stdout
    return [line for line in listing.splitlines() if text in line and not line.startswith("Z")]


def gone(pid):
    """Whether a process has ended; one that waits to be noticed has."""
    return not processes_of_pid(pid)


def processes_of_pid(pid):
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout.strip()
    return bool(found) and not found.startswith("Z")
