"""The panel itself: its controls, what fits, what can be clicked when, and the strip that tells what goes on."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from support.module_panel import MODULE, Panel

UI_FILE = MODULE.parent / "Resources" / "UI" / "Agg2ExpModule.ui"


@pytest.fixture
def panel(slicerApp, tmp_path: Path, small_weights: Path) -> Iterator[Panel]:  # noqa: N803
    return Panel(slicerApp, tmp_path, small_weights)


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
    for section in ("input", "labels", "explain", "display", "importance", "counter", "export"):
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


def test_the_strip_is_seen_whatever_is_scrolled_and_goes_with_the_panel(panel: Panel) -> None:
    import slicer

    panel.controller.say("Something to read")
    panel.open("input", "labels", "explain", "display", "importance", "compare", "export")
    bar = slicer.util.mainWindow()._scroll.verticalScrollBar()
    assert bar.maximum > 500
    for value in (0, bar.maximum // 2, bar.maximum):
        bar.value = value
        panel.app.app.processEvents()
        assert panel.sees(panel.ui.statusLabel)
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
