"""Work on another computer: the same results, nothing left there, and one sentence for whatever goes wrong.

The other computer is a process of this one that knows nothing of the caller's folders but what comes through the channel.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from Agg2ExpLib.api.result import Result
from Agg2ExpLib.commands.cli import main
from Agg2ExpLib.errors import Cancelled, InputError, ToldError
from Agg2ExpLib.interventions.read import read_what_if
from Agg2ExpLib.monitor import Monitor
from Agg2ExpLib.runs.job import Job
from Agg2ExpLib.runs.results import Results
from Agg2ExpLib.serving.channel import Channel
from Agg2ExpLib.serving.frames import LONGEST_LINE
from Agg2ExpLib.serving.remote import Remote
from support.paths import ROOT
from support.served import SERVER, SETTINGS, Watched, channel, kept, run_request

pytestmark = pytest.mark.xdist_group("remote")  # one server for all


@pytest.fixture(scope="module")
def result(there, small_ct, small_weights, tmp_path_factory) -> tuple[Path, Watched]:
    """A run there, with partial results."""
    monitor = Watched()
    output = tmp_path_factory.mktemp("here") / "result"
    answer = there[0].answer(run_request(small_ct, small_weights, output, samples=12, labels=["heart", "lung"]), monitor)
    assert answer == {"result": str(output)}
    return output, monitor


def test_a_run_there_is_a_run_here(there, result, small_ct, small_weights, tmp_path):
    output, monitor = result
    words = ["--ct", str(small_ct), "--weights", str(small_weights), "--samples", "12", "--labels", "heart,lung"]
    assert main(["explain", *words, "--device", "cpu", "--precision", "float32", "--output", str(tmp_path / "r")]) == 0
    here = tmp_path / "r"
    files = {path.relative_to(here) for path in here.rglob("*") if path.is_file()}
    assert files == {path.relative_to(output) for path in output.rglob("*") if path.is_file()}
    ours, other = Results.open(output), Results.open(here)
    np.testing.assert_allclose(ours.importance().mass, other.importance().mass, atol=1e-5)
    np.testing.assert_array_equal(ours.segmentation().array, other.segmentation().array)
    assert ours.run["ct"] == other.run["ct"]
    assert ours.run["weights"]["sha256"] == other.run["weights"]["sha256"]
    assert [path.name for path in output.parent.iterdir()] == ["result"], "nothing half-written stays beside"
    # told as a run here tells, and in order
    assert monitor.stages[0][0] == "send"
    assert {stage for stage, _fraction in monitor.stages} >= {"send", "explain", "fetch"}
    fractions = [fraction for _stage, fraction in monitor.stages]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    kind, path, size, details = monitor.partials[0]
    assert (kind, path.parent.name, details["of"]) == ("attribution", "attributions", 12)
    assert size == (output / "attributions" / path.name).stat().st_size
    # what is needed again stays until the end, the results do not
    assert kept(there[1]) == {"ct", "model"}
    (private,) = there[1].iterdir()
    assert private.stat().st_mode & 0o077 == 0, "nobody else may look into it"


def test_a_question_there_with_what_is_there_and_what_is_new(there, result, small_ct, small_weights, small_lesion, monkeypatch):
    output, _monitor = result
    sent: list[str] = []
    put = Channel.put
    monkeypatch.setattr(Channel, "put", lambda self, into, *more: (sent.append(into), put(self, into, *more))[1])
    question = {"result": str(output), "ct": str(small_ct), "weights": str(small_weights), "action": "remove", **SETTINGS}
    answer = there[0].answer({"do": "what_if", "regions": ["heart"], "fill": "air", **question}, Watched())
    assert sent == ["asked"], "CT and model are there already"
    folder = output / "what_if" / "remove_heart_air"
    assert answer["answer"] == str(folder)
    assert {"what_if.json", "ct.nii.gz", "segmentation.nii.gz"} <= {path.name for path in folder.iterdir()}
    first = there[0].answer({"do": "what_if", "regions": ["heart"], "fill": "air", **question}, Watched())
    assert sent == ["asked"]
    assert first["labels"] == answer["labels"]
    spec = f"{small_lesion}:tumour,node"
    drawn = there[0].answer({"do": "what_if", "regions": ["tumour"], "extra_rois": [spec], **question}, Watched())
    assert drawn["title"].startswith("without tumour")
    every = there[0].answer(
        {"do": "causal", "result": str(output), "weights": str(small_weights), "fill": "air", **SETTINGS}, Watched()
    )
    assert (Path(every["answer"]) / "causal_matrix.csv").is_file()
    there[0].answer({"do": "forget"}, Watched())
    assert kept(there[1]) == {"model"}, "nothing of the patient"


def test_the_command_line_asks_there_as_it_asks_here(there, result, small_weights, small_lesion, monkeypatch, capsys):
    """Through the channel that is open, in ssh's place."""
    output, _monitor = result
    monkeypatch.setattr(
        "Agg2ExpLib.serving.remote.asked_by_ssh", lambda host, command, request, monitor: there[0].answer(request, monitor)
    )
    words = ["whatif", str(output), "--weights", str(small_weights), "--device", "cpu", "--precision", "float32", "--no-picture"]
    spot = ["--extra-rois", f"{small_lesion}:tumour,node", "--remove", "tumour,heart"]
    for change in ([*spot, "--name"], ["--shift", "heart", "--amount", "-90", "--name"], ["--all", "--fill", "air"]):
        told = []
        for host in ([], ["--host", "there"]):
            named = ["there" if host else "here"] if change[-1] == "--name" else []
            assert main([*words, *change, *named, *host]) == 0
            told.append(capsys.readouterr().out.splitlines())
        assert told[0][:-1] == told[1][:-1]
        if named:
            here, other = (read_what_if(output / "what_if" / name, Result.open(output)) for name in ("here", "there"))
            np.testing.assert_array_equal(here.hu, other.hu)
            np.testing.assert_array_equal(here.after.labels, other.after.labels)
            assert here.edit == other.edit
            assert 0 < other.where.sum() < other.where.size
    there[0].answer({"do": "forget"}, Watched())


