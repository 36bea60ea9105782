"""A counterfactual in the panel: made by a real process, shown by a slider that answers at once, kept in the scene, removed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

import Agg2ExpLib as agg2exp
from Agg2ExpLib.counterfactuals.outcome import Counterfactual
from Agg2ExpLib.counterfactuals.read import read_counterfactual
from support.autoencoders import exact_autoencoder, write_exact_autoencoder
from support.classifiers import write_small_classifier
from support.module_panel import AFFINE, Panel
from support.networks import small_chest

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, small_weights: Path) -> Path:
    """Of the panel's CT and the small network's heart, three frames each way."""
    from Agg2ExpLib.io.volume import Volume

    ct = Volume(small_chest(), AFFINE, "chest")
    found = agg2exp.counterfactual(ct, small_weights, "heart", frames=3, autoencoder=exact_autoencoder(), device="cpu")
    return found.save(tmp_path_factory.mktemp("counterfactual") / "heart")


@pytest.fixture
def panel(slicerApp, tmp_path: Path, small_weights: Path) -> Panel:  # noqa: N803
    shown = Panel(slicerApp, tmp_path, small_weights)
    shown.add_ct()
    shown.open("counter")
    return shown


def array(node: Any) -> np.ndarray:
    from Agg2ExpLib.views.mrml_nodes import array_of

    return np.asarray(array_of(node))


def drawn(node: Any, name: str, volume: Any) -> np.ndarray:
    """A segment's mask on the grid of a volume node."""
    from Agg2ExpLib.views.mrml_nodes import affine_of
    from Agg2ExpModuleLib.scene.SceneVolumes import segmentMask

    mask, affine = segmentMask(node, name)
    start = np.rint(np.linalg.inv(affine_of(volume)) @ affine)[:3, 3].astype(int)
    whole = np.zeros(array(volume).shape, bool)
    whole[tuple(slice(first, first + size) for first, size in zip(start, mask.shape, strict=True))] = mask
    return whole


