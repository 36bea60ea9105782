"""Counterfactuals done by a process that stays alive, here and on another computer: the same folder, and nothing half-written."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from Agg2ExpLib.commands.cli import main
from Agg2ExpLib.counterfactuals.do import do_counterfactual
from Agg2ExpLib.counterfactuals.job import CounterfactualJob
from Agg2ExpLib.counterfactuals.read import read_counterfactual
from Agg2ExpLib.errors import Cancelled, InputError, ToldError
from Agg2ExpLib.monitor import Monitor
from Agg2ExpLib.runs.kept import Kept
from Agg2ExpLib.serving.channel import Channel
from Agg2ExpLib.serving.remote import Remote
from support.autoencoders import write_exact_autoencoder
from support.served import SETTINGS, Watched, kept

pytestmark = [pytest.mark.xdist_group("remote"), pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def entries(small_ct: Path, small_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A job without its output."""
    autoencoder = write_exact_autoencoder(tmp_path_factory.mktemp("autoencoder"))
    files = {"ct": str(small_ct), "weights": str(small_weights), "autoencoder": str(autoencoder)}
    return {**files, "target": "heart", "direction": "less", "frames": 1, "end": 5.0, **SETTINGS}


def do(entries: dict[str, Any], output: Path, monitor: Monitor | None = None, files: Kept | None = None) -> Path:
    return do_counterfactual(CounterfactualJob.from_json({**entries, "output": str(output)}), monitor or Monitor(), files)