def test_a_question_that_cannot_be_asked_sends_nothing_and_leaves_nothing(
    there, result, small_weights, small_lesion, tmp_path, monkeypatch
):
    output, _monitor = result
    (tmp_path / "private.pt").write_bytes(b"of somebody else")
    monkeypatch.chdir(tmp_path)
    question = {"do": "what_if", "result": str(output), "action": "remove", "regions": ["heart"], **SETTINGS}
    for request in ({**question, "weights": ""}, {"do": "load", "weights": ""}):
        with pytest.raises(InputError, match="lacks 'weights'"):
            there[0].answer(request, Watched())
    wanted = Watched(lambda stage, _fraction: stage == "what if")
    with pytest.raises(InputError, match=r"name '../out' cannot name a folder"):
        there[0].answer({**question, "weights": str(small_weights), "name": "../out"}, wanted)
    assert not wanted.stopped, "refused before it is computed"
    spot = {"weights": str(small_weights), "extra_rois": [f"{small_lesion}:tumour,node"]}
    (output / "what_if").mkdir(exist_ok=True)
    (output / "what_if" / "taken").write_text("something else")
    for more, words in (({"regions": ["hart"]}, "no region 'hart'"), ({"name": "taken"}, "taken")):
        with pytest.raises(InputError, match=words):
            there[0].answer({**question, **spot, **more}, Watched())
        (private,) = there[1].iterdir()
        assert not (private / "job").exists()
        assert not (private / "asked" / "what_if").exists(), "a changed CT is of the patient, too"
    (output / "what_if" / "taken").unlink()
    there[0].answer({"do": "forget"}, Watched())


def test_every_file_of_a_job_goes_there(there, small_ct, small_weights, small_lesion, tmp_path):
    """Regions, references, a target and a card, with names that no shell and no other system likes."""
    odd = tmp_path / "Mül ler; $(touch x)"
    odd.mkdir()
    ct = shutil.copy(small_ct, odd / "a 'b' ö?.nii.gz")
    lesion = shutil.copy(small_lesion, odd / "lesion>1.nrrd")
    card = shutil.copy(small_weights.with_suffix(".json"), odd / "card.json")
    more = {"method": "expected_gradients", "references": [str(lesion)], "samples": 2, "labels": ["heart"], "card": str(card)}
    request = run_request(ct, small_weights, tmp_path / "r", extra_rois=[f"{lesion}>=1:spot"], target_mask=str(lesion), **more)
    there[0].answer(request, Watched())
    found = Results.open(tmp_path / "r")
    assert found.run["extra_rois"] == ["spot"]
    assert found.target_mask() is not None
    assert kept(there[1]) == {"ct", "model", "modelcard"}
    Job.from_json(request["job"])


