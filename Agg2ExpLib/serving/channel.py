"""The client's end of a channel to a server: requests and files go in, events and files come out."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import Cancelled, InputError, OutOfMemoryError, ToldError
from ..monitor import Monitor
from .frames import CHUNK, LONGEST_LINE, PROTOCOL, chunks_of, new_file, parse_line, read_exactly, read_line, safe_parts, size_of

START_S = 60.0
# A server ends what it does 1.5 s after it was asked to stop; the line takes a moment.
STOP_S = 1.8
_MOST_BANNER = 200
_WAITING = 64


class Lost(Exception):
    """The other side is gone."""


class Channel:
    """A process that speaks for a server: ssh, or the server itself.

    Args:
        command: of the process.
        words: turns exit status and last lines of a server that does not answer into a sentence.
        name: of the other computer.

    Attributes:
        version: of Agg2Exp on the other side, once it has said so.
    """

    def __init__(self, command: Sequence[str], words: Callable[[int | None, Sequence[str]], str], name: str):
        self._words, self.name, self.version = words, name, ""
        self._said: deque[str] = deque(maxlen=20)
        self._events: queue.Queue[tuple[dict[str, Any], bytes] | None] = queue.Queue(maxsize=_WAITING)
        self._number = 0
        self._stopped_at: float | None = None
        self.open = True
        more: dict[str, Any] = {"creationflags": getattr(subprocess, "CREATE_NO_WINDOW", 0)} if os.name == "nt" else {}
        if os.name != "nt":  # Ctrl-C in a terminal is ours to pass on
            more["start_new_session"] = True
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(list(command), stdin=pipe, stdout=pipe, stderr=pipe, **more)
        except OSError as error:
            raise InputError(f"The program {command[0]} cannot be started ({error.strerror or error}): install OpenSSH.") from None
        assert self._process.stdin is not None
        self._stdin: BinaryIO = self._process.stdin  # type: ignore[assignment]
        threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()
        self._errors = threading.Thread(target=self._read_errors, args=(self._process.stderr,), daemon=True)
        self._errors.start()

    def begin(self, monitor: Monitor) -> None:
        """Wait until the server is ready.

        Raises:
            InputError: nobody answers, or one that speaks another language.
            Cancelled: the monitor asked to stop.
        """
        deadline = time.monotonic() + START_S
        while True:
            try:
                event, _data = self._next(monitor, deadline)
            except Lost:
                raise InputError(self._words(self.status(), list(self._said))) from None
            if event["event"] == "ready":
                break
        self.version = str(event.get("version", ""))[:40]
        if event.get("protocol") != PROTOCOL:
            self.close()
            raise InputError(
                f"{self.name} has Agg2Exp {self.version or 'of another version'}, which cannot be asked from here: install "
                "the same version there."
            )

    def ask(
        self,
        request: Mapping[str, Any],
        monitor: Monitor,
        heard: Callable[[Mapping[str, Any]], None] = lambda event: None,
        place: Callable[[str], Path] | None = None,
    ) -> dict[str, Any]:
        """Ask, and wait for the answer.

        Args:
            request: ``do`` and its entries.
            monitor: is asked whether to stop.
            heard: is given every event but the last; one named ``file`` once the whole file is there, with its ``path``.
            place: where a file that comes is to be written, by its checked relative name; None where none is expected.

        Returns:
            Entries of ``done``.

        Raises:
            InputError, OutOfMemoryError, ToldError: what the server could not do.
            Cancelled: the monitor asked to stop.
            Lost: the line is dead.
        """
        self._write(request)
        return self._answer(monitor, heard, place)

    def put(self, into: str, files: Sequence[tuple[str, Path]], monitor: Monitor, progress: Callable[[float], None]) -> str:
        """Send files as a folder, in place of an earlier one of that name.

        Args:
            into: name of the folder there.
            files: relative names and files.
            monitor: is asked whether to stop.
            progress: is given the share that has been sent.

        Returns:
            The folder's path there.

        Raises:
            InputError: they cannot be read, or the other computer cannot take them.
            Cancelled, Lost: as :meth:`ask`.
        """
        try:
            sizes = [path.stat().st_size for _name, path in files]
            listed = [{"name": name, "bytes": size} for (name, _path), size in zip(files, sizes, strict=True)]
            self._write({"do": "put", "into": into, "files": listed})
            self._answer(monitor, last="send")
            sent, total = 0, max(1, sum(sizes))
            for (_name, path), size in zip(files, sizes, strict=True):
                sent = self._send_file(path, size, monitor, sent, lambda done: progress(done / total))
        except OSError as error:
            self.close()
            raise InputError(f"{error.filename or 'A file'} cannot be read ({error.strerror or error}): check the path.") from None
        return str(self._answer(monitor)["folder"])

    @property
    def alive(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it, also in the middle of something; the server ends with its input."""
        self.open = False
        if self.alive:
            self._process.terminate()

    def end(self) -> None:
        """Let it end by itself."""
        if self.open:
            try:
                self._stdin.write(b'{"do": "end"}\n')
                self._stdin.close()
                self._process.wait(1.0)
            except (OSError, ValueError, subprocess.TimeoutExpired):
                pass
            self.close()

    def _send_file(self, path: Path, size: int, monitor: Monitor, sent: int, progress: Callable[[int], None]) -> int:
        left = size
        try:
            for data in chunks_of(path, monitor.check):
                data = data[:left]
                if not data:
                    break
                self._send(b'{"bytes": %d}\n' % len(data) + data)
                left, sent = left - len(data), sent + len(data)
                progress(sent)
            if left:
                raise InputError(f"{path.name} became shorter while it was sent: start again.")
        except (Cancelled, InputError):
            self._send(b'{"bytes": 0}\n')  # given up; what follows is a request again
            self._answer(Monitor(), last="cancelled")
            raise
        return sent

    def _write(self, request: Mapping[str, Any]) -> None:
        import json

        self._number += 1
        self._stopped_at = None
        self._send((json.dumps({**request, "id": self._number}) + "\n").encode("ascii"))

    def _send(self, data: bytes) -> None:
        try:
            self._stdin.write(data)
            self._stdin.flush()
        except (OSError, ValueError):
            self.open = False
            raise Lost from None

    def _answer(
        self,
        monitor: Monitor,
        heard: Callable[[Mapping[str, Any]], None] = lambda event: None,
        place: Callable[[str], Path] | None = None,
        last: str = "done",
    ) -> dict[str, Any]:
        while True:
            event, _data = self._next(monitor)
            if event.get("id") != self._number:
                continue
            kind = event["event"]
            if kind == last:
                return event
            if kind == "cancelled":
                self.open = self.open and not event.get("ended")
                raise Cancelled
            if kind == "error":
                self.open = self.open and not event.get("ended")
                raise _told(event)
            if kind == "file":
                if place is None:
                    raise self._broken("a file that nobody asked for")
                path = place("/".join(safe_parts(event.get("name"))))
                if not self._receive(path, size_of(event.get("bytes")), monitor):
                    continue
                event = {**event, "path": path}
            heard(event)

    def _receive(self, path: Path, size: int, monitor: Monitor) -> bool:
        """Write a file that comes in chunks, beside its place and renamed; whether it came whole."""
        beside = path.with_name(f".{path.name}.part")
        beside.unlink(missing_ok=True)
        try:
            with new_file(beside) as stream:
                while size:
                    event, data = self._next(monitor)
                    if event["event"] != "chunk" or len(data) > size:
                        raise self._broken("a file that is not as it was announced")
                    if not data:
                        return False
                    stream.write(data)
                    size -= len(data)
            beside.replace(path)
            return True
        finally:
            beside.unlink(missing_ok=True)

    def _next(self, monitor: Monitor, deadline: float = float("inf")) -> tuple[dict[str, Any], bytes]:
        """The next event. A stop is passed on; where nobody answers it the channel is closed."""
        while True:
            now = time.monotonic()
            if monitor.stopped and self._stopped_at is None:
                self._stopped_at = now
                self._send(b"stop\n")
            if monitor.stopped and self._stopped_at is not None and now > self._stopped_at + STOP_S:
                self.close()
                raise Cancelled
            if now > deadline:
                self.close()
                raise Lost
            try:
                found = self._events.get(timeout=0.05)
            except queue.Empty:
                continue
            if found is None:
                self.open = False
                raise Lost
            return found

    def _broken(self, what: str) -> InputError:
        self.close()
        return InputError(f"{self.name} has sent {what}: install the same version of Agg2Exp there.")

    def status(self) -> int | None:
        """Exit status of the process; None while it lives."""
        try:
            status = self._process.wait(1.0)
            self._errors.join(1.0)  # its last words
            return status
        except subprocess.TimeoutExpired:
            return None

    def _read(self, stream: BinaryIO) -> None:
        banner = 0
        try:
            while (line := read_line(stream, LONGEST_LINE)) is not None:
                event = parse_line(line)
                if not isinstance(event, dict) or not isinstance(event.get("event"), str):
                    banner += 1  # what a login shell prints
                    if banner > _MOST_BANNER:
                        break
                    if isinstance(line, bytes):
                        self._hear(line)
                    continue
                data = b""
                if event["event"] == "chunk":
                    size = event.get("bytes")
                    if not isinstance(size, int) or not 0 <= size <= CHUNK:
                        break
                    data = read_exactly(stream, size)
                    if len(data) < size:
                        break
                self._events.put((event, data))
        except (OSError, ValueError):
            pass
        self._events.put(None)

    def _read_errors(self, stream: BinaryIO) -> None:
        try:
            while (line := read_line(stream, 1 << 16)) is not None:
                if isinstance(line, bytes):
                    self._hear(line)
        except (OSError, ValueError):
            pass

    def _hear(self, line: bytes) -> None:
        text = "".join(char if char.isprintable() else " " for char in line.decode("utf-8", "replace")).strip()
        if text:
            self._said.append(text)
            print(text, file=sys.stderr, flush=True)


def _told(event: Mapping[str, Any]) -> Exception:
    """What an error event of the server says."""
    message = str(event.get("template") or event.get("message") or "")
    hint = str(event.get("hint_template") or event.get("hint") or "")
    code = str(event.get("code") or "internal")
    if code == "bad_input":
        return InputError(message)
    if code == "out_of_memory":
        return OutOfMemoryError(message, hint)
    return ToldError(code, message, hint)
