"""A classifier in the panel: chosen, run over the regions of another model, shown, kept in the scene, exported; a real run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from support.classifiers import CLASSES, write_small_classifier
from support.module_panel import Panel


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_classifier(tmp_path_factory.mktemp("classifier"), axes=(0, 1, 2))


@pytest.fixture
def panel(slicerApp, tmp_path: Path, classifier: Path) -> Panel:  # noqa: N803
    return Panel(slicerApp, tmp_path, classifier)


def test_what_a_classifier_changes_in_the_panel(panel: Panel, small_weights: Path, classifier: Path, tmp_path: Path) -> None:
    ui = panel.ui
    panel.add_ct()
    panel.open("input", "labels", "explain")
    assert ui.modelInfoLabel.text.startswith("Classifier · 3 classes · 6 mm")
    assert ui.labelsSection.text == "Classes"
    assert [entry.name for entry in panel.widget.labels.list.entries] == list(CLASSES)
    assert ui.labelTree.headerItem().text(0) == "Class"
    assert not ui.segmentButton.visible
    assert not ui.drawnTargetCheckBox.visible
    assert not ui.globalMaskCheckBox.enabled
    assert ui.segmenterCombo.visible
    assert ui.segmenterCombo.currentText == "Demo model"
    assert "class" in ui.estimateLabel.text
    panel.click(ui.allButton)
    assert ui.applyButton.enabled
    assert "3 classes" in ui.estimateLabel.text
    for segmenter, told in (
        (str(classifier), "is a classifier and draws no regions"),
        (str(tmp_path / "gone.pt"), "does not exist"),
    ):
        panel.parameters.segmenter = segmenter
        assert told in ui.applyButton.toolTip
        assert not ui.applyButton.enabled
    panel.parameters.segmenter = str(small_weights)
    assert ui.segmenterCombo.currentText == small_weights.name
    assert ui.applyButton.enabled
    panel.click(ui.demoClassifierButton)
    assert ui.modelInfoLabel.text.startswith("Classifier · 5 classes")
    panel.parameters.weights = str(small_weights)
    assert not ui.segmenterCombo.visible
    assert ui.labelsSection.text == "Labels"
    assert ui.segmentButton.visible
    assert ui.globalMaskCheckBox.enabled
    assert [entry.name for entry in panel.widget.labels.list.entries] == ["lung", "heart", "bone", "vessel"]


def test_a_class_that_is_a_region_too_is_told_before_the_run(panel: Panel, small_weights: Path, classifier: Path) -> None:
    card = classifier.with_suffix(".json")
    kept = card.read_text()
    card.write_text(json.dumps(json.loads(kept) | {"classes": ["Lung", "b", "c"]}))
    try:
        panel.add_ct()
        panel.parameters.segmenter = str(small_weights)
        panel.parameters.weights = ""
        panel.parameters.weights = str(classifier)
        panel.parameters.checkedLabels = ["b"]
        assert "both a class and a region" in panel.ui.applyButton.toolTip
    finally:
        card.write_text(kept)


def test_run_show_keep_and_export(panel: Panel, small_weights: Path, tmp_path: Path) -> None:
    import slicer

    panel.add_ct()
    from Agg2ExpModuleLib.scene.MapSurfaces import surfacesOf

    panel.open("labels", "explain")
    panel.parameters.segmenter = str(small_weights)
    panel.explain("opacity", "effusion")
    record, ui, widget = panel.record, panel.ui, panel.widget
    run = record.run
    assert "Explained 2 classes" in ui.statusLabel.text
    assert "The classifier says" in ui.statusLabel.text
    assert list(record.overlays) == ["opacity", "effusion"]
    assert [entry["name"] for entry in run["classes"]] == list(CLASSES)
    assert run["segmenter"]["name"] == "small"
    for entry in run["classes"]:  # also of the class that was not explained
        item = widget.labels.list.item(entry["name"])
        assert float(item.text(1)) == pytest.approx(100 * entry["probability"], abs=0.051)
        assert not item.isDisabled()
    assert ui.labelTree.isColumnHidden(2), "a class has no voxels of its own, so no context"
    matrix = record.matrix
    assert matrix.rows == ("opacity", "effusion")
    assert set(matrix.columns) >= {"background", "lung", "heart"}
    drawn = widget.importance.matrix.matrix()
    assert [row.title for row in drawn.rows] == ["Opacity", "Effusion"]
    assert not any(cell.own for row in drawn.cells for cell in row)
    nodes = {node.name: node for node in widget.importance.graph.graph().nodes}
    assert nodes["opacity"].explained
    assert not nodes["lung"].explained
    assert {edge.target for edge in widget.importance.graph.graph().edges} == {"opacity", "effusion"}
    assert "Opacity" in ui.wordsLabel.text
    widget.importance.graph.onNodeClicked[0]("effusion")  # what a click on the class does
    assert panel.parameters.mapLabel == "effusion"
    panel.parameters.mapLabel = "opacity"
    assert "class" in drawn.caption
    assert record.slices.classes == ("opacity", "effusion")
    assert widget.display.shown is record.overlays["opacity"]
    assert ui.mapCombo.currentText == "Opacity"
    assert not ui.whatIfButton.enabled
    assert "classifier draws nothing" in ui.whatIfNote.text

    panel.parameters.whatIfRegion = ""
    widget.importance.matrix.onCellClicked[0]("effusion", "lung")  # what a click on the cell does
    assert panel.parameters.mapLabel == "effusion"
    assert widget.display._outlined() == (record.segmentation, "lung")
    display = record.segmentation.GetDisplayNode()
    assert display.GetSegmentVisibility("lung")
    assert not display.GetSegmentVisibility("heart")
    panel.parameters.picture = "share"
    panel.wait(lambda: widget.display.shown is record.picture, 20)
    panel.parameters.picture = "voxels"
    panel.parameters.in3D = True
    panel.wait(lambda: not widget.display.in3D.busy, 20)
    assert surfacesOf(record.overlays["effusion"])
    panel.parameters.in3D = False

    panel.explain("contrast")  # a third class joins the two
    assert list(panel.record.overlays) == list(CLASSES)
    assert panel.record.matrix.rows == panel.record.slices.classes == CLASSES
    assert len(list(slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode"))) <= 3

    mask = panel.draw("node", (slice(8, 14), slice(10, 16), slice(15, 22)))
    panel.parameters.extraSegmentation = mask
    ui.addRegionsButton.click()
    panel.wait()
    assert panel.record.matrix.extra == ("node",)
    assert panel.record.matrix.rows == CLASSES

    target = tmp_path / "export"
    panel.parameters.exportFolderCopy, panel.parameters.exportPictures = True, False
    widget.exporting.export(target)
    panel.wait()
    assert not panel.controller.failed, panel.controller.message
    table = (target / "slice_importance.csv").read_text().splitlines()
    assert len(table) == 1 + 3 * (34 + 28 + 40)
    from Agg2ExpLib.runs.results import Results

    (folder,) = (path for path in target.iterdir() if path.is_dir())
    again = Results.open(folder)
    assert again.importance().rows == again.slices().classes == CLASSES
    assert again.importance().extra == ("node",)

    places = panel.record.positions
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear()
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    panel.app.app.processEvents()
    found = panel.record
    assert list(found.overlays) == list(CLASSES)
    assert found.matrix.rows == CLASSES
    assert found.positions == places
    np.testing.assert_allclose(found.slices.along("axial").mass.sum(1), 1)
    assert "Class" in ui.labelTree.headerItem().text(0)
    assert panel.widget.exporting.load(folder)  # a second set of results beside the first
    panel.wait()
    assert not panel.controller.failed, panel.controller.message
    assert panel.record.matrix.rows == CLASSES
