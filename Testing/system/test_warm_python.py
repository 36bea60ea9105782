"""The tests' own quick Python: what starts in it is as from the interpreter, and a killed session leaves nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from support.paths import ROOT
from support.warm_python import warm_python as another

SCRIPT = """
import os, signal, sys
print(sys.argv[1:], os.getcwd(), os.environ["AGG2EXP_TOLD"], sys.stdin.read(), flush=True)
sys.stderr.write("said")
os.kill(os.getpid(), signal.SIGTERM) if sys.argv[1] == "killed" else sys.exit(int(sys.argv[1]))
"""
HOLDER = "from support.warm_python import warm_python\nwith warm_python() as python: print(python, flush=True); input()"

only_forked = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="everything goes to the interpreter here")


@pytest.mark.parametrize(("word", "status"), [("3", 3), ("killed", -signal.SIGTERM)])
def test_words_streams_folder_environment_and_end_are_those_of_the_interpreter(warm_python, tmp_path, word, status):
    (tmp_path / "script.py").write_text(SCRIPT)
    told = []
    for python in (warm_python, sys.executable):
        done = subprocess.run(
            [python, str(tmp_path / "script.py"), word, "ä b"],
            **{"cwd": tmp_path, "env": {**os.environ, "AGG2EXP_TOLD": "1"}, "input": "heard", "capture_output": True, "text": True},
            timeout=60,
        )
        told.append((done.returncode, done.stdout, done.stderr))
    assert told[0] == told[1]
    assert told[0] == (status, f"{[word, 'ä b']} {tmp_path} 1 heard\n", "said")


@only_forked
def test_a_killed_session_leaves_no_folder(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT / "Testing")}
    with subprocess.Popen([sys.executable, "-c", HOLDER], env=environment, stdin=-1, stdout=-1, text=True) as session:
        folder = Path(session.stdout.readline().strip()).parent
        assert folder.parent == tmp_path
        session.kill()
    deadline = time.monotonic() + 30
    while folder.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@only_forked
def test_a_client_that_says_nothing_keeps_nobody_busy(warm_python):
    """Its keeper ends, which closes the line."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(Path(warm_python).with_name("line")))
        socket.send_fds(line, [(100).to_bytes(4, sys.byteorder)], [0, 1, 2])
        line.shutdown(socket.SHUT_WR)
        line.settimeout(60)
        assert line.recv(1) == b""


def test_a_temporary_folder_too_deep_for_a_socket(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("x" * 100)))
    with another() as python:
        assert python == sys.executable
