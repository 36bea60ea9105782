"""Every attribution method in the panel: its words, its parameters on the way from widgets to the job, and how they are kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from Agg2ExpLib.attribution.methods import METHODS, all_parameters, make_method
from Agg2ExpLib.runs.job import Job
from support.module_panel import Panel

OTHER_TEXT = "decoder1"


@pytest.fixture
def panel(slicerApp, tmp_path: Path, small_weights: Path) -> Iterator[Panel]:  # noqa: N803
    return Panel(slicerApp, tmp_path, small_weights)


def choose(panel: Panel, name: str) -> None:
    panel.ui.methodCombo.currentIndex = list(METHODS).index(name)
    panel.app.app.processEvents()
    assert panel.parameters.method == name


def field(panel: Panel, name: str) -> Any:
    return panel.widget.explaining.form.field(name)


def change(panel: Panel, entry: Any) -> Any:
    """Set a parameter to something else with its widget; returns what a job should hold."""
    widget = field(panel, entry.name)
    assert widget.visible, entry.name
    if entry.name == "references":
        import qt

        widget.item(0).setCheckState(qt.Qt.Checked)
        return None
    if entry.choices:
        widget.currentIndex = len(entry.choices) - 1
        return entry.choices[-1]
    if entry.kind == "bool":
        panel.click(widget)
        return not entry.default
    if entry.kind == "str":
        widget.text = OTHER_TEXT
        return OTHER_TEXT
    if entry.kind == "float | None":  # chosen in place of the number of samples, which is tested elsewhere
        return entry.default
    value = 8 if entry.kind == "int | str" else entry.default + 2 if entry.kind == "int" else entry.default / 2
    widget.value = value
    return value


def kept(panel: Panel) -> dict[str, Any]:
    """What the scene keeps of methods, but that the tests' panel takes a number of samples."""
    found = json.loads(panel.parameters.methodParameters)
    assert found.pop("tolerance", 0) is None
    return found


def job_of(panel: Panel) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the engine is told by a click on Explain, as the child reads it; no child computes here. With it the files it names."""
    from Agg2ExpLib.io.read import read_volume

    engine, told = panel.controller.engine, {}
    real_start, program = engine.start, engine.warm._python

    def start(job: dict[str, Any]) -> None:
        real_start(job)
        content = json.loads(json.dumps(job))
        told["job"], told["files"] = content, {path: read_volume(Path(path)) for path in content.get("references", ())}

    engine.warm.renew()
    engine.start, engine.warm._python = start, "/bin/true"
    try:
        panel.click(panel.ui.applyButton)
        panel.wait()
    finally:
        engine.start, engine.warm._python = real_start, program
        engine.warm._child = None
    return told["job"], told["files"]


def ready(panel: Panel) -> Panel:
    panel.add_ct()
    panel.parameters.checkedLabels = ["lung"]
    panel.open("explain")
    panel.ui.advancedSection.collapsed = False
    panel.app.app.processEvents()
    return panel


def test_every_parameter_and_choice_has_words(panel: Panel) -> None:
    from Agg2ExpModuleLib.words.MethodWords import choiceTitle, choiceTitles, parameterTitles, sentence, titleOf

    parameters = all_parameters()
    assert set(parameters) == set(parameterTitles())
    choices = {choice for entry in parameters.values() for choice in entry.choices}
    assert choices == set(choiceTitles())
    assert titleOf("of_a_later_version") == "Of a later version"
    assert choiceTitle("later") == "later"
    assert sentence("of the seed") == "Of the seed."


def test_the_methods_are_explained_in_words(panel: Panel) -> None:
    import qt

    ready(panel)
    combo = panel.ui.methodCombo
    assert [combo.itemText(index) for index in range(combo.count)] == [method.title for method in METHODS.values()]
    for index, (name, method) in enumerate(METHODS.items()):
        choose(panel, name)
        assert method.summary in panel.ui.methodNote.text
        assert method.when in panel.ui.methodNote.text
        assert combo.toolTip == panel.ui.methodNote.text == combo.itemData(index, qt.Qt.ToolTipRole)
        shown = {key for key in all_parameters() if field(panel, key).visible}
        assert shown == {entry.name for entry in method.parameters()}
        assert all(field(panel, key).toolTip for key in shown)


def cut_off(widget: Any) -> bool:
    """Whether a widget's own text has less room than it takes."""
    from PySide6.QtWidgets import QCheckBox, QComboBox, QLabel, QStyle, QStyleOptionComboBox

    if isinstance(widget, QComboBox):
        option = QStyleOptionComboBox()
        widget.initStyleOption(option)
        room = widget.style().subControlRect(QStyle.CC_ComboBox, option, QStyle.SC_ComboBoxEditField, widget).width()
        return any(widget.fontMetrics().horizontalAdvance(widget.itemText(index)) > room for index in range(widget.count))
    if isinstance(widget, QLabel) and widget.wordWrap:
        return widget.height < widget.heightForWidth(widget.width)
    return isinstance(widget, QLabel | QCheckBox) and widget.width < widget.sizeHint.width()


