"""The engine with processes that live on, end too soon, or do not do what they should; scripts stand in for them."""

from __future__ import annotations

import os
import time

import pytest

from support.engine_spy import BEHIND_A_LAUNCHER, gone, processes_of

pytestmark = pytest.mark.skipif(os.name == "nt", reason="scripts are made executable by their first line")


@pytest.mark.parametrize("with_psutil", [True, False])
def test_a_child_that_does_not_listen_is_killed_with_its_children(spies, script, tmp_path, monkeypatch, with_psutil):
    from Agg2ExpModuleLib.engine import ProcessTree

    if not with_psutil:
        monkeypatch.setattr(ProcessTree, "_psutil", lambda: None)
    # The grandchild ignores SIGTERM, and its command line does not name the process.
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    python = script(
        f"os.chdir({str(tmp_path)!r}); request = asked(); os.makedirs('.r.partial-0123'); os.makedirs('r.partial-mine')\n"
        f"child = subprocess.Popen([sys.executable, '-c', {deaf!r}, 'deaf-' + sys.argv[-1]])\n"
        "tell(request, 'notice', message='ready'); child.wait()"
    )
    (tmp_path / ".r.partial-old").mkdir()  # of another run, which may still go on
    spy = spies(python)
    spy.engine.start({"output": str(tmp_path / "r")})
    spy.until(lambda: spy.events)
    marker = spy.marker
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
            "request = asked(); out = sys.stdout.buffer\n"
            "out.write(b'hello\\n{\"event\": 5}\\n{broken\\n[1]\\n\\xff\\xfe bytes\\r\\n\\n'); out.flush()\n"
            "line = text(request, 'notice', message='größer').encode() + b'\\r\\n'\n"
            "for part in (line[:-9], line[-9:-1], line[-1:]): out.write(part); out.flush(); time.sleep(0.1)\n"
            "out.write(text({'id': 'of another'}, 'notice', message='x').encode() + b'\\n')\n"
            "sys.stderr.write('10%\\r20%\\r30%\\nlast\\n'); sys.stderr.flush()\n"
            "time.sleep(0.2); out.write(text(request, 'done', result='/r').encode()); out.flush()"  # no line end
        )
    )
    spy.engine.start({"output": str(tmp_path / "r")})
    outcome = spy.to_the_end()
    assert (outcome.state, outcome.result) == ("done", "/r")
    assert [(event["event"], event["message"]) for event in spy.events] == [("notice", "größer")]
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
        ("tell(asked(), 'error', code='internal', message=\"ImportError: No module named 'monai'\")", "missing_package", "monai"),
    ],
)
def test_a_child_that_ends_without_a_result(spies, script, tmp_path, code, expected, words):
    spy = spies(script(code))
    spy.engine.start({"output": str(tmp_path / "r")})
    outcome = spy.to_the_end()
    assert (outcome.state, outcome.code) == ("error", expected)
    assert words in outcome.message
    assert "abnormally" not in outcome.message + outcome.hint
    assert outcome.hint
    assert ("Install requirements" in outcome.hint) == (expected == "missing_package")
    assert not list(tmp_path.iterdir())


def test_only_the_first_last_event_counts(spies, script):
    spy = spies(script("request = asked(); tell(request, 'done', result='r'); tell(request, 'cancelled'); asked()"))
    spy.engine.start({})
    assert spy.to_the_end().state == "done"


def test_one_that_ends_in_the_moment_it_is_asked_is_replaced(spies, script, tmp_path):
    """It had waited too long; the question is asked of another one, once."""
    mark = tmp_path / "been"
    spy = spies(
        script(
            f"request, mark = asked(), {str(mark)!r}\n"
            "if not os.path.exists(mark):\n"
            "    open(mark, 'w').close(); print(json.dumps({'event': 'ended', 'reason': 'idle'})); sys.exit()\n"
            "tell(request, 'done', result=str(request['job']['number']))"
        )
    )
    spy.engine.start({"number": 5})
    assert spy.to_the_end().result == "5"


def test_after_a_stop_that_took_the_process_the_next_run_has_another(spies, script):
    spy = spies(script("request = asked(); tell(request, 'notice', message='x'); asked() if False else sys.stdin.readline()\n"
                       "tell(request, 'cancelled', ended=True); time.sleep(0.5); os._exit(130)"))  # fmt: skip
    spy.engine.start({})
    spy.until(lambda: spy.events)
    first = spy.engine.warm.pid
    spy.engine.cancel()
    assert spy.to_the_end().state == "cancelled"
    spy.events.clear()
    spy.finished.clear()
    spy.engine.start({})
    spy.until(lambda: spy.events)
    assert spy.engine.warm.pid != first
    spy.until(lambda: gone(first))


