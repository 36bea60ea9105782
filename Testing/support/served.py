"""Processes that serve, for tests: one of this computer, and one that knows nothing of the caller's folders."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from Agg2ExpLib.monitor import Monitor
from Agg2ExpLib.serving.channel import Channel
from Agg2ExpLib.serving.ssh import refusal


def python() -> str:
    """The interpreter whose processes start quickly (fixture ``warm_python``), where tests have it."""
    return shutil.which("PythonSlicer") or sys.executable


SERVER = [sys.executable, "-m", "Agg2ExpLib", "serve", "--stdio"]
SETTINGS = {"device": "cpu", "precision": "float32"}


class Client:
    """Somebody who starts ``agg2exp serve`` and talks to it."""

    def __init__(self, *words: str):
        command = [python(), "-m", "Agg2ExpLib", "serve", *words]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def send(self, line: str | dict[str, Any]) -> None:
        text = line if isinstance(line, str) else json.dumps(line)
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def event(self, timeout: float = 120) -> dict[str, Any] | None:
        line = self._lines.get(timeout=timeout)
        return None if line is None else json.loads(line)

    def until(self, *kinds: str) -> dict[str, Any]:
        """The next event of one of these kinds, or of a failure."""
        while (event := self.event()) is not None:
            if event["event"] in (*kinds, "error"):
                return event
        raise AssertionError(f"the process ended without {kinds}")

    def ask(self, **request: object) -> dict[str, Any]:
        self.send(request)
        return self.until("done", "cancelled")


class Watched(Monitor):
    """Keeps what it is told; stops when a function says so."""

    wants_partial = True

    def __init__(self, stop_at: Callable[[str, float], bool] = lambda stage, fraction: False):
        super().__init__()
        self.stages: list[tuple[str, float]] = []
        self.partials: list[tuple[str, Path, int, dict[str, object]]] = []
        self._stop_at = stop_at

    def progress(self, stage: str, fraction: float, message: str = "", eta_s: float | None = None) -> None:
        self.stages.append((stage, fraction))
        if self._stop_at(stage, fraction):
            self.stop()

    def partial(self, kind: str, path: Path, **details: object) -> None:
        self.partials.append((kind, path, path.stat().st_size, details))


def channel(environment: dict[str, str] | None = None, command: list[str] | None = None) -> Channel:
    """A server with an environment of its own."""
    words = ["/usr/bin/env", *(f"{key}={value}" for key, value in (environment or {}).items()), *(command or SERVER)]
    return Channel(words, lambda status, said: refusal("there", status, said), "there")


def kept(folder: Path) -> set[str]:
    """What lies on the other computer now."""
    return {path.relative_to(private).parts[0] for private in folder.iterdir() for path in private.iterdir()} - {"in-use.lock"}


def run_request(ct: object, weights: object, output: object, **more: object) -> dict[str, Any]:
    """A request for a run."""
    return {"do": "run", "job": {"ct": str(ct), "weights": str(weights), "output": str(output), **SETTINGS, **more}}