def test_nothing_is_cut_off_in_a_narrow_panel(panel: Panel) -> None:
    from PySide6.QtWidgets import QWidget

    ready(panel)
    panel.add_ct("a CT with a name that is much longer than the list of a narrow panel is wide", shift=30.0)
    for name in METHODS:
        choose(panel, name)
        panel.app.wait(lambda: False, 0.2)
        assert panel.frame.width <= 350
        assert panel.frame.minimumSizeHint.width() <= 350
        seen = [child for child in panel.ui.explainContents.findChildren(QWidget) if child.visible]
        assert len(seen) > 20
        assert [child.objectName or child.text for child in seen if cut_off(child)] == [], name


@pytest.mark.parametrize("name", list(METHODS))
def test_parameters_reach_the_job(panel: Panel, name: str) -> None:
    ready(panel)
    panel.add_ct("other", shift=30.0)
    choose(panel, name)
    expected = {entry.name: change(panel, entry) for entry in METHODS[name].parameters()}
    job, files = job_of(panel)
    assert {key: value for key, value in job.items() if key in all_parameters() and key != "references"} == {
        key: value for key, value in expected.items() if key != "references"
    }
    assert job["method"] == name
    assert len(files) == ("references" in expected)
    read = Job.from_json(job)  # its types are right, too
    if name != "expected_gradients":
        assert read.method.make().record() == make_method(name, **expected).record()


def test_defaults_are_those_of_the_library(panel: Panel) -> None:
    ready(panel)
    panel.parameters.samples = 20  # of the tests' panel: 3
    for name in set(METHODS) - {"expected_gradients"}:
        choose(panel, name)
        assert panel.widget.explaining.form.field("seed").value == 0
        job, _files = job_of(panel)
        own = {entry.name: entry.default for entry in METHODS[name].parameters()}
        assert {key: value for key, value in job.items() if key in all_parameters()} == own
    assert kept(panel) == {}


def test_precision_in_place_of_a_number_of_samples(panel: Panel) -> None:
    ready(panel)
    panel.parameters.methodParameters = ""  # as in a new scene
    choose(panel, "smoothgrad")
    box = field(panel, "tolerance")
    assert box.currentText == "Good (± 0.5 points)"
    assert not field(panel, "samples").enabled
    assert "to ± 0.5 points" in panel.ui.estimateLabel.text
    job, _files = job_of(panel)
    assert job["tolerance"] == 0.5
    assert "samples" not in job
    assert Job.from_json(job).method.make().samples == 200  # the most
    box.currentIndex = box.findText("Quick (± 1 point)")
    assert json.loads(panel.parameters.methodParameters) == {"tolerance": 1.0}
    box.currentIndex = box.findText("Number of samples")
    assert kept(panel) == {}
    assert field(panel, "samples").enabled
    assert "× 4 samples" in panel.ui.estimateLabel.text
    job, _files = job_of(panel)
    assert (job["tolerance"], job["samples"]) == (None, 3)
    box.currentIndex = box.findText("Good (± 0.5 points)")
    assert panel.parameters.methodParameters == ""
    choose(panel, "vargrad")
    assert field(panel, "samples").enabled
    choose(panel, "smoothgrad")
    panel.explain("lung", "heart")
    run = panel.record.run
    assert run["parameters"]["tolerance"] == 0.5
    assert set(run["samples"]) == {"lung", "heart"}
    assert "about" in panel.ui.estimateLabel.text, "the time of the next run is told from this one"


def test_only_what_differs_is_kept_and_shared_by_name(panel: Panel) -> None:
    ready(panel)
    choose(panel, "integrated_gradients")
    field(panel, "steps").value = 7
    field(panel, "baseline").currentIndex = 3
    assert kept(panel) == {"baseline": "blurred", "steps": 7}
    assert field(panel, "blur").enabled
    choose(panel, "kernel_shap")
    assert field(panel, "baseline").currentIndex == 3
    field(panel, "coalitions").value = 12
    field(panel, "coalitions").value = 0
    assert field(panel, "coalitions").text == "auto"
    field(panel, "baseline").currentIndex = 0
    assert kept(panel) == {"steps": 7}
    choose(panel, "integrated_gradients")
    field(panel, "steps").value = 20
    assert kept(panel) == {}


