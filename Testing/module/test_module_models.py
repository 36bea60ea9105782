"""Models in the panel: the list of those on this computer, folders, the model's own windows, and a hundred labels."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from support.installed_models import fill_home
from support.module_panel import AFFINE, MODULE, Panel
from support.networks import small_chest

PLACES = ("TOTALSEG_WEIGHTS_PATH", "TOTALSEG_HOME_DIR", "nnUNet_results", "TORCH_HOME", "XDG_CACHE_HOME", "AGG2EXP_MODELS")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with models in it."""
    folder = tmp_path_factory.mktemp("home")
    fill_home(folder)
    return folder


@pytest.fixture
def panel(slicerApp, tmp_path: Path, small_weights: Path) -> Iterator[Panel]:  # noqa: N803
    return Panel(slicerApp, tmp_path, small_weights)


@pytest.fixture
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in PLACES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    return home


def click(panel: Panel, item: object) -> None:
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    tree = panel.ui.installedTree
    tree.scrollToItem(item)
    QTest.mouseClick(tree.viewport(), Qt.LeftButton, Qt.NoModifier, tree.visualItemRect(item).center())


def test_installed_models_are_listed_searched_and_chosen(panel: Panel, at_home: Path) -> None:
    from PySide6.QtTest import QTest

    panel.open("input")
    models = panel.widget.installed.list
    assert not panel.ui.installedFrame.visible
    panel.click(panel.ui.installedButton)
    panel.wait(lambda: bool(models.names()))
    assert models.names() == [
        "total_part1",
        "total_fast",
        "total_mr_fast",
        "adrenal-v1.0.0",
        "liver",
        "turned",
        "demo",
        "demo classifier",
    ]
    part = models.item("total_part1")
    assert (part.text(1), part.text(2)) == ("3", "1.5")
    assert "spleen, rib_left_1, aorta" in part.toolTip(0)
    assert "12 × 20 × 16 voxels" in part.toolTip(0)
    refused = models.item("total_mr_fast")
    assert refused.isDisabled()
    assert "Cannot be explained" in refused.toolTip(0)
    before = panel.parameters.weights
    click(panel, refused)
    assert panel.parameters.weights == before
    QTest.keyClicks(panel.ui.installedSearchBox, "aorta total")
    assert models.names() == ["total_part1"]
    click(panel, part)
    assert panel.parameters.weights.endswith("Dataset291_TotalSegmentator_part1_organs_1559subj")
    assert not panel.ui.installedFrame.visible
    assert panel.ui.modelInfoLabel.text == "3 labels · 1.5 mm"
    assert "as TotalSegmentator" in panel.ui.modelInfoLabel.toolTip
    assert [entry.group for entry in panel.widget.labels.list.entries] == ["other organs", "bones", "cardiovascular"]


def test_a_model_folder_is_chosen(panel: Panel, at_home: Path) -> None:
    panel.open("input")
    folder = at_home / ".MONAIAuto3DSeg" / "models" / "adrenal-v1.0.0"
    panel.app.dialogs.file_answers.append(str(folder))
    panel.click(panel.ui.modelFolderButton)
    assert panel.parameters.weights == str(folder)
    assert [entry.name for entry in panel.widget.labels.list.entries] == ["left_adrenal_gland", "cyst"]
    panel.click(panel.ui.modelFolderButton)  # cancelled
    assert panel.parameters.weights == str(folder)
    panel.app.dialogs.file_answers.append(str(at_home))
    panel.click(panel.ui.modelFolderButton)
    assert panel.ui.modelInfoLabel.styleSheet
    assert not panel.ui.applyButton.enabled


