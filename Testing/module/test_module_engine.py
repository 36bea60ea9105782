"""The engine with the real computation: runs in one process, a stop in the middle, and a process that is killed."""

from __future__ import annotations

import os
import signal
import time

import pytest

from support.engine_spy import LAUNCHER, processes_of

pytestmark = pytest.mark.skipif(os.name == "nt", reason="scripts are made executable by their first line")


def job(small_ct, small_weights, output, **more):
    return {"ct": str(small_ct), "weights": str(small_weights), "output": str(output), "device": "cpu", "labels": ["heart"], **more}


def test_runs_in_one_process_and_folders_with_any_characters(spies, small_ct, small_weights, tmp_path):
    folder = tmp_path / "Müller 患者 «1»"
    spy = spies()
    spy.engine.warm.prepare("cpu")
    first, busy = spy.engine.warm.pid, spy.engine.warm.busy
    assert not busy
    spy.engine.start(job(small_ct, small_weights, folder / "r", samples=4))
    assert spy.engine.running
    with pytest.raises(RuntimeError, match="running already"):
        spy.engine.start({})
    with pytest.raises(RuntimeError, match="running already"):
        spy.engine.warm.ask({"do": "load", "weights": str(small_weights)}, print, print)
    outcome = spy.to_the_end()
    assert (outcome.state, outcome.result, outcome.message) == ("done", str(folder / "r"), "")
    kinds = {event["event"] for event in spy.events}
    assert kinds == {"expected", "progress", "partial"}
    assert next(event["path"] for event in spy.events if event["event"] == "partial").startswith(str(folder))
    assert [path.name for path in folder.iterdir()] == ["r"]
    pid = spy.engine.warm.pid
    assert pid == first, "the one that was prepared"

    # what is wrong with a job is told, and the process lives on
    outcome = spy.again(job(small_ct, small_weights, tmp_path / "out" / "r", labels=["hart"]))
    assert (outcome.state, outcome.code, outcome.result) == ("error", "bad_input", None)
    assert "did you mean 'heart'" in outcome.message
    assert outcome.hint
    assert list(tmp_path.iterdir()) == [folder]

    # the same numbers again, sooner
    spy.events.clear()
    began = time.monotonic()
    spy.finished.clear()
    spy.engine.start(job(small_ct, small_weights, folder / "again", samples=4))
    spy.until(lambda: spy.events)
    assert time.monotonic() - began < 1.5, "well under a second on a quiet computer"
    assert spy.to_the_end().state == "done"
    assert spy.engine.warm.pid == pid
    tables = [(folder / name / "roi_importance.csv").read_text() for name in ("r", "again")]
    assert tables[0] == tables[1]

    # what is of a patient is forgotten, and the process lives on
    spy.engine.warm.forget()
    spy.engine.warm.prepare("cpu")
    assert spy.again(job(small_ct, small_weights, tmp_path / "t", task="segment")).state == "done"
    assert spy.engine.warm.pid == pid


def test_cancel_in_the_middle_and_run_again(spies, small_ct, small_weights, tmp_path):
    spy = spies()
    spy.engine.start(job(small_ct, small_weights, tmp_path / "out" / "r", samples=100_000))
    spy.until_partial()
    pid = spy.engine.warm.pid
    assert processes_of(spy.marker)
    began = time.monotonic()
    spy.engine.cancel()
    assert time.monotonic() - began < 0.1
    assert spy.engine.running  # until it has ended
    assert spy.to_the_end().state == "cancelled"
    assert (taken := time.monotonic() - began) < 4
    assert not list(tmp_path.iterdir())

    assert spy.again(job(small_ct, small_weights, tmp_path / "s", task="segment")).state == "done"
    assert spy.engine.warm.pid == pid or taken > 1.4, "a process that answers the stop lives on"
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_the_computation_behind_a_launcher_that_was_killed(spies, script, small_ct, small_weights, tmp_path):
    spy = spies(script(LAUNCHER))
    spy.engine.start(job(small_ct, small_weights, tmp_path / "r", samples=100_000))
    spy.until_partial()
    marker = spy.marker
    assert len(processes_of(marker)) == 2
    os.kill(spy.engine.warm.pid, signal.SIGKILL)
    outcome = spy.to_the_end()
    assert (outcome.state, outcome.code) == ("error", "killed")
    assert "signal 9" in outcome.message
    assert "memory" in outcome.message
    assert not processes_of(marker)
    assert not list(tmp_path.iterdir())

    # the next run has a process of its own, and its shutdown ends everything before it returns
    spy.finished.clear()
    spy.events.clear()
    spy.engine.start(job(small_ct, small_weights, tmp_path / "r", samples=100_000))
    spy.until_partial()
    marker = spy.marker
    began = time.monotonic()
    spy.engine.shutdown()
    assert time.monotonic() - began < 4
    assert [outcome.state for outcome in spy.finished] == ["cancelled"]
    assert not spy.engine.running
    assert not processes_of(marker)
    assert not list(tmp_path.iterdir())
    spy.engine.shutdown()
    assert len(spy.finished) == 1