@pytest.mark.parametrize("stage", ["send", "explain"])
def test_a_stop(there, small_ct, small_weights, tmp_path, stage):
    ct = tmp_path / f"{stage}.nii"
    ct.write_bytes(b"\0" * 3_000_000 if stage == "send" else small_ct.read_bytes())
    ct = ct if stage == "send" else Path(shutil.copy(small_ct, tmp_path / "chest.nii.gz"))
    began: list[float] = []

    def now(at: str, fraction: float) -> bool:
        if at == stage and fraction > (0.01 if stage == "send" else 0.1) and not began:
            began.append(time.monotonic())
        return bool(began)

    with pytest.raises(Cancelled):
        there[0].answer(run_request(ct, small_weights, tmp_path / "r", samples=100_000, labels=["heart"]), Watched(now))
    assert time.monotonic() - began[0] < 3
    assert not [path for path in tmp_path.iterdir() if path.name.lstrip(".").startswith("r")]
    assert "labels" in there[0].answer({"do": "load", "weights": str(small_weights)}, Watched())


def test_what_the_other_computer_refuses_is_told(there, small_ct, small_weights, tmp_path):
    remote = there[0]
    for request, words in (
        (run_request(small_ct, small_weights, tmp_path / "r", labels=["hart"]), "did you mean 'heart'"),
        (run_request(small_ct, tmp_path / "none.pt", tmp_path / "r"), "host:"),
        (run_request(small_ct, "host:/nowhere/w.pt", tmp_path / "r"), "does not exist"),
        (run_request(tmp_path / "none.nii", small_weights, tmp_path / "r"), "does not exist"),
        ({"do": "dance"}, "Unknown request"),
    ):
        with pytest.raises(InputError, match=words):
            remote.answer(request, Watched())
    assert not list(tmp_path.iterdir())
    assert remote.answer(run_request(small_ct, f"host:{small_weights}", tmp_path / "s", task="segment"), Watched())
    models = remote.answer({"do": "models"}, Watched())["models"]
    assert "demo" in [model["name"] for model in models]


def test_the_line_breaks_and_the_next_request_has_another(there, small_ct, small_weights, tmp_path):
    remote, folder = there

    def breaks(stage: str, fraction: float) -> bool:
        if stage == "explain" and fraction > 0.1 and remote.side.channel.alive:
            os.kill(remote.side.channel._process.pid, signal.SIGKILL)
        return False

    with pytest.raises(ToldError, match="on there was ended by the system") as told:
        remote.answer(run_request(small_ct, small_weights, tmp_path / "r", samples=100_000, labels=["heart"]), Watched(breaks))
    assert told.value.hint
    assert not list(tmp_path.iterdir())
    before = list(folder.iterdir())
    assert before, "a killed server cannot clear away"
    remote.answer({"do": "models"}, Watched())
    assert not any(path.exists() for path in before), "but the next one does"


def test_a_server_whose_client_is_gone_leaves_nothing(small_ct, tmp_path):
    line = channel({"TMPDIR": str(tmp_path)})
    line.begin(Monitor())
    line.put("ct", [("a/chest.nii.gz", small_ct)], Monitor(), lambda share: None)
    assert kept(tmp_path) == {"ct"}
    line._stdin.close()  # as the end of ssh does
    assert line._process.wait(10) == 0
    assert not list(tmp_path.iterdir())


