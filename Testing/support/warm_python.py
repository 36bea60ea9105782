"""A Python in which the heavy packages are loaded already, for tests of processes: they start in a tenth of a second, not in four.

What starts is a process of its own, forked from one that has done nothing but import; signals, streams, exit status, folder and
environment are as with the real interpreter. Tests of what is imported, of memory and other limits, of child processes and of
closed streams need the real one.
"""

from __future__ import annotations

import faulthandler
import importlib
import io
import json
import os
import runpy
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGES = ("torch", "monai.networks.nets", "monai.inferers", "SimpleITK", "nibabel", "scipy.ndimage", "pandas", "psutil")

# In place of the interpreter: hands its words and streams over, passes signals on, and ends as the process there ends.
_CLIENT = """#!{python} -SE
import json, os, signal, socket, struct, sys
known = sys.argv[1:3] == ["-m", "Agg2ExpLib"] or sys.argv[1:2] and sys.argv[1].endswith(".py")
if not known or set(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))) - set({paths!r}):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
line = socket.socket(socket.AF_UNIX)
line.connect({place!r})
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: line.send(bytes([number])))
words = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(line, [struct.pack("I", len(words))], [0, 1, 2])
line.sendall(words)
for stream in (0, 1, 2):
    os.close(stream)
(status,) = struct.unpack("i", line.recv(4))
if status < 0:
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
os._exit(status)
"""


@contextmanager
def warm_python() -> Iterator[str]:
    """The path of an executable ``PythonSlicer`` that runs ``-m Agg2ExpLib …`` and ``SCRIPT.py …`` as the interpreter does.

    Whatever else it is asked for, and whatever finds packages elsewhere, the interpreter does itself; on other systems everything.
    """
    if not _possible():
        yield sys.executable
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        place, client = str(Path(folder) / "line"), Path(folder) / "PythonSlicer"
        paths = [str(Path(path).resolve()) for path in sys.path if path]
        client.write_text(_CLIENT.format(python=sys.executable, place=place, paths=paths))
        client.chmod(0o755)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
        command = [sys.executable, __file__, place]
        with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"
            yield str(client)
            server.kill()


def _possible() -> bool:
    """Whether processes can be forked and watched, and paths fit into a socket's address and the first line of a script."""
    fits = len(tempfile.gettempdir().encode()) < 80 and len(sys.executable.encode()) < 100 and " " not in sys.executable
    return hasattr(os, "pidfd_open") and fits


def _serve(place: str) -> Callable[[], object]:
    """Answer clients until the tests end; returns in the forked processes, with what each has to do."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the keepers
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen(16)
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if listener not in ready:  # the tests are gone, perhaps killed
            shutil.rmtree(Path(place).parent, ignore_errors=True)
            raise SystemExit
        line, _ = listener.accept()
        for name in PACKAGES:  # when the first asks; many runs of the tests never do
            importlib.import_module(name)
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return _keep(line)
        line.close()


def _keep(line: socket.socket) -> Callable[[], object]:
    """Fork the process that was asked for and return in it what it does; keep an eye on it otherwise."""
    head, streams, _, _ = socket.recv_fds(line, 4, 3)
    size, text = (struct.unpack("I", head)[0] if head else 1), b""
    while len(text) < size:
        part = line.recv(size - len(text)) if head else b""
        if not part:  # the client was killed before it had said what it wants
            os._exit(0)
        text += part
    words, folder, environment = json.loads(text)
    process = os.fork()
    if process == 0:
        line.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        return _prepared(words, folder, environment)
    for stream in (*streams, 0, 1, 2):
        os.close(stream)
    watched = os.pidfd_open(process)
    while True:
        if watched in select.select([watched, line.fileno()], [], [])[0]:
            break
        wanted = line.recv(1)
        # Where the client was killed, so is what it stands for.
        os.kill(process, wanted[0] if wanted else signal.SIGKILL)
        if not wanted:
            os._exit(0)
    line.send(struct.pack("i", os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])))
    os._exit(0)


def _prepared(words: list[str], folder: str, environment: dict[str, str]) -> Callable[[], object]:
    """Look like an interpreter that has just been started with these words."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    at_once = bool(environment.get("PYTHONUNBUFFERED"))
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    written = open(1, "wb", 0 if at_once else -1, closefd=False)  # noqa: SIM115
    sys.stdout = io.TextIOWrapper(written, encoding="utf-8", write_through=at_once)
    said = open(2, "wb", 0, closefd=False)  # noqa: SIM115
    sys.stderr = io.TextIOWrapper(said, encoding="utf-8", errors="backslashreplace", line_buffering=True, write_through=True)
    if environment.get("PYTHONFAULTHANDLER"):
        faulthandler.enable()
    module = words[0] == "-m"
    name, *more = words[1:] if module else words
    sys.argv = [name, *more]
    sys.path[:1] = [] if environment.get("PYTHONSAFEPATH") else [folder if module else str(Path(name).resolve().parent)]
    if module:
        return lambda: runpy.run_module(name, run_name="__main__", alter_sys=True)
    return lambda: runpy.run_path(name, run_name="__main__")


if __name__ == "__main__":
    _serve(sys.argv[1])()
