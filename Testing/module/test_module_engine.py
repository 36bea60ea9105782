"""The engine with real child processes: runs, stops, kills, and children that do not do what they should."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from support.paths import MODULE_FOLDER

pytestmark = pytest.mark.skipif(os.name == "nt", reason="scripts are made executable by their first line")
LIMIT_S = 240.0


class Spy:
    """An engine with everything it tells."""

    def __init__(self, application, python=None):
        from Agg2ExpModuleLib.engine.Engine import Engine

        self.application = application
        self.engine = Engine(pythonExecutable=None if python is None else str(python))
        self.events, self.log, self.finished = [], [], []
        self.engine.onEvent.append(self.events.append)
        self.engine.onLog.append(self.log.append)
        self.engine.onFinished.append(self.finished.append)

    def until(self, condition, limit=LIMIT_S):
        """Run the event loop until something is true; fails when it has not become so, and when the loop was ever blocked."""
        deadline = time.monotonic() + limit
        slowest = 0.0
        while not condition():
            assert time.monotonic() < deadline, (self.events[-3:], self.log, self.finished)
            began = time.perf_counter()
            self.application.processEvents()
            slowest = max(slowest, time.perf_counter() - began)
            time.sleep(0.005)
        return slowest

    def to_the_end(self):
        """The outcome, which must come exactly once."""
        self.until(lambda: not self.engine.running)
        for _ in range(20):
            self.application.processEvents()
            time.sleep(0.005)
        assert len(self.finished) == 1
        return self.finished[0]

    def until_partial(self):
        self.until(lambda: any(event["event"] == "partial" for event in self.events))


@pytest.fixture
def application(slicerApp, monkeypatch):  # noqa: N803
    monkeypatch.syspath_prepend(str(MODULE_FOLDER))
    return slicerApp.app


@pytest.fixture
def spies(application):
    made = []

    def make(python=None):
        made.append(Spy(application, python))
        return made[-1]

    yield make
    for spy in made:
        spy.engine.onFinished.clear()
        spy.engine.shutdown()


@pytest.fixture
def script(tmp_path_factory):
    """Makes an executable that stands in for Python."""

    def make(code):
        path = tmp_path_factory.mktemp("bin") / "python"
        path.write_text(f"#!{sys.executable}\nimport json, os, signal, subprocess, sys, time\n{code}\n", encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return make


LAUNCHER = "sys.exit(subprocess.Popen([sys.executable, *sys.argv[1:]]).wait())"


# As Slicer's launcher does: the signal is hidden behind words of its own and status 1.
BEHIND_A_LAUNCHER = (
    "code = lambda command: subprocess.run(command).returncode\n"
    "run = lambda command: (sys.stderr.write('error: [/opt/python-real] exit abnormally - Report the problem.\\n'), sys.exit(1))"
    " if code(command) < 0 else None\n"
    "run([sys.executable, '-c',"
)


def job(small_ct, small_weights, output, **more):
    return {"ct": str(small_ct), "weights": str(small_weights), "output": str(output), "device": "cpu", "labels": ["heart"], **more}


def processes_of(text):
    """Command lines of living processes that contain a text."""
    listing = subprocess.run(["ps", "-A", "-ww", "-o", "stat=,command="], capture_output=True, text=True, check=False).stdout
    return [line for line in listing.splitlines() if text in line and not line.startswith("Z")]


def test_bad_input_is_told(spies, small_weights, tmp_path):
    spy = spies()
    spy.engine.start(job(tmp_path / "nowhere.nii.gz", small_weights, tmp_path / "out" / "r"), str(tmp_path / "work"))
    outcome = spy.to_the_end()
    assert (outcome.state, outcome.code, outcome.result) == ("error", "bad_input", None)
    assert "nowhere.nii.gz" in outcome.message
    assert outcome.hint
    assert not list(tmp_path.iterdir())


def test_cancel_in_the_middle_and_run_again_in_a_folder_with_any_characters(spies, small_ct, small_weights, tmp_path):
    spy = spies()
    work = tmp_path / "work"
    spy.engine.start(job(small_ct, small_weights, tmp_path / "out" / "r", samples=100_000), str(work))
    spy.until_partial()
    (marker,) = [path.name for path in work.iterdir()]
    assert processes_of(marker)
    began = time.monotonic()
    spy.engine.cancel()
    assert time.monotonic() - began < 0.1
    assert spy.engine.running  # until it has ended
    assert spy.to_the_end().state == "cancelled"
    assert time.monotonic() - began < 6
    assert not processes_of(marker)
    assert not list(tmp_path.iterdir())

    # again, in a folder with any characters
    spy.finished.clear()
    spy.events.clear()
    folder = tmp_path / "Müller 患者 «1»"
    spy.engine.start(job(small_ct, small_weights, "r", samples=4), str(folder))
    assert spy.engine.running
    with pytest.raises(RuntimeError, match="running already"):
        spy.engine.start({}, str(folder))
    outcome = spy.to_the_end()
    assert (outcome.state, outcome.result, outcome.message) == ("done", str(folder / "r"), "")
    kinds = {event["event"] for event in spy.events}
    assert kinds == {"expected", "progress", "partial"}
    assert next(event["path"] for event in spy.events if event["event"] == "partial").startswith(str(folder))
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert [path.name for path in folder.iterdir()] == ["r"]
    assert (folder / "r" / "run.json").is_file()


def test_the_computation_behind_a_launcher_that_was_killed(spies, script, small_ct, small_weights, tmp_path):
    spy = spies(script(LAUNCHER))
    work = tmp_path / "work"
    spy.engine.start(job(small_ct, small_weights, tmp_path / "r", samples=100_000), str(work))
    spy.until_partial()
    (marker,) = [path.name for path in work.iterdir()]
    assert len(processes_of(marker)) == 2
    os.kill(spy.engine.child.pid, signal.SIGKILL)
    outcome = spy.to_the_end()
    assert (outcome.state, outcome.code) == ("error", "killed")
    assert "signal 9" in outcome.message
    assert "memory" in outcome.message
    assert not processes_of(marker)
    assert not list(tmp_path.iterdir())


def test_shutdown_ends_everything_before_it_returns(spies, script, small_ct, small_weights, tmp_path):
    spy = spies(script(LAUNCHER))
    work = tmp_path / "work"
    spy.engine.start(job(small_ct, small_weights, tmp_path / "r", samples=100_000), str(work))
    spy.until_partial()
    (marker,) = [path.name for path in work.iterdir()]
    began = time.monotonic()
    spy.engine.shutdown()
    assert time.monotonic() - began < 4
    assert [outcome.state for outcome in spy.finished] == ["cancelled"]
    assert not spy.engine.running
    assert not processes_of(marker)
    assert not list(tmp_path.iterdir())
    spy.engine.shutdown()
    assert len(spy.finished) == 1


@pytest.mark.parametrize("with_psutil", [True, False])
def test_a_child_that_does_not_listen_is_killed_with_its_children(spies, script, tmp_path, monkeypatch, with_psutil):
    from Agg2ExpModuleLib.engine import ProcessTree

    if not with_psutil:
        monkeypatch.setattr(ProcessTree, "_psutil", lambda: None)
    # The grandchild ignores SIGTERM, and its command line does not name the job.
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    python = script(
        "os.makedirs('.r.partial-0123'); os.makedirs('r.partial-mine')\n"
        f"child = subprocess.Popen([sys.executable, '-c', {deaf!r}, 'deaf-' + sys.argv[-1]])\n"
        "print(json.dumps({'event': 'notice', 'message': 'ready'}), flush=True)\nchild.wait()"
    )
    (tmp_path / ".r.partial-old").mkdir()  # of another run, which may still go on
    spy = spies(python)
    spy.engine.start({"output": "r"}, str(tmp_path))
    spy.until(lambda: spy.events)
    (marker,) = [path.name for path in tmp_path.iterdir() if path.suffix == ".json"]
    assert len(processes_of(marker)) == 2
    began = time.monotonic()
    spy.engine.cancel()
    spy.engine.cancel()
    slowest = spy.until(lambda: not spy.engine.running)
    assert 2.9 < time.monotonic() - began < 8
    assert slowest < 1, "the application was blocked"
    assert spy.to_the_end().state == "cancelled"
    assert not processes_of(marker)
    assert {path.name for path in tmp_path.iterdir()} == {".r.partial-old", "r.partial-mine"}


def test_what_is_no_event_goes_to_the_log(spies, script, tmp_path):
    spy = spies(
        script(
            "out = sys.stdout.buffer\n"
            "out.write(b'hello\\n{\"event\": 5}\\n{broken\\n[1]\\n\\xff\\xfe bytes\\r\\n\\n'); out.flush()\n"
            'out.write(\'{"event": "notice", "mess\'.encode()); out.flush(); time.sleep(0.2)\n'
            "out.write('age\": \"größer\"}\\r\\n'.encode()[:-2]); out.flush(); time.sleep(0.1); out.write(b'\\r\\n')\n"
            'out.write(b\'{"event": "done", "result": "/r"}\'); out.flush()\n'  # no line end
            "sys.stderr.write('10%\\r20%\\r30%\\nlast'); sys.stderr.flush()"
        )
    )
    spy.engine.start({"output": "r"}, str(tmp_path))
    outcome = spy.to_the_end()
    assert (outcome.state, outcome.result) == ("done", "/r")
    assert spy.events == [{"event": "notice", "message": "größer"}]
    assert [line for line in spy.log if "%" not in line] == [
        "hello",
        '{"event": 5}',
        "{broken",
        "[1]",
        "\ufffd\ufffd bytes",
        "last",
    ]
    assert [line for line in spy.log if "%" in line] == ["10%", "20%", "30%"]


@pytest.mark.parametrize(
    ("code", "expected", "words"),
    [
        ("sys.exit('Fatal: no more licences')", "no_outcome", "Fatal: no more licences"),
        ("pass", "no_outcome", "exit status 0"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "crashed", "Segmentation fault"),
        ("signal.signal(signal.SIGTERM, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGTERM)", "crashed", "signal 15, SIGTERM"),
        (f"{BEHIND_A_LAUNCHER} 'import os; os.kill(os.getpid(), 9)'])", "killed", "signal 9"),
        (f"{BEHIND_A_LAUNCHER} 'import os; os.kill(os.getpid(), 11)'])", "crashed", "Segmentation fault"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed", "signal 9"),
        ("sys.exit(137)", "killed", "signal 9"),
        ("import nothing_of_this_name", "missing_package", "nothing_of_this_name"),
        (
            "print(json.dumps({'event': 'error', 'code': 'internal', 'message': \"ImportError: No module named 'monai'\"}))",
            "missing_package",
            "monai",
        ),
    ],
)
def test_a_child_that_ends_without_a_result(spies, script, tmp_path, code, expected, words):
    spy = spies(script(code))
    spy.engine.start({"output": "r"}, str(tmp_path / "work"))
    outcome = spy.to_the_end()
    assert (outcome.state, outcome.code) == ("error", expected)
    assert words in outcome.message
    assert "abnormally" not in outcome.message + outcome.hint
    assert outcome.hint
    assert ("Install requirements" in outcome.hint) == (expected == "missing_package")
    assert not list(tmp_path.iterdir())


def test_only_the_first_last_event_counts(spies, script, tmp_path):
    spy = spies(script("print(json.dumps({'event': 'done', 'result': 'r'})); print(json.dumps({'event': 'cancelled'}))"))
    spy.engine.start({}, str(tmp_path))
    assert spy.to_the_end().state == "done"


def test_a_child_that_has_told_its_result_but_does_not_end(spies, script, tmp_path, monkeypatch):
    from Agg2ExpModuleLib.engine import Child

    monkeypatch.setattr(Child, "_LEAVE_S", 0.3)
    spy = spies(script("print(json.dumps({'event': 'done', 'result': 'r'}), flush=True); time.sleep(600)"))
    spy.engine.start({}, str(tmp_path))
    assert spy.to_the_end().state == "done"


@pytest.mark.parametrize("what", ["nothing", "no program", "no library", "no folder"])
def test_what_cannot_start_is_an_outcome(spies, script, tmp_path, monkeypatch, what):
    from Agg2ExpModuleLib.engine import Child

    python, work = tmp_path / "nowhere" / "python", tmp_path / "work"
    if what == "no program":
        python = tmp_path / "text"
        python.write_text("not executable")
    elif what == "no library":
        monkeypatch.setattr(Child, "libraryFolder", lambda: None)
    elif what == "no folder":
        python, work = script("pass"), tmp_path / "file" / "work"
        (tmp_path / "file").write_text("no folder")
    before = {path.name for path in tmp_path.iterdir()}
    spy = spies(python)
    spy.engine.start({"output": "r"}, str(work))
    assert not spy.finished, "called back from inside start"
    outcome = spy.to_the_end()
    assert (outcome.state, outcome.code) == ("error", "start_failed")
    assert outcome.message
    assert outcome.hint
    assert {path.name for path in tmp_path.iterdir()} == before
    spy.engine.cancel()
    assert len(spy.finished) == 1


def test_a_callback_that_fails_stops_nothing(spies, script, tmp_path, caplog):
    spy = spies(
        script("print(json.dumps({'event': 'notice', 'message': 'a'})); print(json.dumps({'event': 'done', 'result': 'r'}))")
    )

    def fails(_event):
        raise ValueError("a panel part is broken")

    spy.engine.onEvent.insert(0, fails)
    spy.engine.start({}, str(tmp_path))
    assert spy.to_the_end().state == "done"
    assert spy.events
    assert "a panel part is broken" in caplog.text


def test_shutdown_from_inside_a_callback(spies, script, tmp_path):
    line = "print(json.dumps({'event': 'notice', 'message': 'a'}), flush=True);"
    spy = spies(script(f"{line * 50} time.sleep(600)"))
    spy.engine.onEvent.append(lambda event: spy.engine.shutdown())
    spy.engine.start({}, str(tmp_path))
    assert spy.to_the_end().state == "cancelled"
    assert len(spy.events) == 1


def test_old_results_come_back_when_the_run_dies_while_replacing_them(spies, script, tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "run.json").write_text("{}")
    spy = spies(script("os.rename('r', '.r.old-01234567'); os.kill(os.getpid(), signal.SIGKILL)"))
    spy.engine.start({"output": "r"}, str(tmp_path))
    assert spy.to_the_end().code == "killed"
    assert [path.name for path in tmp_path.rglob("*")] == ["r", "run.json"]


def test_the_child_finds_the_library_and_nothing_of_the_work_folder(spies, script, tmp_path):
    (tmp_path / "Agg2ExpLib.py").write_text("raise SystemExit('imported from the work folder')")
    (tmp_path / "torch.py").write_text("raise SystemExit('imported from the work folder')")
    code = f"os.execv({sys.executable!r}, [{sys.executable!r}, *sys.argv[1:]])"
    spy = spies(script(code))
    spy.engine.start({"ct": "x"}, str(tmp_path))
    outcome = spy.to_the_end()
    assert "lacks the entry" in outcome.message, outcome