SERVER = "print(os.getpid(), file=sys.stderr)\nwhile line := sys.stdin.readline():\n"
SERVER += (
    "    if line.startswith('{') and 'id' in (request := json.loads(line)): tell(request, 'done', result=' '.join(sys.argv[1:]))\n"
)
SERVER += "    elif 'end' in line: break"


def test_a_fresh_process_where_it_would_not_be_the_same(spies, script, monkeypatch):
    from Agg2ExpModuleLib.engine import WarmEngine

    spy, pids = spies(script(SERVER)), []

    def run(**job):
        outcome = spy.again(job)
        assert outcome.state == "done", outcome
        pids.append(spy.engine.warm.pid)
        return outcome.result

    assert run(device="cpu").split()[:4] == ["-m", "Agg2ExpLib", "serve", "--stdio"]
    run(device="cpu")
    run(device="cuda:0")
    monkeypatch.setattr(WarmEngine, "_packages", lambda: ("torch 3",))
    run(device="cuda:0")
    spy.engine.warm.where = lambda: ["--host", "other"]
    assert "--host other" in run(device="cuda:0")
    assert pids[0] == pids[1]
    assert len(set(pids)) == 4
    spy.until(lambda: all(gone(pid) for pid in pids[:-1]))
    other = spies(script(SERVER))  # another scene, another module
    assert other.again({}).state == "done"
    assert other.engine.warm.pid != spy.engine.warm.pid
    spy.engine.warm.renew()
    assert not spy.engine.warm.alive


@pytest.mark.parametrize("what", ["nothing", "no program", "no library"])
def test_what_cannot_start_is_an_outcome(spies, script, tmp_path, monkeypatch, what):
    from Agg2ExpModuleLib.engine import Child

    python = tmp_path / "nowhere" / "python"
    if what == "no program":
        python = tmp_path / "text"
        python.write_text("not executable")
    elif what == "no library":
        monkeypatch.setattr(Child, "libraryFolder", lambda: None)
    before = {path.name for path in tmp_path.iterdir()}
    spy = spies(python)
    spy.engine.start({"output": str(tmp_path / "r")})
    assert not spy.finished, "called back from inside start"
    outcome = spy.to_the_end()
    assert (outcome.state, outcome.code) == ("error", "start_failed")
    assert outcome.message
    assert outcome.hint
    assert {path.name for path in tmp_path.iterdir()} == before
    spy.engine.cancel()
    assert len(spy.finished) == 1


def test_a_callback_that_fails_stops_nothing(spies, script, caplog):
    spy = spies(script("request = asked(); tell(request, 'notice', message='a'); tell(request, 'done', result='r')"))

    def fails(_event):
        raise ValueError("a panel part is broken")

    spy.engine.onEvent.insert(0, fails)
    spy.engine.start({})
    assert spy.to_the_end().state == "done"
    assert spy.events
    assert "a panel part is broken" in caplog.text


def test_shutdown_from_inside_a_callback(spies, script):
    spy = spies(script("request = asked()\nfor _ in range(50): tell(request, 'notice', message='a')\ntime.sleep(600)"))
    spy.engine.onEvent.append(lambda event: spy.engine.shutdown())
    spy.engine.start({})
    assert spy.to_the_end().state == "cancelled"
    assert len(spy.events) == 1


def test_old_results_come_back_when_the_run_dies_while_replacing_them(spies, script, tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "run.json").write_text("{}")
    code = f"asked(); os.chdir({str(tmp_path)!r}); os.rename('r', '.r.old-01234567'); os.kill(os.getpid(), signal.SIGKILL)"
    spy = spies(script(code))
    spy.engine.start({"output": str(tmp_path / "r")})
    assert spy.to_the_end().code == "killed"
    assert [path.name for path in tmp_path.rglob("*")] == ["r", "run.json"]


def test_a_child_for_one_thing_that_has_told_its_result_but_does_not_end(application, script, monkeypatch):
    from Agg2ExpModuleLib.engine import Child

    monkeypatch.setattr(Child, "_LEAVE_S", 0.3)
    told = "print(json.dumps({'event': 'done', 'result': 'r'}), flush=True); print(json.dumps({'event': 'cancelled'}), flush=True)"
    child, outcomes = Child.Child(pythonExecutable=str(script(f"{told}; time.sleep(600)"))), []
    child.onFinished.append(outcomes.append)
    child.start([])
    deadline = time.monotonic() + 20
    while not outcomes and time.monotonic() < deadline:
        application.processEvents()
        time.sleep(0.01)
    assert [outcome.state for outcome in outcomes] == ["done"]
    assert not child.running
