"""A process that stays alive: the same results as the command line, kept between requests, and as safe as one that does not."""

import io
import json
import os
import queue
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from Agg2ExpLib.commands.cli import main
from Agg2ExpLib.runs.results import Results

pytestmark = pytest.mark.xdist_group("server")
SETTINGS = {"device": "cpu", "precision": "float32"}


class Client:
    """Somebody who starts ``agg2exp serve`` and talks to it."""

    def __init__(self, python: str, *words: str):
        command = [python, "-m", "Agg2ExpLib", "serve", *words]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def send(self, line: str | dict) -> None:
        text = line if isinstance(line, str) else json.dumps(line)
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def event(self, timeout: float = 120) -> dict | None:
        line = self._lines.get(timeout=timeout)
        return None if line is None else json.loads(line)

    def until(self, *kinds: str) -> dict:
        """The next event of one of these kinds, or of a failure."""
        while (event := self.event()) is not None:
            if event["event"] in (*kinds, "error"):
                return event
        raise AssertionError(f"the process ended without {kinds}")

    def ask(self, **request: object) -> dict:
        self.send(request)
        return self.until("done", "cancelled")


@pytest.fixture(scope="module")
def client(warm_python):
    made = Client(warm_python)
    assert {"causal", "load", "run", "what_if", "put", "fetch"} <= set(made.until("ready")["requests"])
    yield made
    made.process.kill()
    made.process.wait()


@pytest.fixture(scope="module")
def result(client, small_ct, small_weights, tmp_path_factory):
    output = tmp_path_factory.mktemp("served") / "result"
    job = {"ct": str(small_ct), "weights": str(small_weights), "output": str(output), "method": "gradient", **SETTINGS}
    event = client.ask(id="first", do="run", job=job)
    assert (event["event"], event["id"]) == ("done", "first"), event
    return Path(event["result"])


def test_a_run_is_that_of_the_command_line(result, small_ct, small_weights, tmp_path):
    words = ["--ct", str(small_ct), "--weights", str(small_weights), "--method", "gradient", "--device", "cpu"]
    assert main(["explain", *words, "--precision", "float32", "--output", str(tmp_path / "r")]) == 0
    ours, other = Results.open(result), Results.open(tmp_path / "r")
    assert ours.explained == other.explained
    np.testing.assert_allclose(ours.importance().mass, other.importance().mass, atol=1e-5)


def test_questions_are_answered_from_what_is_kept(client, result, small_weights):
    question = {"result": str(result), "weights": str(small_weights), "action": "remove", "fill": "air", **SETTINGS}
    first = client.ask(id=1, do="what_if", regions=["heart"], **question)
    assert first["event"] == "done", first
    record = json.loads((Path(first["answer"]) / "what_if.json").read_text())
    again = client.ask(id=2, do="what_if", regions=["heart"], name="again", **question)
    kept = json.loads((Path(again["answer"]) / "what_if.json").read_text())
    assert first["labels"] == again["labels"]
    assert record["windows"]["computed"] > kept["windows"]["computed"] == kept["windows"]["touched"]
    assert main(["whatif", str(result), "--weights", str(small_weights), "--remove", "heart", "--fill", "air", "--name", "cli",
                 "--device", "cpu", "--precision", "float32"]) == 0  # fmt: skip
    table = (result / "what_if/cli/what_if.csv").read_text().splitlines()[1].split(",")
    assert table[0] == first["labels"][0]["label"]
    assert float(table[4]) == pytest.approx(first["labels"][0]["dice"], abs=1e-4)


def test_a_drawn_region_and_every_region(client, result, small_weights, small_lesion):
    question = {"result": str(result), "weights": str(small_weights), **SETTINGS}
    drawn = client.ask(do="what_if", extra_rois=[f"{small_lesion}:tumour,node"], action="remove", regions=["tumour"], **question)
    assert drawn["event"] == "done", drawn
    gone = client.ask(do="what_if", action="remove", regions=["tumour"], **question)
    assert "no region 'tumour'" in gone["message"]
    event = client.ask(do="causal", fill="air", **question)
    assert (Path(event["answer"]) / "causal_matrix.csv").is_file()


def test_what_makes_no_sense_is_said_and_the_process_goes_on(client, result, small_weights):
    for line, words in (
        ("{", "JSON object"),
        ("[1]", "JSON object"),
        ({"id": 9, "do": "dance"}, "Unknown request"),
        ({"id": 9, "do": "load"}, "lacks 'weights'"),
        ({"id": 9, "do": "load", "weights": "/nowhere.pt"}, "does not exist"),
        ({"id": 9, "do": "run", "job": {"ct": "a"}}, "weights"),
        ({"id": 9, "do": "what_if", "color": 1}, "no entry 'color'"),
        ({"id": 9, "do": "what_if", "result": str(result), "weights": str(small_weights), "action": "remove"}, "at least one"),
    ):
        client.send(line)
        event = client.until("done")
        assert event["event"] == "error", line
        assert event["code"] == "bad_input", event
        assert words in event["message"], event
        if isinstance(line, dict):
            assert event["id"] == 9
    assert client.ask(do="load", weights=str(small_weights))["labels"][0] == "background"


def test_a_stopped_run_leaves_nothing_and_the_next_one_works(client, small_ct, small_weights, tmp_path):
    job = {"ct": str(small_ct), "weights": str(small_weights), "output": str(tmp_path / "r"), "samples": 100000, **SETTINGS}
    client.send({"id": "long", "do": "run", "job": job})
    while client.until("progress")["fraction"] < 0.1:
        pass
    began = time.monotonic()
    client.send({"id": "waits", "do": "load", "weights": str(small_weights)})
    client.send("stop")
    event = client.until("cancelled")
    assert time.monotonic() - began < 3
    assert (event["event"], event["id"]) == ("cancelled", "long")
    assert not list(tmp_path.iterdir())
    if not event.get("ended"):
        assert client.until("cancelled", "done")["event"] == "cancelled", "what waited is stopped too"
        assert client.ask(do="load", weights=str(small_weights))["event"] == "done"


def test_it_ends_when_nobody_asks_or_the_other_side_is_gone(warm_python):
    idle = Client(warm_python, "--idle", "0.5")
    gone = Client(warm_python)
    for made, words in ((idle, "idle"), (gone, "asked")):
        made.until("ready")
        if made is gone:
            made.process.stdin.close()
        assert made.until("ended")["reason"] == words
        assert made.process.wait(30) == 0


def test_it_ends_where_memory_is_short(monkeypatch):
    from Agg2ExpLib.serving import server
    from Agg2ExpLib.serving.here import Here

    monkeypatch.setattr(server, "LEAST_FREE_BYTES", 1e18)
    monkeypatch.setattr(server, "_LOOK_S", 0.05)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    reading, writing = os.pipe()
    said = io.StringIO()
    assert server.Server(said, Here(), idle_s=60).serve(os.fdopen(reading, "rb")) == 0
    assert json.loads(said.getvalue().splitlines()[-1]) == {"event": "ended", "reason": "memory"}
    os.close(writing)
    for number, handler in before.items():
        signal.signal(number, handler)
