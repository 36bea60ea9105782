"""The panel clicked through on a small CT with real child processes: segment, explain, cancel, and all that can go wrong."""

from __future__ import annotations

import json
import os
import signal
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from support.module_panel import AFFINE, MODULE, Panel, watch_for_blocking

UI_FILE = MODULE.parent / "Resources" / "UI" / "Agg2ExpModule.ui"


@pytest.fixture
def panel(slicerApp, tmp_path: Path, small_weights: Path) -> Iterator[Panel]:  # noqa: N803
    return Panel(slicerApp, tmp_path, small_weights)


def leftovers(panel: Panel) -> list[str]:
    """Files that a run that did not succeed should have taken away."""
    import slicer

    found = [str(path) for path in Path(slicer.app.temporaryPath).glob("Agg2Exp-*")]
    return found + ([str(path) for path in panel.results.iterdir()] if panel.results.exists() else [])


def started(panel: Panel, labels: list[str], samples: int = 400) -> None:
    """A run that goes on for long enough to be disturbed."""
    panel.parameters.samples = samples
    panel.parameters.checkedLabels = labels
    panel.open("explain")
    panel.click(panel.ui.applyButton)
    panel.wait(lambda: panel.controller.fraction is not None and panel.controller.fraction > 0.1)


def test_every_control_has_a_tooltip(panel: Panel) -> None:
    import ctk
    import qt
    import slicer

    kinds = (
        qt.QPushButton,
        qt.QToolButton,
        qt.QComboBox,
        qt.QSpinBox,
        qt.QDoubleSpinBox,
        qt.QCheckBox,
        qt.QTreeWidget,
        qt.QLineEdit,
    )
    names = [widget.get("name") for widget in ElementTree.parse(UI_FILE).iter("widget")]
    own = {name: getattr(panel.ui, name) for name in names if hasattr(panel.ui, name)}
    composite = (ctk.ctkSliderWidget, ctk.ctkPathLineEdit, slicer.qMRMLNodeComboBox)
    controls = {name: child for name, child in own.items() if isinstance(child, kinds + composite)}
    assert len(controls) > 40
    assert not [name for name, child in controls.items() if not child.toolTip]


@pytest.mark.parametrize("width", [350, 500])
def test_the_panel_fits(panel: Panel, width: int) -> None:
    for section in ("input", "labels", "explain", "display", "importance", "export"):
        panel.open(section)
        panel.ui.advancedSection.collapsed = False
        panel.app.app.processEvents()
        assert panel.frame.minimumSizeHint.width() <= width, section


def test_first_steps_without_anything(panel: Panel) -> None:
    assert not panel.ui.applyButton.enabled
    assert "CT" in panel.ui.applyButton.toolTip
    panel.add_ct()
    assert panel.parameters.inputVolume is not None  # the first CT is taken
    assert "label" in panel.ui.estimateLabel.text
    assert panel.ui.segmentButton.enabled
    assert [entry.name for entry in panel.widget.labels.list.entries] == ["lung", "heart", "bone", "vessel"]
    panel.parameters.weights = "/nowhere/model.pt"
    assert not panel.ui.segmentButton.enabled
    assert "does not exist" in panel.ui.modelInfoLabel.text
    panel.click(panel.ui.demoModelButton)
    assert panel.parameters.weights.endswith("agg2exp_demo.safetensors")
    assert len(panel.widget.labels.list.entries) == 16


def test_devices(panel: Panel) -> None:
    from Agg2ExpModuleLib.engine.RunOutcome import RunOutcome

    def offered() -> list[str]:
        return [panel.ui.deviceCombo.itemText(index) for index in range(panel.ui.deviceCombo.count)]

    inputs = panel.widget.inputs
    assert offered() == ["Auto", "CPU"]
    card = {"id": "cuda:0", "name": "NVIDIA T4", "free_bytes": 15100000000, "total_bytes": 16000000000}
    inputs._onDevices(RunOutcome("done", content={"event": "done", "devices": [card]}))
    assert offered() == ["Auto", "NVIDIA T4 (15.1 GB free)", "CPU"]
    panel.ui.deviceCombo.currentIndex = 1
    assert panel.parameters.device == "cuda:0"
    inputs._onDevices(RunOutcome("error"))  # PyTorch is broken, or the card is gone
    assert offered() == ["Auto", "CPU", "cuda:0 (not found)"]
    panel.parameters.device = "cpu"
    inputs.findDevices()  # the real process
    panel.wait(lambda: not inputs._child.running)
    assert offered()[0] == "Auto"
    assert "CPU" in offered()


