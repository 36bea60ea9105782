"""Runs from the panel with real child processes on a small CT: segment, explain, cancel, and all that can go wrong."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from support.module_panel import AFFINE, Panel, watch_for_blocking


@pytest.fixture
def panel(slicerApp, tmp_path: Path, small_weights: Path) -> Iterator[Panel]:  # noqa: N803
    return Panel(slicerApp, tmp_path, small_weights)


def leftovers(panel: Panel) -> list[str]:
    """Files that a run that did not succeed should have taken away; the CT's stays for the next one."""
    import slicer

    kept = panel.controller.ctFile._path
    found = [str(path) for path in Path(slicer.app.temporaryPath).glob("Agg2Exp-*") if kept is None or path != kept.parent]
    return found + ([str(path) for path in panel.results.iterdir()] if panel.results.exists() else [])


def started(panel: Panel, labels: list[str], samples: int = 400) -> None:
    """A run that goes on for long enough to be disturbed."""
    panel.parameters.samples = samples
    panel.parameters.checkedLabels = labels
    panel.open("explain")
    panel.click(panel.ui.applyButton)
    panel.wait(lambda: panel.controller.fraction is not None and panel.controller.fraction > 0.1)


def test_segment_and_explain(panel: Panel) -> None:
    import slicer

    ct = panel.add_ct()
    panel.open("labels", "explain")
    longest = watch_for_blocking(panel)
    panel.click(panel.ui.segmentButton)
    assert panel.ui.segmentButton.text == "Cancel"
    assert not panel.ui.applyButton.enabled
    panel.wait()
    assert not panel.controller.failed, panel.controller.message
    assert "Found 3 labels" in panel.ui.statusLabel.text
    assert panel.record.segmentation.GetSegmentation().GetNumberOfSegments() == 3
    entries = {entry.name: entry for entry in panel.widget.labels.list.entries}
    assert entries["lung"].volume > 0
    assert entries["vessel"].volume == 0

    panel.click(panel.ui.allButton)
    assert list(panel.parameters.checkedLabels) == ["lung", "heart", "bone"]  # what was not found cannot be explained
    seen: list[str] = []
    panel.controller.engine.onEvent.append(lambda event: seen.append(event["event"]))
    previews: list[str] = []

    def watching() -> bool:
        node = panel.controller.live.node
        if node is not None:
            previews.append(node.GetName())
            assert node.GetAttribute("Agg2Exp.Preliminary") == "1"
            if panel.widget.display.shown is node:
                assert panel.ui.mapCombo.currentText
            shown = {view.GetForegroundVolumeID() for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")}
            assert shown == {node.GetID()}
        return not panel.controller.busy

    panel.click(panel.ui.applyButton)
    assert panel.ui.applyButton.text == "Cancel"
    panel.wait(watching)
    assert not panel.controller.failed, panel.controller.message
    assert "partial" in seen
    assert previews, "no preliminary map was shown"
    assert previews[0].endswith("/4")
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    assert not [node for node in nodes if node.GetAttribute("Agg2Exp.Preliminary")]
    assert list(panel.record.overlays) == ["lung", "heart", "bone"]
    assert panel.parameters.mapLabel in panel.record.overlays
    assert panel.ui.inputSelector.currentNode() is ct
    entries = {entry.name: entry for entry in panel.widget.labels.list.entries}
    assert 0 < entries["lung"].context < 1
    (kept,) = Path(slicer.app.temporaryPath).glob("Agg2Exp-*")
    assert {path.name for path in kept.iterdir()} == {"chest.nrrd", "in-use.lock"}, "the CT alone stays, for the next run"
    folder = panel.record.folder
    assert folder is not None
    assert json.loads((folder / "run.json").read_text())["patient"] == "chest"
    assert max(longest) < 0.3, "the panel was blocked"
    # now time can be told
    assert "about" in panel.ui.estimateLabel.text

    panel.explain("heart")  # again, on its own: joins the matrix
    assert panel.record.matrix.rows == ("lung", "heart", "bone")


def test_cancel(panel: Panel) -> None:
    import slicer

    panel.add_ct()
    started(panel, ["lung", "heart"])
    nodes = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    began = time.monotonic()
    panel.click(panel.ui.applyButton)
    assert not panel.ui.applyButton.enabled
    panel.wait()
    assert time.monotonic() - began < 8
    assert "Cancelled" in panel.ui.statusLabel.text
    assert not panel.controller.failed
    assert leftovers(panel) == []
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") <= nodes
    assert panel.record is None
    assert panel.ui.applyButton.enabled


def test_the_child_is_killed(panel: Panel) -> None:
    panel.add_ct()
    started(panel, ["lung"])
    os.kill(panel.controller.engine.warm.pid, signal.SIGKILL)
    panel.wait()
    assert panel.controller.failed
    assert panel.controller.message
    assert "signal 9" in panel.ui.statusLabel.text
    assert panel.controller.hint
    assert panel.ui.runFrame.visible
    assert leftovers(panel) == []
    assert panel.ui.applyButton.enabled  # and one can try again


def test_the_ct_is_deleted_during_a_run(panel: Panel) -> None:
    import slicer

    ct = panel.add_ct()
    started(panel, ["lung"])
    slicer.mrmlScene.RemoveNode(ct)
    panel.wait()
    assert "removed" in panel.controller.message
    assert leftovers(panel) == []
    assert not panel.ui.applyButton.enabled


def test_the_scene_is_closed_during_a_run(panel: Panel) -> None:
    import slicer

    panel.add_ct()
    started(panel, ["lung"])
    slicer.mrmlScene.Clear()
    panel.wait()
    assert "closed" in panel.controller.message
    assert leftovers(panel) == []
    assert panel.record is None
    panel.add_ct("next")
    assert panel.parameters.inputVolume.GetName() == "next"


def test_a_run_that_fails_tells_why(panel: Panel) -> None:
    panel.add_ct()
    panel.parameters.device = "cuda:7"
    panel.parameters.checkedLabels = ["lung"]
    panel.ui.applyButton.click()
    panel.wait()
    assert panel.controller.failed
    assert "cuda:7" in panel.ui.statusLabel.text
    panel.open("explain")
    panel.click(panel.ui.dismissButton)
    assert not panel.ui.runFrame.visible


def test_a_drawn_segment_is_the_target(panel: Panel) -> None:
    panel.add_ct()
    blob = panel.draw("Blob", (slice(22, 28), slice(10, 18), slice(18, 26)))
    panel.open("labels", "explain")
    panel.click(panel.ui.drawnTargetCheckBox)
    assert panel.ui.targetFrame.visible
    assert not panel.ui.applyButton.enabled
    assert "Choose the drawn segment" in panel.ui.estimateLabel.text
    panel.parameters.targetSegmentation = blob
    assert panel.parameters.targetSegment == "Segment_1"
    assert "Choose" not in panel.ui.estimateLabel.text
    assert panel.ui.applyButton.enabled  # without a checked label: the one predicted most
    panel.explain()
    assert panel.record.run["target_mask"] is True
    assert len(panel.record.overlays) == 1
    assert panel.record.extra is not None
    first = panel.record
    panel.parameters.useDrawnTarget = False
    panel.explain("heart")
    assert panel.record.node is not first.node  # results of another kind stand beside
    assert panel.ui.recordCombo.count == 2
    panel.ui.recordCombo.currentIndex = 0
    assert panel.record.node is first.node


def test_a_ct_under_a_transform(panel: Panel) -> None:
    import slicer
    import vtk

    from Agg2ExpLib.views.mrml_nodes import affine_of

    ct = panel.add_ct()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(2, 3, 50.0)
    transform.SetMatrixTransformToParent(matrix)
    ct.SetAndObserveTransformNodeID(transform.GetID())
    panel.explain("lung")
    assert "about" in panel.ui.estimateLabel.text, "time is known after the first run"
    found = affine_of(panel.record.overlays["lung"])
    assert found[2, 3] == pytest.approx(AFFINE[2, 3] + 50.0, abs=1e-6)  # the model grid begins at the scan's lowest slice


def test_the_modules_own_test(panel: Panel, small_weights: Path) -> None:
    import slicer

    from Agg2ExpModuleLib.panel.ModuleTest import runModuleTest

    slicer.mrmlScene.Clear()
    import Agg2ExpModule

    runModuleTest(Agg2ExpModule.Agg2ExpModuleTest(), small_weights, panel.add_ct(), "lung")
