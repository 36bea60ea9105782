"""The way through ssh: what is no host, the command, and a real ssh server with what it refuses."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from Agg2ExpLib.commands.cli import main
from Agg2ExpLib.errors import InputError
from Agg2ExpLib.runs.results import Results
from Agg2ExpLib.serving.ssh import check_host, refusal, ssh_command
from support.paths import ROOT


@pytest.mark.parametrize("host", ["-oProxyCommand=x", "a b", "", "a;b", "user@", "a@b@c", "host:99999999", "x" * 400])
def test_what_is_no_host_is_refused(host):
    with pytest.raises(InputError, match="names no computer"):
        check_host(host)


def test_the_command_of_ssh(monkeypatch):
    monkeypatch.delenv("AGG2EXP_SSH", raising=False)
    command = ssh_command("me@box.example.org", "")
    assert command[0] == "ssh"
    assert command[-3:] == ["--", "me@box.example.org", "agg2exp serve --stdio"]
    assert "BatchMode=yes" in command
    assert ssh_command("me@box:2222")[-2] == "ssh://me@box:2222"
    with pytest.raises(InputError, match="one line"):
        ssh_command("box", "a\nb")
    assert "another host key" in refusal(
        "box", 255, ["@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @", "Host key verification failed."]
    )


SSHD = shutil.which("sshd") or ("/usr/sbin/sshd" if Path("/usr/sbin/sshd").exists() else None)


@pytest.fixture
def sshd(tmp_path, monkeypatch) -> Iterator[str]:
    """An ssh server of our own on this computer, with keys of its own; gives what reaches it."""
    if SSHD is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        pytest.skip("OpenSSH's server is not installed")
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / key)], check=True)
    shutil.copy(tmp_path / "user.pub", tmp_path / "authorized")
    (tmp_path / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/authorized\nPidFile none\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
    )
    kind, key = (tmp_path / "host.pub").read_text().split()[:2]
    (tmp_path / "known").write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
    (tmp_path / "config").write_text(
        f"Host there\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {tmp_path}/user\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {tmp_path}/known\n  GlobalKnownHostsFile none\n"
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(tmp_path / "sshd_config")], stderr=subprocess.PIPE, text=True)
    said: list[str] = []
    threading.Thread(target=lambda: said.extend(server.stderr), daemon=True).start()
    deadline = time.monotonic() + 10
    while not any("listening" in line for line in said) and time.monotonic() < deadline and server.poll() is None:
        time.sleep(0.02)
    if server.poll() is not None:
        pytest.skip(f"sshd does not start here: {' '.join(said)[-300:]}")
    monkeypatch.setenv("AGG2EXP_SSH", f"ssh -F {tmp_path}/config")
    yield "there"
    server.kill()
    server.wait()


def test_through_a_real_ssh_server_and_what_ssh_refuses(sshd, small_ct, small_weights, tmp_path, capsys):
    folder = tmp_path / "tmp"
    folder.mkdir()
    command = f"cd {ROOT} && TMPDIR={folder} OMP_NUM_THREADS=1 {sys.executable} -m Agg2ExpLib serve --stdio"
    words = ["--ct", str(small_ct), "--weights", str(small_weights), "--device", "cpu", "--host", sshd, "--host-command", command]
    assert main(["segment", *words, "--output", str(tmp_path / "r")]) == 0
    assert "heart" in capsys.readouterr().out.lower()
    assert Results.open(tmp_path / "r").run["task"] == "segment"
    assert not list(folder.iterdir())

    wrong = ["segment", *words[:-1], "agg2exp-of-nobody serve", "--output", str(tmp_path / "s")]
    assert main(wrong) == 2
    assert "There is no agg2exp on there" in capsys.readouterr().err
    (tmp_path / "known").write_text("")
    assert main(["segment", *words, "--output", str(tmp_path / "s")]) == 2
    assert "host key of there is not known" in capsys.readouterr().err
    config = (tmp_path / "config").read_text()
    (tmp_path / "config").write_text(config + "  StrictHostKeyChecking no\n")
    (tmp_path / "authorized").write_text("")
    assert main(["segment", *words, "--output", str(tmp_path / "s")]) == 2
    assert "without a password" in capsys.readouterr().err
    (tmp_path / "config").write_text(config.replace("Port", "Port 1 #"))
    assert main(["segment", *words, "--output", str(tmp_path / "s")]) == 2
    assert "there does not answer (connection refused)" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()