def ask(remote: Remote, entries: dict[str, Any], output: Path, monitor: Monitor | None = None) -> dict[str, object]:
    return remote.answer({"do": "counterfactual", "job": {**entries, "output": str(output)}}, monitor or Watched())


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_one_there_is_one_here_and_what_was_sent_is_not_sent_again(
    there: tuple[Remote, Path], entries: dict[str, Any], small_lesion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote, folder = there
    odd = tmp_path / "Mül ler; $(touch x)"
    odd.mkdir()
    ct = shutil.copy(entries["ct"], odd / "a 'b' ö.nii.gz")
    job = {**entries, "ct": str(ct), "extra_rois": [f"{small_lesion}:left,right"]}
    sent: list[str] = []
    put = Channel.put
    monkeypatch.setattr(Channel, "put", lambda self, into, *more: (sent.append(into), put(self, into, *more))[1])
    monitor = Watched()
    assert ask(remote, job, tmp_path / "there", monitor) == {"result": str(tmp_path / "there")}
    assert [part for part in sent if part != "model"] == ["ct", "autoencoder", "job"]  # the model may be there from other tests
    assert not kept(folder) & {"out", "job"}, "what is needed again stays until the end, the results do not"
    here = do(job, tmp_path / "here")
    assert names(here) == names(tmp_path / "there")
    ours, theirs = read_counterfactual(here), read_counterfactual(tmp_path / "there")
    np.testing.assert_allclose(ours.to_frame(), theirs.to_frame(), rtol=1e-4)
    np.testing.assert_allclose(ours.differences["less"], theirs.differences["less"], atol=0.05)
    assert ours.matrix.extra == theirs.matrix.extra == ("left", "right")
    assert ours.run["ct"] == theirs.run["ct"]
    assert ours.run["autoencoder"] == theirs.run["autoencoder"]
    stages = [stage for stage, _fraction in monitor.stages]
    assert [*dict.fromkeys(stages)][:: len({*stages}) - 1] == ["send", "fetch"]
    fractions = [fraction for _stage, fraction in monitor.stages]
    assert fractions == sorted(fractions)

    sent.clear()
    first: list[float] = []
    began = time.monotonic()
    ask(remote, {**job, "extra_rois": []}, tmp_path / "again", Watched(lambda *_: bool(first.append(time.monotonic() - began))))
    assert not sent
    assert first[0] < 1, "the process, its libraries and models are there already"
    remote.answer({"do": "forget"}, Watched())
    assert kept(folder) & {"ct", "model", "autoencoder"} == {"model", "autoencoder"}, "nothing of the patient"


def test_a_stop_a_refusal_and_a_line_that_breaks_leave_nothing(
    there: tuple[Remote, Path], entries: dict[str, Any], tmp_path: Path
) -> None:
    remote, _folder = there
    with pytest.raises(InputError, match="did you mean 'heart'"):
        ask(remote, {**entries, "target": "hart"}, tmp_path / "r")
    with pytest.raises(InputError, match="unknown entry 'tagret': did you mean 'target'"):
        ask(remote, {**entries, "tagret": "heart"}, tmp_path / "r")
    began: list[float] = []

    def at_frames(stage: str, _fraction: float) -> bool:
        if stage == "frames" and not began:
            began.append(time.monotonic())
        return bool(began)

    with pytest.raises(Cancelled):
        ask(remote, {**entries, "frames": 100}, tmp_path / "r", Watched(at_frames))
    assert time.monotonic() - began[0] < 3

    def breaks(stage: str, _fraction: float) -> bool:
        if stage == "frames" and remote.side is not None and remote.side.channel.alive:
            os.kill(remote.side.channel._process.pid, signal.SIGKILL)
        return False

    with pytest.raises(ToldError, match="on there was ended by the system"):
        ask(remote, {**entries, "frames": 100}, tmp_path / "r", Watched(breaks))
    assert not list(tmp_path.iterdir())
    assert remote.answer({"do": "models"}, Watched())["models"], "the next one clears away what the killed one has left"


def test_the_command_line_asks_there(
    entries: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(Remote, "answer", lambda self, request, monitor: asked.append(request) or do_it(request))

    def do_it(request: dict[str, Any]) -> dict[str, object]:
        return {"result": str(do_counterfactual(CounterfactualJob.from_json(request["job"]), Monitor()))}

    words = ["--ct", entries["ct"], "--weights", entries["weights"], "--autoencoder", entries["autoencoder"], "--label", "heart"]
    words += ["--direction", "less", "--frames", "1", "--lambda", "5", "--slices", "2:30", "--device", "cpu", "--host", "box"]
    assert main(["counterfactual", *words, "--output", str(tmp_path / "r")]) == 0
    job = asked[0]["job"]
    assert asked[0]["do"] == "counterfactual"
    assert (job["kind"], job["slices"], job["end"], job["picture"]) == ("label", [2, 30], 5.0, True)
    assert json.dumps(job), "goes through a line"
    assert capsys.readouterr().out.startswith("Heart: output")
    assert CounterfactualJob.from_json(job).to_json() == job


def test_models_are_read_once_and_a_changed_file_again(entries: dict[str, Any], tmp_path: Path) -> None:
    autoencoder = write_exact_autoencoder(tmp_path)
    job, files = {**entries, "autoencoder": str(autoencoder)}, Kept()
    wrong = {**job, "target": "hart"}  # refused when the models are there, before anything is computed
    kept_models = []
    for _ in range(2):
        with pytest.raises(InputError):
            do(wrong, tmp_path / "r", files=files)
        kept_models.append((files.model(job["weights"], None, folds=None, mirror=False), files.autoencoder(str(autoencoder))))
    assert kept_models[0] == kept_models[1]
    os.utime(autoencoder, (1, 1))
    assert files.autoencoder(str(autoencoder)) is not kept_models[0][1]
    assert files.holds
    files.release()
    assert not files.holds


def test_a_disk_that_is_full_is_told_before_and_after(
    entries: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda path: free._replace(free=1000))
        stages = Watched()
        with pytest.raises(InputError, match=r"The results need .* but only 0\.0 MB are free"):
            do(entries, tmp_path / "r", stages)
    assert {stage for stage, _fraction in stages.stages} == {"read"}, "not after minutes of computing"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))  # nothing larger can be written, as on a full disk
    try:
        with pytest.raises(InputError, match=rf"^{tmp_path}/r/ct.nii.gz cannot be written \(File too large\)"):
            do(entries, tmp_path / "r")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_what_is_wrong_with_a_job_is_one_sentence(entries: dict[str, Any], small_lesion: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("x")
    for more, words in (
        ({"slices": [1]}, "'slices' must be a list of two whole numbers"),
        ({"frames": "5"}, "'frames' must be a whole number"),
        ({"patient_id": "=1+1"}, "begins as a formula"),
        ({"kind": "class"}, "small is a segmentation network: name what is to change with label"),
        ({"ct": ""}, "lacks the entry 'ct'"),
        ({"autoencoder": entries["weights"]}, "autoencoder needs an autoencoder"),
        ({"output": str(tmp_path / "mine")}, "exists already"),
        ({"output": str(tmp_path / "mine"), "overwrite": True}, "is not a results folder of Agg2Exp"),
        ({"extra_rois": [f"{small_lesion}:a?,a*"]}, "too alike for file names"),
    ):
        with pytest.raises(InputError, match=words.replace("(", r"\(")) as caught:
            do({**entries, **more}, Path(more.get("output", tmp_path / "r")))
        assert "\n" not in str(caught.value)
    assert names(tmp_path) == ["mine", "mine/letter.txt"]