def test_a_full_disk_there(small_ct, small_weights, tmp_path):
    """Nothing may be written beyond a limit, as on a disk that is full."""
    limited = ["/bin/sh", "-c", f"ulimit -f 8; exec {sys.executable} -m Agg2ExpLib serve --stdio"]
    remote = Remote("there", lambda: channel({"TMPDIR": str(tmp_path)}, limited))
    big = tmp_path / "big.nii"
    big.write_bytes(b"\0" * 2_000_000)
    with pytest.raises(InputError, match=r"disk there cannot take .*File too large"):
        remote.answer(run_request(big, small_weights, tmp_path / "r"), Watched())
    remote.close()
    assert [path.name for path in tmp_path.iterdir()] == ["big.nii"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; sys.exit('sh: agg2exp: command not found')", "no agg2exp on there"),
        (
            "import sys; print('ssh: connect to host x port 22: Connection refused', file=sys.stderr); sys.exit(255)",
            "does not answer",
        ),
        ('print(\'{"event": "ready", "version": "0.1"}\', flush=True); input()', "Agg2Exp 0.1, which cannot be asked"),
        ("import sys; sys.exit(\"ModuleNotFoundError: No module named 'torch'\")", "package is missing on there"),
        ("print('x' * 300); print('\\n' * 300)", "agg2exp does not start on there"),
        ('print(\'{"event": "ready", "protocol": 1}\\n{"event": "chunk", "bytes": 99999999999}\', flush=True); input()', "lost"),
    ],
)
def test_a_computer_that_cannot_serve(code, words):
    remote = Remote("there", lambda: channel(command=[sys.executable, "-c", code]))
    with pytest.raises((InputError, ToldError), match=words):
        remote.answer({"do": "prepare"}, Watched())
    remote.close()


def test_a_login_shell_that_talks_does_not_disturb():
    talks = ["/bin/sh", "-c", f"echo Welcome; echo '{{}}'; echo 5; exec {sys.executable} -m Agg2ExpLib serve --stdio"]
    remote = Remote("there", lambda: channel(command=talks))
    assert remote.answer({"do": "models"}, Watched())["models"]
    remote.close()


def test_a_server_takes_no_bad_files(tmp_path):
    line = channel({"TMPDIR": str(tmp_path)})
    line.begin(Monitor())
    for files in ([{"name": "../x", "bytes": 1}], [{"name": "x", "bytes": -1}], [{"name": "x", "bytes": 2**50}], "x", [], [5]):
        line._write({"do": "put", "into": "ct", "files": files})
        with pytest.raises(InputError):
            line._answer(Monitor(), last="send")
    for request in (
        {"do": "put", "into": "../x", "files": [{"name": "x", "bytes": 1}]},
        {"do": "fetch", "folder": ".."},
        {"do": "drop"},
    ):
        line._write(request)
        with pytest.raises(InputError):
            line._answer(Monitor())
    # a line without an end neither fills the memory nor disturbs what follows
    line._send(b"x" * (LONGEST_LINE + 5) + b"\n")
    assert line.ask({"do": "open"}, Monitor())["folder"].startswith(str(tmp_path))
    line.end()


def test_a_relay_speaks_as_a_server_here(small_ct, small_weights, tmp_path, warm_python):
    """``agg2exp serve --host`` is asked as ``agg2exp serve`` is, with the paths of this computer; a shell stands in for ssh."""
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nfor last; do :; done\nexec /bin/sh -c "$last"\n')
    ssh.chmod(0o755)
    command = f"cd {ROOT} && TMPDIR={tmp_path} exec {warm_python} -m Agg2ExpLib serve --stdio"
    started = [*SERVER, "--host", "there", "--host-command", command]
    environment = {**os.environ, "AGG2EXP_SSH": str(ssh)}
    relay = subprocess.Popen(started, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    request = {**run_request(small_ct, small_weights, tmp_path / "r", samples=100_000, labels=["heart"]), "id": "a"}
    relay.stdin.write(json.dumps(request) + "\n")
    relay.stdin.flush()

    def until(*kinds: str) -> dict:
        for line in relay.stdout:
            event = json.loads(line)
            if event["event"] in kinds:
                return event
        raise AssertionError("ended")

    event = until("partial", "error")
    assert Path(event["path"]).is_file(), event
    began = time.monotonic()
    relay.stdin.write("stop\n")
    relay.stdin.flush()
    event = until("cancelled", "error", "done")
    assert event["event"] == "cancelled"
    assert time.monotonic() - began < 3
    assert not list(tmp_path.glob("*r*partial*"))
    relay.stdin.close()
    if not event.get("ended"):
        assert until("ended")["reason"] == "asked"
    relay.wait(10)
    deadline = time.monotonic() + 5
    while list(tmp_path.glob("agg2exp-served-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not list(tmp_path.glob("agg2exp-served-*"))