def test_what_does_nothing_is_disabled(panel: Panel) -> None:
    ready(panel)
    choose(panel, "kernel_shap")
    enabled = {}
    for index, kind in enumerate(("semantic", "cubes", "slic")):
        field(panel, "supervoxels").currentIndex = index
        enabled[kind] = (field(panel, "regions").enabled, field(panel, "compactness").enabled)
    assert enabled == {"semantic": (False, False), "cubes": (True, False), "slic": (True, True)}
    assert field(panel, "seed").enabled
    choose(panel, "integrated_gradients")
    assert not field(panel, "seed").enabled
    field(panel, "baseline").currentIndex = 4  # random values
    assert field(panel, "seed").enabled
    assert not field(panel, "blur").enabled


def test_values_survive_a_saved_scene(panel: Panel, tmp_path: Path) -> None:
    import qt
    import slicer

    ready(panel)
    other = panel.add_ct("other", shift=30.0)
    choose(panel, "expected_gradients")
    field(panel, "references").item(0).setCheckState(qt.Qt.Checked)
    panel.parameters.methodParameters = json.dumps({"layer": 'a "quoted" <layer>', "relu": False, "coalitions": 30})
    panel.parameters.globalMask, panel.parameters.maskCoverage = True, 80
    (tmp_path / "saved").mkdir()
    assert slicer.util.saveScene(str(tmp_path / "saved" / "scene.mrb"))
    slicer.mrmlScene.Clear()
    assert panel.parameters.methodParameters == ""
    assert panel.ui.methodCombo.currentIndex == 0
    slicer.util.loadScene(str(tmp_path / "saved" / "scene.mrb"))
    panel.app.app.processEvents()
    names = {node.GetName(): node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")}
    assert set(names) == {"chest", "other"}
    assert names["other"] is not other
    panel.ui.advancedSection.collapsed = False
    assert field(panel, "references").item(0).text() == "other"
    assert field(panel, "references").item(0).checkState() == qt.Qt.Checked
    assert panel.ui.globalMaskCheckBox.checked
    assert panel.ui.maskCoverageSpinBox.value == 80
    choose(panel, "layer_cam")
    assert field(panel, "layer").text == 'a "quoted" <layer>'
    assert not field(panel, "relu").checked
    choose(panel, "kernel_shap")
    assert field(panel, "coalitions").value == 30


def test_references_are_the_other_cts_of_the_scene(panel: Panel) -> None:
    import qt
    import slicer

    from Agg2ExpLib.views.mrml_nodes import affine_of, array_of

    panel.parameters.checkedLabels = ["lung"]
    ct = panel.add_ct()
    panel.parameters.checkedLabels = ["lung"]
    panel.open("explain")
    choose(panel, "expected_gradients")
    assert not panel.ui.advancedSection.collapsed  # what is missing is there
    assert "scans to compare with" in panel.ui.estimateLabel.text
    assert not panel.ui.applyButton.enabled
    rows = field(panel, "references")
    assert not rows.item(0).flags() & qt.Qt.ItemIsEnabled  # only a hint
    first, second = panel.add_ct("first", shift=30.0), panel.add_ct("second", shift=-20.0)
    assert [rows.item(index).text() for index in range(rows.count)] == ["first", "second"]
    for index in (1, 0):
        rows.item(index).setCheckState(qt.Qt.Checked)
    assert panel.ui.applyButton.enabled, panel.ui.applyButton.toolTip
    panel.ui.inputSelector.setCurrentNode(first)  # now this one is explained, and nothing to compare with itself
    assert [rows.item(index).text() for index in range(rows.count)] == ["chest", "second"]
    panel.ui.inputSelector.setCurrentNode(ct)
    assert [rows.item(index).checkState() == qt.Qt.Checked for index in range(rows.count)] == [True, True]
    job, files = job_of(panel)
    assert not any(Path(path).exists() for path in files), "they go when the run has ended"
    assert Path(job["ct"]).exists(), "the CT stays for the next run"
    for volume, node in zip(files.values(), (first, second), strict=True):
        np.testing.assert_allclose(volume.affine, affine_of(node), atol=1e-6)
        np.testing.assert_array_equal(volume.array, array_of(node))
    slicer.mrmlScene.RemoveNode(second)
    choose(panel, "gradient")
    choose(panel, "expected_gradients")
    assert [rows.item(index).text() for index in range(rows.count)] == ["first"]
    assert panel.ui.applyButton.enabled
    panel.parameters.samples = 2
    panel.explain("lung")
    stored = panel.record.run["parameters"]
    assert len(stored["references"]) == 1
    assert len(stored["references"][0]) == 64
    assert panel.record.title.startswith("Expected gradients, 2 samples")


def test_kernel_shap_with_a_global_mask(panel: Panel) -> None:
    from Agg2ExpModuleLib.scene.SceneVolumes import segmentMask

    ready(panel)
    assert not panel.ui.maskCoverageSpinBox.enabled
    panel.click(panel.ui.globalMaskCheckBox)
    panel.ui.maskCoverageSpinBox.value = 60
    choose(panel, "kernel_shap")
    field(panel, "supervoxels").currentIndex = 1
    field(panel, "regions").value = 12
    field(panel, "coalitions").value = 10
    assert "10 coalitions" in panel.ui.estimateLabel.text
    assert "not known beforehand" in panel.ui.estimateLabel.text
    panel.explain("lung", "heart")
    stored = panel.record.run["parameters"]
    assert (stored["method"], stored["supervoxels"], stored["regions"], stored["coalitions"]) == ("kernel_shap", "cubes", 12, 10)
    assert "samples" not in stored
    assert panel.record.title.startswith("KernelSHAP, Cubes")
    assert "not known beforehand" in panel.ui.estimateLabel.text  # such a run does not tell how long others take
    facts = panel.record.run["global_mask"]
    assert stored["mask_coverage"] == 0.6
    assert facts["coverage"] >= 0.6
    assert set(facts["dice"]) == {"lung", "heart"}
    mask, _affine = segmentMask(panel.record.globalMask, "global_mask")
    voxels = np.prod(panel.record.run["model_grid"]["shape"])
    assert mask.sum() == pytest.approx(facts["volume_share"] * voxels, rel=1e-3)
    panel.open("display")
    assert f"{facts['kept']} of {facts['regions']} supervoxels" in panel.ui.maskNote.text
    assert panel.ui.maskNote.visible
    panel.open("explain")
    field(panel, "coalitions").value = 1
    panel.app.app.processEvents()
    assert not panel.ui.applyButton.enabled
    assert "“Coalitions”" in panel.ui.applyButton.toolTip


def test_a_method_of_another_version(panel: Panel) -> None:
    ready(panel)
    panel.parameters.method = "of_a_later_version"
    assert panel.ui.methodCombo.currentIndex == -1
    assert "of_a_later_version" in panel.ui.applyButton.toolTip
    assert not panel.ui.applyButton.enabled
    assert not [name for name in all_parameters() if field(panel, name).visible]
    panel.parameters.methodParameters = "not JSON"
    choose(panel, "integrated_gradients")
    assert field(panel, "steps").value == 20
    field(panel, "steps").value = 30  # and what cannot be read is written anew
    assert json.loads(panel.parameters.methodParameters) == {"steps": 30}
    strange = {"steps": "many", "rule": "of a later version", "blur": None, "coalitions": "few", "relu": 1, "layer": 3}
    panel.parameters.methodParameters = json.dumps(strange)
    for name in ("integrated_gradients", "layer_cam", "kernel_shap"):
        choose(panel, name)
        job, _files = job_of(panel)
        own = {entry.name: entry.default for entry in METHODS[name].parameters()}
        assert {key: value for key, value in job.items() if key in all_parameters()} == own


def test_a_bad_value_is_told_in_the_words_of_the_panel_before_the_run(panel: Panel) -> None:
    panel.add_ct()
    panel.parameters.checkedLabels = ["heart"]
    panel.open("explain")
    panel.parameters.samples = 1
    panel.ui.advancedSection.collapsed = False
    panel.app.app.processEvents()
    choose(panel, "smoothgrad")
    assert panel.ui.applyButton.enabled
    choose(panel, "vargrad")
    assert panel.ui.estimateLabel.text == "VarGrad needs at least two noise samples, not 1: set “Samples” to 20, say."
    assert not panel.ui.applyButton.enabled
    panel.parameters.samples = 4
    panel.app.app.processEvents()
    assert panel.ui.applyButton.enabled


def test_every_option_named_by_the_library_has_a_word_in_the_panel(panel: Panel) -> None:
    from Agg2ExpModuleLib.words.OptionWords import inPanelWords

    assert inPanelWords("raise ⟨steps⟩ or choose another ⟨baseline⟩") == "raise “Steps” or choose another “Baseline”"
    assert inPanelWords("use ⟨method⟩ kernel_shap, which") == "use the method KernelSHAP, which"
    assert inPanelWords("add ⟨unknown_option⟩") == "add unknown_option"
    for name in all_parameters():
        assert "“" in inPanelWords(f"set ⟨{name}⟩ now"), name
