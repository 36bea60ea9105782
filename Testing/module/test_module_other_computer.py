"""The panel computes on another computer: asked once, sent through ssh, brought back, and nothing stays there.

The program in ssh's place runs the command in a shell here; a real ssh server is in Testing/serving.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from support.autoencoders import write_exact_autoencoder
from support.module_panel import Panel
from support.paths import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the program in ssh's place is a shell script")
HOST = "me@there"


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of the other computer; ``calls`` beside it tells what ssh was asked."""
    folder = tmp_path / "there"
    folder.mkdir()
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\nfor last; do :; done\nexec /bin/sh -c "$last"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("AGG2EXP_SSH", str(ssh))
    return folder


@pytest.fixture
def panel(slicerApp, tmp_path: Path, small_weights: Path) -> Panel:  # noqa: N803
    return Panel(slicerApp, tmp_path, small_weights)


def compute_there(panel: Panel, there: Path, command: str = "") -> None:
    panel.app.app.testing = False  # message boxes are shown
    elsewhere = panel.widget.state.elsewhere
    elsewhere.hostEdit.text = HOST
    elsewhere.hostEdit.editingFinished.emit()
    elsewhere.commandEdit.text = command or f"cd {ROOT} && TMPDIR={there} exec {sys.executable} -m Agg2ExpLib serve --stdio"
    elsewhere.commandEdit.editingFinished.emit()


def test_runs_questions_and_models_there(panel: Panel, there: Path, tmp_path: Path) -> None:
    panel.add_ct()
    panel.open("labels", "explain")
    assert not panel.widget.state.elsewhere.commandEdit.visible, "nothing to say of a command where there is no other computer"
    compute_there(panel, there)
    assert HOST not in panel.parameters.parameterNode.GetParameterNamesAsCommaSeparatedList(), "a scene sends nothing anywhere"

    panel.app.dialogs.answers.append(False)
    panel.click(panel.ui.segmentButton)
    assert f"sent to {HOST} through ssh" in panel.app.dialogs.texts[0]
    assert not panel.controller.busy
    assert not (tmp_path / "calls").exists()

    panel.app.dialogs.answers.append(True)
    panel.click(panel.ui.segmentButton)
    seen: set[str] = set()
    panel.wait(lambda: bool(seen.add(panel.controller.message)) or not panel.controller.busy)
    assert not panel.controller.failed, panel.controller.message
    assert "Found 3 labels" in panel.controller.message
    assert any("ending to the other computer" in text for text in seen)
    (folder,) = panel.results.iterdir()
    assert (folder / "run.json").is_file()
    (private,) = there.iterdir()
    assert {path.name for path in private.iterdir()} - {"in-use.lock"} == {"ct", "model"}

    panel.explain("heart")  # not asked again, through the same line
    assert "about" not in panel.ui.estimateLabel.text, "times of here say nothing of there"
    assert HOST in panel.ui.estimateLabel.text
    panel.open("whatIf")
    panel.widget.importance.graph.onNodeClicked[-1]("heart")
    panel.click(panel.ui.whatIfButton)
    panel.wait()
    assert not panel.controller.failed, panel.controller.message
    assert "Without heart" in panel.controller.message
    assert len(panel.app.dialogs.texts) == 2
    assert len((tmp_path / "calls").read_text().splitlines()) == 1

    panel.open("counter")
    panel.parameters.autoencoder = str(write_exact_autoencoder(tmp_path))
    panel.parameters.counterTarget, panel.parameters.counterDirection = "heart", "less"
    panel.click(panel.ui.counterButton)
    panel.wait()
    assert not panel.controller.failed, panel.controller.message
    assert "Less: the CT changes by" in panel.controller.message
    assert {path.name for path in private.iterdir()} - {"in-use.lock"} == {"ct", "model", "asked", "autoencoder"}
    assert len((tmp_path / "calls").read_text().splitlines()) == 1

    panel.open("input")
    panel.click(panel.ui.installedButton)
    panel.wait(lambda: bool(panel.widget.installed.list.names()))
    item = panel.widget.installed.list.item("demo")
    panel.ui.installedTree.itemClicked.emit(item, 0)
    assert panel.parameters.weights.startswith("host:/")
    assert len(panel.widget.inputs.model.labels) == 16, "what is there is told"

    pid = panel.widget.engine.warm.pid
    panel.widget.cleanup()
    panel.wait(lambda: not Path(f"/proc/{pid}").exists() and not list(there.iterdir()), 10)


def test_what_goes_wrong_is_told_and_another_run_works(panel: Panel, there: Path) -> None:
    panel.add_ct()
    panel.app.dialogs.answers.append(True)
    for command, words in (
        ("agg2exp-of-nobody serve", f"There is no agg2exp on {HOST}"),
        ("echo 'me@there: Permission denied (publickey).' >&2; exit 255", "without a password"),
    ):
        compute_there(panel, there, command)
        panel.open("labels")
        panel.click(panel.ui.segmentButton)
        panel.wait()
        assert panel.controller.failed
        assert words in panel.controller.message
    panel.parameters.weights = "host:/w.pt"
    elsewhere = panel.widget.state.elsewhere
    for host, words in (("-oProxyCommand=x", "names no computer"), ("", "lies on another computer")):
        elsewhere.hostEdit.text = host
        elsewhere.hostEdit.editingFinished.emit()
        assert words in panel.ui.segmentButton.toolTip + panel.ui.estimateLabel.text
        assert not panel.ui.segmentButton.enabled
    assert not panel.results.exists()