def test_labels_are_searched_and_checked_by_system(panel: Panel) -> None:
    from PySide6.QtTest import QTest

    panel.add_ct()
    panel.click(panel.ui.demoModelButton)
    panel.open("labels")
    QTest.keyClicks(panel.ui.searchBox, "lung upper")
    panel.click(panel.ui.allButton)
    assert list(panel.parameters.checkedLabels) == ["lung_upper_lobe_left", "lung_upper_lobe_right"]
    panel.ui.searchBox.text = ""
    panel.click(panel.ui.noneButton)
    assert list(panel.parameters.checkedLabels) == []
    cardiovascular = panel.widget.labels.list.item("aorta").parent()
    import qt

    cardiovascular.setCheckState(0, qt.Qt.Checked)
    assert list(panel.parameters.checkedLabels) == ["aorta", "heart", "pulmonary_vein"]


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
    assert not list(Path(slicer.app.temporaryPath).glob("Agg2Exp-*"))
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
    os.kill(panel.controller.engine.child.pid, signal.SIGKILL)
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


class FewPackages:
    """An installer on a computer where two packages are missing until they are installed."""

    def __init__(self) -> None:
        from Agg2ExpModuleLib.setup.RequirementsCheck import Requirement

        self.needed = [Requirement("torch", "torch>=2.2", 2500.0, "runs it"), Requirement("monai", "monai>=1.5.1", 3.0, "networks")]
        self.obstacle = ""
        self.code = "print('Installing collected packages: torch')"

    def missing(self) -> list:
        return self.needed

    def describe(self, missing: list) -> str:
        return f"Install {len(missing)} packages?"

    def plan(self, missing: list, wheelFolder: str | None = None) -> list:  # noqa: N803
        from Agg2ExpModuleLib.setup.Installer import Command, InstallError

        if self.obstacle:
            raise InstallError(self.obstacle)
        return [Command("PyTorch", ("-c", self.code), 2500.0)]

    def constraints(self, command: object, missing: list) -> str:
        if self.code.startswith("print"):
            self.needed = []  # it will be there
        return ""

    def removeBrokenTorch(self) -> str:  # noqa: N802
        return ""


def seen(panel: Panel, widget: object) -> bool:
    """Whether a widget lies within the visible part of the main window."""
    import slicer

    window = slicer.util.mainWindow()
    where = widget.mapTo(window, widget.rect.center())  # type: ignore[attr-defined]
    return widget.visible and window.rect.contains(where) and not widget.visibleRegion().isEmpty()  # type: ignore[attr-defined]


def test_missing_packages_are_named_and_asked_for(panel: Panel) -> None:
    panel.add_ct()
    panel.widget.requirements.installer = installer = FewPackages()
    panel.widget.requirements.check()
    panel.open("input", "explain")
    assert panel.ui.requirementsFrame.visible
    assert "torch, monai" in panel.ui.requirementsLabel.text
    assert "2.5 GB" in panel.ui.requirementsLabel.text
    assert not panel.ui.segmentButton.enabled
    assert "requirements" in panel.ui.applyButton.toolTip
    panel.app.app.testing = False  # ask as in use
    installer.obstacle = "Install the extension first."
    panel.click(panel.ui.installButton)
    assert panel.app.dialogs.texts == [], "what cannot succeed is not asked for"
    assert panel.ui.statusLabel.text == "Install the extension first."
    assert seen(panel, panel.ui.statusLabel)
    installer.obstacle = ""
    panel.app.dialogs.answers.append(False)
    panel.click(panel.ui.installButton)
    assert not panel.controller.busy
    assert panel.app.dialogs.texts == ["Install 2 packages?"]
    panel.app.dialogs.answers.append(True)
    panel.click(panel.ui.installButton)
    assert panel.controller.task == "install"
    panel.wait()
    assert not panel.ui.requirementsFrame.visible
    assert panel.ui.segmentButton.enabled
    assert panel.ui.statusLabel.text == "Everything is installed."
    assert seen(panel, panel.ui.statusLabel)