def backgrounds() -> set[str]:
    import slicer

    return {view.GetBackgroundVolumeID() for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")}


def foregrounds() -> set[str | None]:
    import slicer

    return {view.GetForegroundVolumeID() for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")}


def loaded(panel: Panel, folder: Path) -> tuple[Any, Counterfactual]:
    assert panel.widget.exporting.load(folder)
    panel.wait()
    assert not panel.controller.failed, panel.controller.message
    return panel.widget.countering.shown.way, read_counterfactual(folder)


def test_the_slider_shows_every_frame_at_once(panel: Panel, folder: Path) -> None:
    ui, section = panel.ui, panel.widget.countering.shown
    way, found = loaded(panel, folder)
    assert "Less: the CT changes by" in ui.statusLabel.text
    assert ui.counterSlider.maximum == len(found.steps) - 1
    assert ui.counterSlider.value == 0, "the end is shown, at λ = 0 there is nothing to see"
    assert backgrounds() == {way.volume.GetID()}
    assert foregrounds() == {way.difference.GetID()}
    zero = way.start
    after = way.node.GetNodeReference("agg2expAfter")
    before = way.node.GetNodeReference("agg2expBefore")
    assert "heart" in way.changing
    assert [name for name in ("lung", "heart", "bone") if after.GetDisplayNode().GetSegmentVisibility(name)] == ["heart"]
    slowest = 0.0
    for index in (*range(len(found.steps)), 0):
        began = time.thread_time()  # others use the machine
        ui.counterSlider.value = index
        slowest = max(slowest, time.thread_time() - began)
        step = found.steps[index]
        np.testing.assert_array_equal(array(way.volume), step.hu)
        np.testing.assert_array_equal(array(way.difference), step.hu.astype(int) - found.steps[zero].hu)
        np.testing.assert_array_equal(drawn(after, "heart", way.volume), step.drawn == 2)
        np.testing.assert_array_equal(drawn(before, "heart", way.volume), found.steps[zero].drawn == 2)
        item = ui.counterTree.topLevelItem(0)
        assert item.text(0) == "Heart"
        assert float(item.text(2)) == pytest.approx(step.volumes["heart"], abs=0.051)
        assert section.curves.current == index
    assert slowest < 0.1
    assert "λ = 0" in section.model.line(zero)
    way.frames.browser.SetSelectedItemNumber(2)  # as Slicer's sequence toolbar does
    assert ui.counterSlider.value == 2
    np.testing.assert_array_equal(array(way.volume), found.steps[2].hu)
    np.testing.assert_array_equal(drawn(after, "heart", way.volume), found.steps[2].drawn == 2)
    scene = section.curves.placed()
    assert scene.pointAt(scene.x(2) + 1, (scene.top + scene.bottom) / 2) == 2
    own = section.curves.curves().curves[-1]
    assert own.main
    assert own.values[zero] == 100
    assert own.values[0] == pytest.approx(100 * found.steps[0].volumes["heart"] / found.steps[zero].volumes["heart"])
    assert any(note.startswith("Less ended because") for note in way.notes)
    assert "HU from the CT" in ui.counterNotes.text


def test_of_another_ct_it_is_refused(panel: Panel, folder: Path) -> None:
    panel.parameters.inputVolume = panel.add_ct("other", shift=30.0)
    assert panel.widget.exporting.load(folder)
    panel.wait()
    assert "of another CT" in panel.controller.message
    assert panel.widget.countering.shown.way is None
    panel.parameters.inputVolume = None
    assert not panel.widget.exporting.load(folder)
    assert panel.controller.message.startswith("Load the CT")


def test_what_is_shown_can_be_chosen_and_given_back(panel: Panel, folder: Path) -> None:
    ui = panel.ui
    way, _found = loaded(panel, folder)
    after = way.node.GetNodeReference("agg2expAfter")
    panel.click(ui.counterOutlinesCheckBox)
    assert not after.GetDisplayNode().GetVisibility2D()
    panel.click(ui.counterDifferenceCheckBox)
    assert foregrounds() == {None}
    panel.click(ui.counterCtCheckBox)
    assert backgrounds() == {panel.widget.state.ct.GetID()}
    assert not panel.widget.countering.shown.showing
    ui.counterSlider.value = way.start  # who moves it wants to see it
    assert backgrounds() == {way.volume.GetID()}
    assert ui.counterCtCheckBox.checked
    panel.parameters.mapLabel = "lung"  # who chooses a map wants to see that
    assert backgrounds() == {panel.widget.state.ct.GetID()}
    assert not ui.counterCtCheckBox.checked
    assert panel.parameters.inputVolume.GetName() == "chest", "a changed CT is not taken for a patient's"


def test_it_is_kept_in_the_scene_and_goes_whole(panel: Panel, folder: Path, tmp_path: Path) -> None:
    import slicer

    from Agg2ExpModuleLib.scene.SceneVolumes import isCt

    def volumes() -> list[Any]:
        return list(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"))

    names = {slicer.mrmlScene.GetNthNode(index).GetID() for index in range(slicer.mrmlScene.GetNumberOfNodes())}
    way, found = loaded(panel, folder)
    assert {node.GetName() for node in volumes() if isCt(node)} == {"chest"}
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    panel.click(panel.ui.counterRemoveButton)
    left = {slicer.mrmlScene.GetNthNode(index).GetID() for index in range(slicer.mrmlScene.GetNumberOfNodes())}
    kinds = {slicer.mrmlScene.GetNodeByID(name).GetClassName() for name in left - names}
    assert not kinds & {"vtkMRMLScalarVolumeNode", "vtkMRMLSequenceNode", "vtkMRMLSequenceBrowserNode", "vtkMRMLSegmentationNode"}
    assert not panel.ui.counterAnswerFrame.visible
    slicer.mrmlScene.Clear()
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    panel.app.app.processEvents()
    again = panel.widget.countering.shown.way
    assert again is not None
    assert again.steps == way.steps
    assert not [node for node in volumes() if isCt(node) and node.GetName() != "chest"]
    for index in (1, len(found.steps) - 1):
        panel.ui.counterSlider.value = index
        np.testing.assert_array_equal(array(again.volume), found.steps[index].hu)
        after = again.node.GetNodeReference("agg2expAfter")
        np.testing.assert_array_equal(drawn(after, "heart", again.volume), found.steps[index].drawn == 2)


def test_they_are_made_by_the_process_that_stays_alive(panel: Panel, tmp_path: Path) -> None:
    import slicer

    ui, controller = panel.ui, panel.controller
    panel.parameters.autoencoder = str(write_exact_autoencoder(tmp_path))
    assert [ui.counterTargetCombo.itemText(index) for index in range(ui.counterTargetCombo.count)][:2] == ["Lung", "Heart"]
    panel.parameters.counterTarget = "heart"
    panel.parameters.counterDirection = "less"
    panel.parameters.weights, weights = panel.parameters.autoencoder, panel.parameters.weights
    assert "is an autoencoder" in ui.counterButton.toolTip
    panel.parameters.weights = weights
    panel.click(ui.counterButton)
    assert ui.counterButton.text == "Cancel"
    panel.wait()
    assert not controller.failed, controller.message
    way = panel.widget.countering.shown.way
    assert way.title == "less heart"
    assert way.steps[0].volumes["heart"] < way.steps[way.start].volumes["heart"]
    (result,) = panel.results.iterdir()
    assert json.loads((result / "run.json").read_text())["patient"] == "chest"

    # a second press, of a case with a name that no disk takes as it is
    pid = panel.widget.engine.warm.pid
    panel.parameters.caseName = "Größe / " + "ü" * 200
    panel.click(ui.counterButton)
    panel.wait()
    assert "begins" in controller.message or "characters" in controller.message, controller.message
    panel.parameters.caseName = "Größe / " + "ü" * 60
    panel.click(ui.counterButton)
    panel.wait()
    assert not controller.failed, controller.message
    assert panel.widget.engine.warm.pid == pid
    assert [ui.counterAnswerCombo.itemText(index) for index in range(2)] == ["less heart (1)", "less heart (2)"]
    results = {folder.name for folder in panel.results.iterdir()}
    assert len(results) == 2

    # in the middle it is cancelled, and the CT is removed: nothing is kept, and the next one works
    def begin() -> None:
        panel.click(ui.counterButton)
        panel.wait(lambda: controller.message.startswith("Making") and (controller.fraction or 0) > 0.1)

    begin()
    panel.click(ui.counterButton)
    panel.wait()
    assert controller.message.startswith("Cancelled")
    begin()
    slicer.mrmlScene.RemoveNode(panel.widget.state.ct)
    panel.wait()
    assert "The CT was removed" in controller.message
    assert controller.failed
    assert {folder.name for folder in panel.results.iterdir()} == results
    panel.wait(lambda: panel.widget.state.ct is None, 10)  # what was made of it does not take its place
    assert not ui.counterButton.enabled


def test_of_a_class_the_probability_is_drawn(panel: Panel, small_weights: Path, tmp_path: Path) -> None:
    from Agg2ExpLib.io.volume import Volume

    classifier = write_small_classifier(tmp_path)
    ct, asked = Volume(small_chest(), AFFINE, "chest"), {"autoencoder": exact_autoencoder(), "device": "cpu"}
    found = agg2exp.counterfactual(ct, classifier, "opacity", frames=2, end=4, segmenter=small_weights, **asked)
    panel.parameters.weights = str(classifier)
    assert panel.ui.counterTargetLabel.text == "Class:"
    assert [panel.ui.counterTargetCombo.itemText(index) for index in range(3)] == ["Opacity", "Effusion", "Contrast"]
    way, _found = loaded(panel, found.save(tmp_path / "class"))
    assert way.classifies
    curve = panel.widget.countering.shown.curves.curves().curves[-1]
    assert curve.main
    np.testing.assert_allclose(curve.values, [100 * step.probability for step in found.steps], atol=1e-4)
    assert panel.ui.counterTree.topLevelItemCount == 3, "labels of the model that draws the regions"
    assert f"probability {found.steps[0].probability:.3f}" in panel.ui.counterLine.text