def test_models_are_described_without_pytorch(at_home: Path) -> None:
    """In Slicer's own process nothing heavy may be loaded for what the panel shows, and it must not wait."""
    code = (
        "import sys, types, time, json; sys.path.insert(0, sys.argv[1])\n"
        "i18n = types.ModuleType('slicer.i18n'); i18n.tr = str; slicer = types.ModuleType('slicer'); slicer.i18n = i18n\n"
        "sys.modules |= {'slicer': slicer, 'slicer.i18n': i18n}\n"
        "from Agg2ExpModuleLib.panel.ModelInfo import readModelInfo\n"
        "times = []\n"
        "for path in sys.argv[2:]:\n"
        "    began = time.process_time(); info = readModelInfo(path); times.append(time.process_time() - began)\n"
        "    assert not info.problem and info.labels, (path, info)\n"
        "assert not {'torch', 'monai', 'scipy', 'skimage'} & set(sys.modules)\n"
        "print(json.dumps(times))"
    )
    weights = at_home / ".totalsegmentator" / "nnunet" / "results" / "Dataset291_TotalSegmentator_part1_organs_1559subj"
    auto = at_home / ".MONAIAuto3DSeg" / "models" / "adrenal-v1.0.0"
    bundle = at_home / ".cache" / "torch" / "hub" / "bundle" / "liver"
    command = [sys.executable, "-c", code, str(MODULE.parent), str(weights), str(auto), str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert max(json.loads(done.stdout)) < 0.3


@pytest.mark.parametrize(("asked", "sent"), [(None, None), (0.0, 0.0), (0.5, 0.5)])
def test_windows_overlap_as_the_model_wants_them(panel: Panel, monkeypatch: pytest.MonkeyPatch, asked, sent) -> None:
    jobs: list[dict] = []
    monkeypatch.setattr(panel.controller, "_launch", jobs.append)
    panel.add_ct()
    panel.open("explain")
    panel.ui.advancedSection.collapsed = False
    assert panel.ui.overlapSpinBox.text == "the model's own"
    if asked is not None:
        panel.ui.overlapSpinBox.value = asked
    panel.ui.segmentButton.click()
    panel.wait(lambda: bool(jobs))
    assert jobs[0]["overlap"] == sent
    panel.controller.endBadly(RuntimeError("not run"))


def hundred(folder: Path, small_weights: Path) -> Path:
    """A card of 118 labels beside some weights; the panel needs no more to list them."""
    card = json.loads(small_weights.with_suffix(".json").read_text())
    card["labels"] = ["background", *(f"rib_{index}" for index in range(1, 118))]
    card["network"]["out_channels"] = 118
    card["groups"] = {name: "bones" if index % 2 else "muscles" for index, name in enumerate(card["labels"]) if index}
    (folder / "many.pt").write_bytes(small_weights.read_bytes())
    (folder / "many.json").write_text(json.dumps(card))
    return folder / "many.pt"


def test_a_hundred_labels_are_not_started_by_accident(panel: Panel, tmp_path: Path, small_weights: Path) -> None:
    panel.add_ct()
    panel.parameters.weights = str(hundred(tmp_path, small_weights))
    panel.open("labels", "explain")
    assert len(panel.widget.labels.list.entries) == 117
    panel.click(panel.ui.allButton)
    assert len(panel.parameters.checkedLabels) == 117
    panel.app.app.testing = False  # in testing mode Slicer asks nothing
    panel.app.dialogs.answers.append(False)
    panel.click(panel.ui.applyButton)
    assert not panel.controller.busy
    assert panel.app.dialogs.texts == ["Explaining 117 labels takes a time that only a first run can tell. Go on?"]
    panel.open("labels")
    panel.click(panel.ui.noneButton)
    panel.ui.searchBox.text = "rib_11"
    panel.click(panel.ui.allButton)
    assert len(panel.parameters.checkedLabels) == 9


def test_long_lists_show_what_was_found_first(panel: Panel) -> None:
    from Agg2ExpModuleLib.panel.LabelList import LabelEntry
    from Agg2ExpModuleLib.panel.LabelSection import _foundFirst

    entries = [LabelEntry(f"l{n}", f"L{n}", (1, 2, 3), "bones" if n % 2 else "muscles", n % 3 * 1.0) for n in range(40)]
    ordered = _foundFirst(entries)
    assert [entry.volume == 0 for entry in ordered] == sorted(entry.volume == 0 for entry in entries)
    assert {entry.group for entry in ordered if entry.volume == 0} == {"not found in this CT"}
    assert _foundFirst(entries[:20]) == entries[:20]


def test_the_label_under_the_cross_hair(panel: Panel) -> None:
    import numpy as np
    import slicer

    from Agg2ExpLib.views.mrml_nodes import Segment, add_segmentation
    from Agg2ExpModuleLib.scene.ResultRecord import SEGMENTATION, ResultRecord

    ct = panel.add_ct()
    panel.open("labels")
    panel.click(panel.ui.crosshairButton)
    assert "Segment the CT first" in panel.controller.message
    labels = np.zeros(small_chest().shape, np.uint8)
    labels[5:12, 8:20, 10:30], labels[18:24, 12:20, 8:20] = 1, 2
    segments = [Segment(name, name, (255, 0, 0), value) for value, name in ((1, "lung"), (2, "heart"))]
    node = add_segmentation(slicer.mrmlScene, [(labels, AFFINE, segments)], "labels", ct)
    entries = [{"name": entry.name, "color": [1, 2, 3], "group": "other organs"} for entry in panel.widget.labels.list.entries]
    record = ResultRecord.create(ct, {"labels": [{"name": "background", "color": [0, 0, 0], "group": "background"}, *entries]})
    record.setReference(SEGMENTATION, node)
    panel.parameters.record = record.node
    scene, kind = slicer.mrmlScene, "vtkMRMLCrosshairNode"
    cross = scene.GetFirstNodeByClass(kind) or scene.AddNewNodeByClass(kind)
    for voxel, name in (((5, 8, 10), "lung"), ((11, 19, 29), "lung"), ((20, 15, 10), "heart")):
        cross.SetCrosshairRAS(*(AFFINE @ [*voxel, 1])[:3])
        panel.click(panel.ui.crosshairButton)
        assert list(panel.parameters.checkedLabels) == [name]
    for place in ((AFFINE @ [15, 15, 15, 1])[:3], (5000, 0, 0)):
        cross.SetCrosshairRAS(*place)
        panel.click(panel.ui.crosshairButton)
        assert "no label under the cross-hair" in panel.controller.message
    move = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[0, 3] = 40
    slicer.util.updateTransformMatrixFromArray(move, matrix)
    node.SetAndObserveTransformNodeID(move.GetID())
    cross.SetCrosshairRAS(*(np.array([40, 0, 0]) + (AFFINE @ [20, 15, 10, 1])[:3]))
    panel.click(panel.ui.crosshairButton)
    assert list(panel.parameters.checkedLabels) == ["heart"]
