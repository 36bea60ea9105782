"""Temporary folders of runs: for the user alone, and cleared when the Slicer that made them was killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from support.module_panel import Panel
from support.paths import MODULE_FOLDER, ROOT
from support.small_result import SHAPE, affine_of_grid, write_result

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kills by signal")
KILLED = """
import os, sys, types
slicer = types.ModuleType("slicer"); slicer.app = types.SimpleNamespace(temporaryPath=sys.argv[1])
sys.modules["slicer"] = slicer; sys.path[:0] = sys.argv[2:]
from Agg2ExpModuleLib.engine.WorkFolder import WorkFolder
folder = WorkFolder()
(folder.path / "ct.nrrd").write_bytes(b"a patient")
print(folder.path, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def killed(tmp_path: Path):
    """A process with a work folder in the folder; killed by the test."""
    arguments = [sys.executable, "-c", KILLED, str(tmp_path), str(MODULE_FOLDER), str(ROOT)]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process, Path(process.stdout.readline().strip())
    process.kill()
    process.communicate()


def test_a_folder_goes_when_its_owner_is_gone_and_not_before(panelInPath, killed, tmp_path: Path, monkeypatch) -> None:  # noqa: N803
    import slicer

    from Agg2ExpModuleLib.engine.WorkFolder import WorkFolder, clearAbandoned

    monkeypatch.setattr(slicer.app, "temporaryPath", str(tmp_path))
    process, left = killed
    mine = WorkFolder()
    assert left.stat().st_mode & 0o077 == 0, "nobody else may look into it"
    assert mine.path.stat().st_mode & 0o077 == 0
    (tmp_path / "Agg2Exp-other").mkdir()  # without a lock: it may be in the making
    old = tmp_path / "Agg2Exp-old"  # of an earlier version
    old.mkdir()
    os.utime(old, (time.time() - 1e6, time.time() - 1e6))
    assert clearAbandoned() == [old]
    assert (left / "ct.nrrd").exists(), "its owner lives"
    process.kill()
    process.wait()
    assert clearAbandoned() == [left]
    assert not left.exists()
    assert mine.path.exists()
    mine.remove()
    assert not mine.path.exists()
    assert (tmp_path / "Agg2Exp-other").exists()


def test_the_start_of_slicer_clears_them(slicerApp, killed, tmp_path: Path, monkeypatch) -> None:  # noqa: N803
    import slicer

    monkeypatch.setattr(slicer.app, "temporaryPath", str(tmp_path))
    process, left = killed
    process.kill()
    process.wait()
    slicerApp.load_module(MODULE_FOLDER / "Agg2ExpModule.py")
    slicerApp.app.emit_signal("startupCompleted()")
    assert not left.exists()


def test_regions_drawn_in_the_scene_are_handed_over_in_such_a_folder(slicerApp, tmp_path: Path, monkeypatch) -> None:  # noqa: N803
    import tempfile

    import slicer

    write_result(tmp_path / "result")
    panel = Panel(slicerApp, tmp_path, Path("none"))
    assert panel.widget.exporting.load(tmp_path / "result")
    panel.wait()
    from Agg2ExpLib.views.mrml_nodes import Segment, add_segmentation
    from Agg2ExpModuleLib.engine.WorkFolder import clearAbandoned
    from Agg2ExpModuleLib.scene.ExtraRegions import ExtraRegions

    ours, systems = tmp_path / "slicer", tmp_path / "system"
    for folder in (ours, systems):
        folder.mkdir()
    monkeypatch.setattr(slicer.app, "temporaryPath", str(ours))
    monkeypatch.setattr(tempfile, "tempdir", str(systems))
    mask = np.zeros(SHAPE, np.uint8)
    mask[20:30, 20:30, 20:30] = 1
    layers = [(mask, affine_of_grid(), [Segment("a", "Box", (0, 255, 0), 1)])]
    drawn = add_segmentation(slicer.mrmlScene, layers, "Drawn", panel.record.ct)
    work = ExtraRegions(panel.record, drawn).steps()
    next(work)
    (folder,) = ours.iterdir()
    assert folder.stat().st_mode & 0o077 == 0, "nobody else may look into it"
    assert clearAbandoned() == [], "it is in use"
    work.close()  # as Cancel does
    assert not list(ours.iterdir())
    addition = ExtraRegions(panel.record, drawn)
    for _what in addition.steps():
        assert not list(systems.iterdir())
    assert addition.added == ["Box"]
    assert not list(ours.iterdir())
