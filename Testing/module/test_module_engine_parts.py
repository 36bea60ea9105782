"""What the engine is made of, each on its own: finding Python, the list of processes, lines from a stream, quick loading."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.paths import MODULE_FOLDER, ROOT

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")


@pytest.fixture
def application(slicerApp, monkeypatch):  # noqa: N803
    monkeypatch.syspath_prepend(str(MODULE_FOLDER))
    return slicerApp.app


def test_python_is_found(application, tmp_path, monkeypatch):
    import slicer

    from Agg2ExpModuleLib.engine.EngineEnvironment import findPython

    monkeypatch.setattr(slicer.app, "slicerHome", str(tmp_path / "none"), raising=False)
    monkeypatch.setenv("PATH", "/usr/bin")
    assert findPython() == sys.executable
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "PythonSlicer").touch()
    monkeypatch.setattr(slicer.app, "slicerHome", str(tmp_path))
    assert findPython() == str(tmp_path / "bin" / "PythonSlicer")
    monkeypatch.setattr(slicer.app, "slicerHome", str(tmp_path / "none"))
    monkeypatch.setattr(sys, "executable", "/opt/Slicer/bin/SlicerApp-real")
    assert findPython() is None


def test_listing_of_ps(application):
    from Agg2ExpModuleLib.engine.ProcessTree import parsePs

    listing = (
        "    1     0 Ss   /sbin/launchd\n  345     1 S+   /Applications/Slicer app/python -m x job.json\n junk\n  346   345 Z\n"
    )
    assert {pid: tuple(entry) for pid, entry in parsePs(listing).items()} == {
        1: (0, "Ss", "/sbin/launchd"),
        345: (1, "S+", "/Applications/Slicer app/python -m x job.json"),
        346: (345, "Z", ""),
    }


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # where others use the processors
@given(st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\r\n", "ö".encode()[:1], "ö".encode()[1:], b"  "]), max_size=30), st.data())
def test_lines_do_not_depend_on_where_the_stream_is_cut(parts, data):
    if str(MODULE_FOLDER) not in sys.path:
        sys.path.append(str(MODULE_FOLDER))
    from Agg2ExpModuleLib.engine.EventReader import LineReader

    stream = b"".join(parts)
    whole = LineReader()
    expected = whole.feed(stream) + whole.finish()
    reader, lines, rest = LineReader(), [], stream
    while rest:
        length = data.draw(st.integers(1, len(rest)))
        lines += reader.feed(rest[:length])
        rest = rest[length:]
    assert lines + reader.finish() == expected
    assert "".join(expected).replace(" ", "") == "".join(stream.decode("utf-8", "replace").split())


def test_a_line_without_an_end_does_not_fill_the_memory(application):
    from Agg2ExpModuleLib.engine.EventReader import LineReader

    reader, lines = LineReader(), []
    for _ in range(50):
        lines += reader.feed(b"x" * 100_000)
    assert sum(map(len, lines)) > 3_000_000
    assert len("".join(lines + reader.finish())) == 5_000_000


def test_loading_the_engine_is_quick_and_light():
    code = (
        "import sys, types, PySide6.QtCore as qt; sys.modules['qt'] = qt\n"
        "for name in ('slicer', 'slicer.i18n'): sys.modules[name] = types.ModuleType(name)\n"
        "sys.modules['slicer.i18n'].tr = str; sys.path[:0] = ['Agg2ExpModule', '.']\n"
        "import Agg2ExpModuleLib.engine.Engine\n"
        "heavy = {'torch', 'monai', 'numpy', 'psutil', 'Agg2ExpLib'} & set(sys.modules); assert not heavy, heavy"
    )
    root = ROOT
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=root, check=False)
    assert done.returncode == 0, done.stderr
