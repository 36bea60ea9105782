"""The command: verbs, exit statuses and events; as a real child process wherever streams, signals or imports matter."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

from Agg2ExpLib.commands.cli import _VERBS, main
from support.networks import ABSENT, NAMES


@pytest.fixture
def command(warm_python):
    """The command as a child process."""
    return [warm_python, "-m", "Agg2ExpLib"]


@pytest.fixture
def agg2exp(capsys):
    """The command in this process, which has torch loaded already."""

    def call(*arguments):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as end:  # argparse's own way
            status = end.code
        told = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, status, told.out, told.err)

    return call


@pytest.fixture
def inputs(small_ct, small_weights):
    return ["--ct", small_ct, "--weights", small_weights, "--device", "cpu"]


def test_explain_and_then_importance(agg2exp, inputs, small_lesion, tmp_path):
    done = agg2exp("explain", *inputs, "--labels", "heart,bone", "--samples", 6, "--output", tmp_path / "r")
    assert done.returncode == 0, done.stderr
    assert "heart  leans on" in done.stdout
    assert "±" in done.stdout
    assert str(tmp_path / "r") in done.stdout
    assert (tmp_path / "r" / "attributions" / "bone.nrrd").is_file()
    assert not (tmp_path / "r" / "attributions" / "lung.nrrd").exists()
    added = agg2exp("importance", tmp_path / "r", "--extra-rois", f"{small_lesion}>=2:lesion", "--output", tmp_path / "r2")
    assert added.returncode == 0, added.stderr
    assert "region lesion:" in added.stdout
    header, *lines = (tmp_path / "r2" / "roi_importance.csv").read_text().splitlines()
    assert header.startswith("patient,label,roi,mass,mean,enrichment,positive_mass,negative_mass,standard_error,roi_voxels")
    assert len(lines) == 2 * (len(NAMES) + 1)


def test_segment(agg2exp, inputs, tmp_path):
    done = agg2exp("segment", *inputs, "--output", tmp_path / "s")
    assert done.returncode == 0, done.stderr
    assert "mL" in done.stdout
    assert (tmp_path / "s" / "segmentation.nii.gz").is_file()
    assert not (tmp_path / "s" / "attributions").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--labels", "hart"], "did you mean 'heart'?"),
        (["--labels", ABSENT], "found none of the requested labels"),
        (["--ct", "nowhere.nii.gz"], "nowhere.nii.gz"),
        (["--weights", "nowhere.pt"], "nowhere.pt"),
        (["--device", "cuda:7"], "--device auto or cpu"),
        (["--output", "/proc/none/r"], "choose another --output"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(agg2exp, inputs, tmp_path, options, words, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = agg2exp("explain", *inputs, "--output", tmp_path / "r", *options)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())


def test_code_in_a_checkpoint_is_not_run(agg2exp, inputs, tmp_path):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    torch.save({"state_dict": Payload()}, tmp_path / "evil.pt")
    done = agg2exp("explain", *inputs, "--weights", tmp_path / "evil.pt", "--output", tmp_path / "r")
    assert done.returncode == 2
    assert {path.name for path in tmp_path.iterdir()} == {"evil.pt"}


def test_traceback_only_with_debug(agg2exp, inputs, tmp_path):
    done = agg2exp("explain", *inputs, "--labels", "hart", "--output", tmp_path / "r", "--debug")
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_a_reader_who_has_seen_enough_is_no_error(command, inputs, tmp_path):
    read, write = os.pipe()
    os.close(read)
    call = [*command, "segment", *map(str, inputs), "--output", str(tmp_path / "s")]
    done = subprocess.run(call, stdout=write, stderr=subprocess.PIPE, text=True, timeout=240)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "s" / "run.json").is_file()


def test_a_terminal_that_lacks_characters(inputs, tmp_path, monkeypatch):
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", screen)
    options = ["--labels", "heart", "--samples", 6, "--output", tmp_path / "r"]
    assert main(["explain", *map(str, inputs), *map(str, options)]) == 0
    screen.flush()
    assert b"heart  leans on" in screen.buffer.getvalue()
    assert b"\\xb1" in screen.buffer.getvalue(), "the sign ± in other characters"


def test_labels_left_empty_are_a_mistake(agg2exp, inputs, tmp_path):
    done = agg2exp("explain", *inputs, "--labels", " ,", "--output", tmp_path / "r")
    assert done.returncode == 2
    assert "names no label" in done.stderr


def test_signals_are_handed_back_after_a_run(small_ct, small_weights, tmp_path):
    from Agg2ExpLib.commands.terminal import run_in_terminal
    from Agg2ExpLib.runs.job import Job

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    run_in_terminal(Job.of(str(small_ct), str(small_weights), str(tmp_path / "s"), task="segment", device="cpu"))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_importance_of_something_else(agg2exp, tmp_path):
    done = agg2exp("importance", tmp_path, "--output", tmp_path / "r")
    assert done.returncode == 2
    assert "not a results folder" in done.stderr


@pytest.mark.parametrize("words", [("--tolerance", "0"), ("--tolerance", "-0.5"), ("--samples", "0")])
def test_the_demo_refuses_bad_numbers_before_it_makes_anything(agg2exp, words, tmp_path):
    done = agg2exp("demo", *words, "--output", tmp_path / "demo")
    assert done.returncode == 2
    assert words[0] in done.stderr
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize("verb", ["demo", "segment", "explain", "run", "importance", "evaluate", "render"])
def test_help_has_examples_and_loads_nothing_heavy(verb):
    code = f"import sys; from Agg2ExpLib.commands.cli import main\ntry: main(['{verb}', '--help'])\nexcept SystemExit: pass\n"
    code += "heavy = {'torch', 'monai', 'numpy', 'SimpleITK', 'vtk', 'matplotlib'} & set(sys.modules); assert not heavy, heavy"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "example" in done.stdout


@pytest.mark.parametrize("verb", _VERBS, ids=lambda verb: verb.__name__.rpartition(".")[2])
def test_help_is_plain_text(agg2exp, verb):
    done = agg2exp(verb.__name__.rpartition(".")[2], "--help")
    assert done.returncode == 0
    assert "``" not in done.stdout
    assert "agg2exp" in done.stdout


def write_job(tmp_path, small_ct, small_weights, **more):
    job = {"ct": str(small_ct), "weights": str(small_weights), "output": "r", "device": "cpu", "samples": 6, **more}
    (tmp_path / "job.json").write_text(json.dumps(job))
    return tmp_path / "job.json"


def test_run_reports_events_and_a_stop_after_the_end_changes_nothing(command, small_ct, small_weights, tmp_path):
    job = write_job(tmp_path, small_ct, small_weights, labels=["heart"])
    events = []
    with subprocess.Popen([*command, "run", str(job)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        guard = threading.Timer(120, process.kill)
        guard.start()
        for line in process.stdout:
            events.append(json.loads(line))
            if events[-1]["event"] == "done" and os.name != "nt":  # Windows has no SIGTERM
                process.terminate()
        process.wait()
        guard.cancel()
    assert process.returncode == 0
    kinds = [event["event"] for event in events]
    assert kinds.count("done") == 1
    assert kinds[-1] == "done"
    assert not {"error", "cancelled"} & set(kinds)
    assert events[-1]["result"] == str(tmp_path / "r")
    fractions = [event["fraction"] for event in events if event["event"] == "progress"]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] < fractions[-1] <= 1
    assert {"stage", "fraction", "eta_s", "message"} < set(events[0])
    partial = [event for event in events if event["event"] == "partial" and event["kind"] == "attribution"]
    assert [(event["label"], event["samples"], event["of"]) for event in partial] == [("heart", 2, 6), ("heart", 4, 6)]
    assert {path.name for path in tmp_path.iterdir()} == {"job.json", "r"}


def test_run_reports_an_error(command, small_ct, small_weights, tmp_path):
    job = write_job(tmp_path, small_ct, small_weights, labels=["hart"])
    done = subprocess.run([*command, "run", str(job)], capture_output=True, text=True, timeout=240)
    assert done.returncode == 1
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events if event["event"] != "progress"] == ["error"]
    assert events[-1]["code"] == "bad_input"
    assert "heart" in events[-1]["message"]
    assert events[-1]["hint"]
    assert {path.name for path in tmp_path.iterdir()} == {"job.json"}


def test_run_stops_when_nobody_reads_its_events(command, small_ct, small_weights, tmp_path):
    job = write_job(tmp_path, small_ct, small_weights, samples=100_000)
    with subprocess.Popen([*command, "run", str(job)], stdin=None, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        guard = threading.Timer(120, process.kill)
        guard.start()
        process.stdout.readline()
        process.stdout.close()
        told = process.stderr.read()
        process.wait()
        guard.cancel()
    assert (process.returncode, told) == (130, b"")
    assert {path.name for path in tmp_path.iterdir()} == {"job.json"}


@pytest.mark.skipif(os.name == "nt", reason="closes a file descriptor by the shell")
def test_run_without_stdin(small_ct, small_weights, tmp_path):
    job = write_job(tmp_path, small_ct, small_weights, task="segment")
    command = ["sh", "-c", '"$@" <&-', "sh", sys.executable, "-m", "Agg2ExpLib", "run", str(job)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "stdin"])
def test_run_stops_within_two_seconds(how, command, small_ct, small_weights, tmp_path):
    if how != "stdin" and sys.platform == "win32":
        pytest.skip("Windows has no such signals")
    job = write_job(tmp_path, small_ct, small_weights, samples=100_000)
    process = subprocess.Popen([*command, "run", str(job)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    guard = threading.Timer(120, process.kill)
    guard.start()
    assert process.stdout is not None
    assert process.stdin is not None
    events = []
    for line in process.stdout:
        events.append(json.loads(line))
        if events[-1]["event"] == "partial" and events[-1]["kind"] == "attribution":
            break
    began = time.monotonic()
    if how == "stdin":
        process.stdin.write("stop\n")
        process.stdin.flush()
    else:
        process.send_signal(getattr(signal, how))
    events += [json.loads(line) for line in process.stdout]
    assert process.wait(timeout=30) == 130
    assert time.monotonic() - began < 2
    guard.cancel()
    assert events[-1] == {"event": "cancelled"}
    assert {path.name for path in tmp_path.iterdir()} == {"job.json"}
