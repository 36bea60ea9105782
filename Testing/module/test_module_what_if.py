"""The panel's section What if?: real questions to a real process that stays alive, by real clicks."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from support.module_panel import Panel


@pytest.fixture(scope="module")
def made(small_ct: Path, small_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result to ask about."""
    from Agg2ExpLib.commands.cli import main

    folder = tmp_path_factory.mktemp("asked") / "chest"
    words = ["--ct", str(small_ct), "--weights", str(small_weights), "--method", "gradient", "--labels", "heart,lung"]
    assert main(["explain", *words, "--device", "cpu", "--precision", "float32", "--output", str(folder)]) == 0
    return folder


@pytest.fixture
def panel(slicerApp, tmp_path: Path, small_weights: Path, made: Path) -> Panel:  # noqa: N803
    shutil.copytree(made, tmp_path / "chest")
    panel = Panel(slicerApp, tmp_path, small_weights)
    assert panel.widget.exporting.load(tmp_path / "chest")
    panel.wait()
    assert not panel.controller.failed, panel.controller.message
    panel.open("whatIf")
    return panel


def answers(panel: Panel) -> list[Any]:
    from Agg2ExpModuleLib.scene.Answers import answersOf

    return answersOf(panel.record)


def ask(panel: Panel, region: str) -> None:
    panel.widget.importance.graph.onNodeClicked[-1](region)  # as a click on the node does
    assert panel.widget.asking._region.value == region
    panel.click(panel.ui.whatIfButton)
    panel.wait()
    assert not panel.controller.failed, panel.controller.message


def test_a_region_is_removed_and_the_answer_kept(panel: Panel, tmp_path: Path) -> None:
    import slicer

    from Agg2ExpLib.interventions.outcome import CT_AFTER, SEGMENTATION_AFTER
    from Agg2ExpLib.io.read import read_volume
    from Agg2ExpLib.views.mrml_nodes import affine_of, array_of
    from Agg2ExpModuleLib.scene.SceneVolumes import isCt, segmentIds, segmentMask

    ask(panel, "heart")
    process = panel.widget.engine.warm.pid
    (answer,) = answers(panel)
    assert "Without heart" in panel.controller.message
    assert answer.title == "without heart (filled from its surroundings)"
    # what is outlined is what the model drew
    folder = next((Path(panel.record.folder) / "what_if").iterdir())
    drawn = read_volume(folder / SEGMENTATION_AFTER)
    labels = {label.name: label.index for label in panel.record.labels}
    for name in segmentIds(answer.node):
        mask, _affine = segmentMask(answer.node, name)
        assert int(mask.sum()) == int((drawn.array == labels[name]).sum()), name
    ui = panel.ui
    rows = {
        ui.whatIfTree.topLevelItem(i).text(0): ui.whatIfTree.topLevelItem(i).text(4) for i in range(ui.whatIfTree.topLevelItemCount)
    }
    assert float(rows["Heart"]) < 1
    assert answer.node.GetDisplayNode().GetVisibility2D()
    # the changed CT lies where the answer's does, voxel by voxel
    changed = read_volume(folder / CT_AFTER)
    np.testing.assert_allclose(affine_of(answer.ct), changed.affine, atol=1e-4)
    np.testing.assert_array_equal(array_of(answer.ct), changed.array)
    np.testing.assert_allclose(changed.affine, drawn.affine, atol=1e-4)
    heart, affine = segmentMask(answer.node, "heart")
    where = np.argwhere(drawn.array == labels["heart"]).mean(axis=0)
    middle = affine @ np.append(np.argwhere(heart).mean(axis=0), 1)
    np.testing.assert_allclose(middle, drawn.affine @ np.append(where, 1), atol=1e-3)
    # the changed CT is no CT to explain, and is shown on wish
    assert not isCt(answer.ct)
    composite = slicer.mrmlScene.GetNthNodeByClass(0, "vtkMRMLSliceCompositeNode")
    ui.whatIfCtCheckBox.click()
    if composite is not None:
        assert composite.GetBackgroundVolumeID() == answer.ct.GetID()
    ui.whatIfCtCheckBox.click()

    # a second question is asked of the same process; the same question replaces its answer
    panel.widget.asking._fill.combo.currentIndex = 3
    assert panel.parameters.whatIfFill == "air"
    ask(panel, "lung")
    panel.parameters.whatIfFill = "surroundings"
    ask(panel, "heart")
    assert panel.widget.engine.warm.pid == process
    assert sorted(one.title for one in answers(panel)) == [
        "without heart (filled from its surroundings)",
        "without lung (filled with air)",
    ]
    visible = [one.title for one in answers(panel) if one.node.GetDisplayNode().GetVisibility2D()]
    assert visible == ["without heart (filled from its surroundings)"]

    # they go with the scene
    scene = tmp_path / "scene.mrml"
    slicer.mrmlScene.SetURL(str(scene))
    titles = sorted(one.title for one in answers(panel))
    panel.click(ui.whatIfRemoveButton)
    assert len(answers(panel)) == 1
    assert {one.title for one in answers(panel)} < set(titles)