def test_an_installation_is_seen_stopped_and_its_failure_told_where_one_looks(panel: Panel) -> None:
    panel.widget.requirements.installer = installer = FewPackages()
    panel.widget.requirements.check()
    panel.open("input")
    installer.code = "import time; time.sleep(600)"
    panel.app.app.testing = False  # ask as in use; the answer is yes
    panel.click(panel.ui.installButton)
    panel.wait(lambda: panel.widget.requirements.child.pid is not None)
    assert seen(panel, panel.ui.progressBar)
    assert seen(panel, panel.ui.cancelButton)
    assert not panel.ui.applyButton.enabled
    panel.click(panel.ui.cancelButton)
    panel.wait(seconds=20)
    assert "stopped" in panel.ui.statusLabel.text
    installer.code = "import sys; sys.exit('ERROR: no space left on device')"
    panel.click(panel.ui.installButton)
    panel.wait()
    assert panel.controller.failed
    assert "no space left on device" in panel.ui.statusLabel.text
    assert "no space left on device" in panel.ui.logText.plainText
    assert seen(panel, panel.ui.statusLabel)
    panel.click(panel.ui.logButton)
    for _round in range(5):
        panel.app.app.processEvents()
    assert seen(panel, panel.ui.logText)


def test_the_strip_is_seen_whatever_is_scrolled_and_goes_with_the_panel(panel: Panel) -> None:
    import slicer

    panel.controller.say("Something to read")
    panel.open("input", "labels", "explain", "display", "importance", "compare", "export")
    bar = slicer.util.mainWindow()._scroll.verticalScrollBar()
    assert bar.maximum > 500
    for value in (0, bar.maximum // 2, bar.maximum):
        bar.value = value
        panel.app.app.processEvents()
        assert seen(panel, panel.ui.statusLabel)
    panel.widget.exit()
    assert panel.ui.runFrame.parentWidget() is panel.widget.state.root, "another module's panel does not have it"
    panel.widget.enter()
    assert panel.ui.runFrame.parentWidget() is slicer.util.mainWindow()._panel
    panel.widget.cleanup()
    assert panel.ui.runFrame.parentWidget() is panel.widget.state.root


def test_what_changes_for_ever_is_told_bit_by_bit(panel: Panel) -> None:
    """Nothing that is pending is lost, and the application goes on meanwhile."""
    told: list[object] = []

    class Restless:
        def refresh(self, changed: set) -> None:
            told.extend(name for name in changed if name == "restless")
            if "restless" in changed and len(told) < 50:
                panel.widget.state.tell({"restless"})

    class Broken:
        def refresh(self, changed: set) -> None:
            if "restless" in changed and len(told) == 1:
                raise ValueError("a section is broken")

    panel.widget.state.sections += [Restless(), Broken()]
    with pytest.raises(ValueError, match="a section is broken"):
        panel.widget.state.tell({"restless"})
    assert 1 < len(told) < 50
    panel.wait(lambda: len(told) == 50, 5)


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
    found = affine_of(panel.record.overlays["lung"])
    assert found[2, 3] == pytest.approx(AFFINE[2, 3] + 50.0, abs=1e-6)  # the model grid begins at the scan's lowest slice


def test_the_modules_own_test(panel: Panel, small_weights: Path) -> None:
    import slicer

    from Agg2ExpModuleLib.panel.ModuleTest import runModuleTest

    slicer.mrmlScene.Clear()
    import Agg2ExpModule

    runModuleTest(Agg2ExpModule.Agg2ExpModuleTest(), small_weights, panel.add_ct(), "lung")
