"""Engines that end with their test, and programs in the place of Python."""

from __future__ import annotations

import stat
import sys

import pytest

from support.engine_spy import SERVES, Spy
from support.paths import MODULE_FOLDER


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
        path.write_text(f"#!{sys.executable}\n{SERVES}{code}\n", encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return make