def test_every_region_in_turn_then_from_the_scene_alone_then_with_bad_weights(panel: Panel, tmp_path: Path) -> None:
    panel.parameters.whatIfFill = "air"
    panel.click(panel.ui.whatIfAllButton)
    panel.wait()
    assert not panel.controller.failed, panel.controller.message
    assert (Path(panel.record.folder) / "what_if" / "all" / "causal_matrix.csv").is_file()
    assert set(panel.record.effects) >= {"heart", "lung"}
    assert "other regions" in panel.ui.wordsLabel.text

    shutil.rmtree(panel.record.folder)
    assert panel.record.folder is None
    ask(panel, "heart")
    assert answers(panel)[0].rows[0].dice is not None
    work = panel.widget.asking._work.path
    assert oct(work.stat().st_mode & 0o777) == "0o700"

    panel.parameters.weights = str(tmp_path / "gone.pt")
    panel.app.app.processEvents()
    panel.click(panel.ui.whatIfButton)
    panel.wait()
    assert panel.controller.failed
    assert "does not exist" in panel.controller.message

    panel.parameters.weights = ""
    panel.app.app.processEvents()
    assert not panel.ui.whatIfButton.enabled
    assert "Choose the model" in panel.ui.whatIfNote.text

    pid = panel.widget.engine.warm.pid
    panel.widget.asking.shutdown()
    panel.controller.shutdown()
    assert not work.exists()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
        panel.app.app.processEvents()
    assert not panel.widget.engine.warm.alive


def test_a_drawn_segment_is_asked_about_and_old_outlines_are_told_from_new_ones(
    panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    import slicer

    from Agg2ExpLib.interventions.outcome import CT_AFTER
    from Agg2ExpLib.io.read import read_volume
    from Agg2ExpModuleLib.scene.ResultsOfScene import ResultsOfScene
    from Agg2ExpModuleLib.scene.SceneVolumes import segmentIds

    node = panel.draw("blob", (slice(10, 24), slice(8, 20), slice(12, 26)))
    panel.app.app.processEvents()
    combo = panel.ui.whatIfRegionCombo
    assert combo.itemText(combo.count - 1) == "blob (drawn: Drawn)"
    combo.currentIndex = combo.count - 1
    panel.widget.asking._fill.combo.currentIndex = 3  # air
    panel.click(panel.ui.whatIfButton)
    panel.wait()
    assert not panel.controller.failed, panel.controller.message
    (answer,) = answers(panel)
    assert answer.title == "without blob (filled with air)"
    assert "blob" not in panel.record.matrix.columns, "the result stays as it is"
    # what was changed is what was drawn
    folder = next((Path(panel.record.folder) / "what_if").iterdir())
    changed = read_volume(folder / CT_AFTER).array
    mask = ResultsOfScene(panel.record)._onGrid(node, "Segment_1")
    assert mask.sum() > 500
    assert (np.asarray(changed)[mask] == -1000).all()

    new, old = answer.node.GetDisplayNode(), panel.record.segmentation.GetDisplayNode()
    there = segmentIds(panel.record.segmentation)
    outlined = [name for name in there if old.GetSegmentVisibility(name)]
    assert outlined == [name for name in there if name in answer.changed] != []
    assert new.GetSliceIntersectionThickness() >= 3 * old.GetSliceIntersectionThickness()
    colors = {label.name: label.color for label in panel.record.labels}
    for name in outlined:
        assert sum(old.GetSegmentOverrideColor(name)) > sum(colors[name]) / 255, "paler"
    # more than a few at once are too many: the rest is told, and comes by a click
    assert "click another" not in panel.ui.whatIfLegendLabel.text
    monkeypatch.setattr("Agg2ExpLib.interventions.outcome.MOST_OUTLINED", 1)
    panel.widget.asking._show()
    most, least = answer.changed[0], answer.changed[-1]

    def seen(display: Any) -> list[str]:
        return [name for name in answer.changed if display.GetSegmentVisibility(name)]

    assert seen(new) == [most]
    assert seen(old) == [name for name in answer.changed if name in (most, panel.parameters.mapLabel)]
    assert f"the 1 of {len(answer.changed)} changed labels" in panel.ui.whatIfLegendLabel.text
    rows = {panel.ui.whatIfTree.topLevelItem(i).text(0).lower(): i for i in range(panel.ui.whatIfTree.topLevelItemCount)}
    panel.widget.asking._onLabel(panel.ui.whatIfTree.topLevelItem(rows[least]))
    assert seen(new) == [most, least]
    assert least in seen(old)
    panel.click(panel.ui.whatIfRemoveButton)
    assert [name for name in there if old.GetSegmentVisibility(name)] == [panel.parameters.mapLabel]
    assert old.GetSliceIntersectionThickness() == 2
    slicer.mrmlScene.RemoveNode(node)
    assert panel.widget.asking._region.value in colors


def test_cancel_and_a_killed_process(panel: Panel) -> None:
    engine = panel.widget.engine.warm
    panel.click(panel.ui.whatIfAllButton)
    panel.wait(lambda: engine.alive and panel.controller.fraction is not None)
    began = time.monotonic()
    panel.controller.cancel()
    panel.wait()
    assert time.monotonic() - began < 6
    assert not panel.controller.failed
    # whatever became of the process, the next question is answered
    ask(panel, "heart")
    os.kill(engine.pid, signal.SIGKILL)
    panel.wait(lambda: not engine.alive)
    ask(panel, "lung")
    assert len(answers(panel)) == 2
