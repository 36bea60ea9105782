"""Results in the scene: saved and opened again, a second patient, extra regions, exports, all without running the model."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from support.paths import TESTING

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from support.module_panel import Panel
from support.small_result import SHAPE, affine_of_grid, write_result

LUNG = "lung_upper_lobe_left"


@pytest.fixture
def panel(slicerApp, tmp_path: Path) -> Iterator[Panel]:  # noqa: N803
    return Panel(slicerApp, tmp_path, Path("none"))


@pytest.fixture
def loaded(panel: Panel, tmp_path: Path) -> Panel:
    write_full_result(tmp_path / "result")
    return load(panel, tmp_path / "result")


def write_full_result(folder: Path, **options) -> None:
    """A result whose run.json tells its parameters, as those of real runs do."""
    import json

    write_result(folder, **options)
    file = folder / "run.json"
    run = json.loads(file.read_text())
    run |= {"parameters": {"method": "smoothgrad", "samples": 7}, "agg2exp": "1", "ct": {"sha256": "1"}, "weights": {"sha256": "2"}}
    file.write_text(json.dumps(run))


def load(panel: Panel, folder: Path) -> Panel:
    assert panel.widget.exporting.load(folder)
    panel.wait()
    assert not panel.controller.failed, panel.controller.message
    return panel


def box_segmentation(name: str, low: int = 20, high: int = 30):
    """A drawn box on the results' grid."""
    import slicer

    from Agg2ExpLib.views.mrml_nodes import Segment, add_segmentation

    mask = np.zeros(SHAPE, np.uint8)
    mask[low:high, low:high, low:high] = 1
    layers = [(mask, affine_of_grid(), [Segment("a", name, (0, 255, 0), 1)])]
    ct = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")[0]
    return add_segmentation(slicer.mrmlScene, layers, "Drawn", ct), mask


def test_an_old_result_is_loaded(loaded: Panel, tmp_path: Path) -> None:
    import slicer

    record = loaded.record
    assert list(record.overlays) == [LUNG, "heart"]
    assert record.folder == tmp_path / "result"
    assert loaded.parameters.inputVolume is record.ct
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    folders = {
        hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) for node in (record.segmentation, *record.overlays.values())
    }
    assert len(folders) == 1
    load(loaded, tmp_path / "result")  # again: over the CT that is there
    assert len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == 3  # CT and two maps
    assert len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 2


def test_a_folder_that_is_no_result(panel: Panel, tmp_path: Path) -> None:
    assert not panel.widget.exporting.load(tmp_path)
    assert panel.controller.failed
    assert "not a results folder" in panel.ui.statusLabel.text


def test_a_damaged_result_leaves_nothing(panel: Panel, tmp_path: Path) -> None:
    import slicer

    write_full_result(tmp_path / "result")
    (tmp_path / "result" / "attributions" / "heart.nrrd").write_bytes(b"NRRD0004\n")
    before = slicer.mrmlScene.GetNumberOfNodes()
    assert panel.widget.exporting.load(tmp_path / "result")
    panel.wait()
    assert panel.controller.failed
    assert "heart.nrrd" in panel.controller.message
    assert not slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    assert not slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    assert slicer.mrmlScene.GetNumberOfNodes() <= before + 1  # the folder in the data tree is no node


@pytest.mark.parametrize("suffix", [".mrb", ".mrml"])
def test_saved_and_opened_without_the_folder(loaded: Panel, tmp_path: Path, suffix: str) -> None:
    import shutil

    import slicer

    loaded.parameters.mapLabel = LUNG
    loaded.parameters.strongest = 3.0
    loaded.parameters.samples = 33
    loaded.parameters.sign = "opposing"
    matrix = loaded.record.matrix
    (tmp_path / "saved").mkdir()
    assert slicer.util.saveScene(str(tmp_path / "saved" / f"scene{suffix}"))
    shutil.rmtree(tmp_path / "result")
    slicer.mrmlScene.Clear()
    assert loaded.record is None
    assert loaded.widget.importance.model is None
    slicer.util.loadScene(str(tmp_path / "saved" / f"scene{suffix}"))
    loaded.app.app.processEvents()
    record = loaded.record
    assert record is not None
    assert list(record.overlays) == [LUNG, "heart"]
    np.testing.assert_array_equal(record.matrix.mass, matrix.mass)
    np.testing.assert_array_equal(record.matrix.standard_error, matrix.standard_error)
    assert record.folder is None
    assert record.positions
    assert loaded.parameters.samples == 33
    assert loaded.parameters.mapLabel == LUNG
    assert loaded.ui.samplesSpinBox.value == 33
    assert loaded.ui.signCombo.currentIndex == 2
    assert loaded.widget.importance.graph.graph() is not None
    assert loaded.widget.display.shown is record.overlays[LUNG]
    views = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert {view.GetForegroundVolumeID() for view in views} == {record.overlays[LUNG].GetID()}
    loaded.parameters.strongest = 8.0
    assert record.overlays[LUNG].GetAttribute("Agg2Exp.Percentile") == "92"


def test_a_second_patient_has_its_own_results(loaded: Panel, tmp_path: Path) -> None:
    import slicer

    first = loaded.record
    first_ct = loaded.parameters.inputVolume
    write_full_result(tmp_path / "second", angles=(0, 0, 20), patient="second")
    load(loaded, tmp_path / "second")
    second = loaded.record
    assert second.node is not first.node
    assert second.ct is not first_ct
    assert loaded.ui.inputSelector.currentNode() is second.ct
    loaded.ui.inputSelector.setCurrentNode(first_ct)
    assert loaded.record.node is first.node
    views = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert {view.GetBackgroundVolumeID() for view in views} == {first_ct.GetID()}
    assert {view.GetForegroundVolumeID() for view in views} == {first.overlays[loaded.parameters.mapLabel].GetID()}
    assert not second.segmentation.GetDisplayNode().GetVisibility2D()
    slicer.mrmlScene.RemoveNode(first_ct)
    assert loaded.record is None or loaded.record.node is second.node


def test_regions_from_any_segmentation(loaded: Panel) -> None:
    record = loaded.record
    before = record.matrix
    node, mask = box_segmentation("My box, left")
    loaded.open("importance")
    assert not loaded.ui.addRegionsButton.enabled
    loaded.parameters.extraSegmentation = node
    loaded.click(loaded.ui.addRegionsButton)
    loaded.wait()
    assert not loaded.controller.failed, loaded.controller.message
    matrix = loaded.record.matrix
    assert matrix.columns == (*before.columns, "My box_ left")
    np.testing.assert_allclose(matrix.mass[:, : len(before.columns)], before.mass)
    np.testing.assert_array_equal(matrix.standard_error[:, : len(before.columns)], before.standard_error)
    from Agg2ExpLib.views.mrml_nodes import array_of

    values = np.abs(array_of(record.overlays["heart"]).astype(np.float64))
    expected = values[mask > 0].sum() / values.sum()
    assert matrix.mass[matrix.rows.index("heart"), -1] == pytest.approx(expected, rel=1e-6)
    assert "My box_ left" in {node.name for node in loaded.widget.importance.graph.graph().nodes}
    section = loaded.widget.importance
    assert section.graph._hoverNode == "My box_ left", "the new node stands out"
    loaded.ui.importanceTabs.currentIndex = 1
    for _round in range(4):
        loaded.app.app.processEvents()
    scene, (across, _down) = section.matrix.placed(), section.matrix.scrolled()
    left = scene.xs[[column.name for column in section.matrix.matrix().columns].index("My box_ left")] - across
    assert 0 <= left <= scene.window[0] - scene.cell[0] + 1, "the new column is in view"
    assert scene.scrollable[0] > 0, "which would not be so without scrolling"
    loaded.click(loaded.ui.addRegionsButton)  # again: replaced, not doubled
    loaded.wait()
    assert loaded.record.matrix.columns == matrix.columns
    assert loaded.widget.display.selectRegion("My box_ left")


def test_a_region_outside_the_ct_is_refused(loaded: Panel) -> None:
    import slicer

    from Agg2ExpLib.views.mrml_nodes import Segment, add_segmentation

    affine = affine_of_grid()
    affine[:3, 3] += 5000
    node = add_segmentation(
        slicer.mrmlScene, [(np.ones((4, 4, 4), np.uint8), affine, [Segment("a", "far", (1, 1, 1), 1)])], "Far", loaded.record.ct
    )
    before = loaded.record.matrix
    loaded.parameters.extraSegmentation = node
    loaded.open("importance")
    loaded.click(loaded.ui.addRegionsButton)
    loaded.wait()
    assert loaded.controller.failed
    assert "outside" in loaded.controller.message
    assert loaded.record.matrix.columns == before.columns


def test_export(loaded: Panel, tmp_path: Path) -> None:
    from Agg2ExpLib.io.read import read_volume
    from Agg2ExpLib.runs.results import Results

    target = tmp_path / "export"
    loaded.parameters.mapLabel = "heart"
    loaded.parameters.exportFolderCopy = True
    loaded.parameters.mapGrid = "ct"
    loaded.parameters.mapFormat = "nii.gz"
    loaded.app.dialogs.file_answers.append(str(target))
    loaded.open("export")
    loaded.click(loaded.ui.exportButton)
    loaded.wait()
    assert not loaded.controller.failed, loaded.controller.message
    assert str(target) in loaded.ui.statusLabel.text
    with (target / "roi_importance.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["label"] for row in rows} == {"heart", LUNG}
    assert (target / "roi_importance_wide.csv").is_file()
    volume = read_volume(target / "heart_attribution_on_ct.nii.gz")
    assert volume.array.shape == SHAPE
    for name in ("importance_graph.png", "importance_graph.svg", "importance_matrix.png", "heart_views.png"):
        assert (target / name).stat().st_size > 5000, name
    assert Results.open(target / "small thorax result").explained == ("heart", LUNG)
    loaded.app.dialogs.file_answers.append(str(target / "small thorax result"))
    loaded.click(loaded.ui.loadResultButton)
    loaded.wait()
    assert "Loaded" in loaded.ui.statusLabel.text
    loaded.click(loaded.ui.exportButton)  # the dialog is cancelled: nothing happens
    assert not loaded.controller.busy


def test_the_whole_result_from_the_scene_alone(loaded: Panel, tmp_path: Path) -> None:
    import shutil

    from Agg2ExpLib.runs.results import Results

    before = Results.open(tmp_path / "result")
    segmentation, heart = before.segmentation().array.copy(), np.array(before.attribution("heart").array)
    lesion = before.extra_rois()["lesion"].array.copy()
    shutil.rmtree(tmp_path / "result")
    loaded.parameters.exportTables = loaded.parameters.exportMaps = loaded.parameters.exportPictures = False
    loaded.parameters.exportFolderCopy = True
    assert loaded.widget.exporting.export(tmp_path / "export")
    loaded.wait()
    assert not loaded.controller.failed, loaded.controller.message
    after = Results.open(tmp_path / "export" / "small thorax result")
    np.testing.assert_array_equal(after.segmentation().array, segmentation)
    np.testing.assert_array_equal(after.attribution("heart").array, heart)
    np.testing.assert_array_equal(after.extra_rois()["lesion"].array, lesion)
    np.testing.assert_array_equal(after.importance().mass, loaded.record.matrix.mass)
    load(loaded, tmp_path / "export" / "small thorax result")


def test_another_scene_s_parameters_are_not_mixed_in(loaded: Panel) -> None:
    import slicer

    loaded.parameters.samples = 77
    slicer.mrmlScene.Clear()
    assert loaded.parameters.samples == 20
    assert loaded.ui.samplesSpinBox.value == 20


BARE_SLICER = """
import sys
from importlib.abc import MetaPathFinder

MISSING = {"torch", "monai", "nibabel", "scipy", "networkx", "matplotlib", "psutil", "tqdm", "pydicom", "safetensors", "einops"}
MISSING |= {"captum", "sklearn"}

class Bare(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Bare())
sys.path[:0] = [TESTING, ROOT]
import slicer_standin
app = slicer_standin.install()
app.app.testing = True
app.load_module(ROOT + "/Agg2ExpModule/Agg2ExpModule.py")
widget = app.show_panel("Agg2ExpModule").self()
from pathlib import Path
assert widget.exporting.load(Path(RESULT))
controller = widget.controller
assert app.wait(lambda: not controller.busy)
assert not controller.failed, controller.message
assert list(widget.state.record.overlays) == ["lung_upper_lobe_left", "heart"]
assert widget.importance.graph.graph().nodes
widget.ui.jumpButton.click()
widget.state.parameters.exportMaps = False
assert widget.exporting.export(Path(RESULT).parent / "export")
assert app.wait(lambda: not controller.busy)
assert not controller.failed, controller.message
assert (Path(RESULT).parent / "export" / "importance_graph.png").stat().st_size > 5000
slicer_standin.uninstall()
print("all shown")
"""


def test_old_results_without_any_installed_package(tmp_path: Path) -> None:
    write_full_result(tmp_path / "result")
    testing = TESTING
    places = f"TESTING, ROOT, RESULT = {str(testing)!r}, {str(testing.parent)!r}, {str(tmp_path / 'result')!r}\n"
    done = subprocess.run([sys.executable, "-c", places + BARE_SLICER], capture_output=True, text=True, timeout=180)
    assert "all shown" in done.stdout, done.stderr[-3000:]


def test_results_made_elsewhere_say_nothing_about_this_computer(loaded: Panel) -> None:
    assert loaded.widget.state.record is not None
    assert loaded.controller.lastRun == {}


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"method": "smoothgrad", "samples": 20}, "SmoothGrad, 20 samples"),
        ({"method": "integrated_gradients", "steps": 30}, "Integrated gradients, 30 steps"),
        ({"method": "gradient", "samples": 20}, "Gradient"),
        ({"method": "layer_cam"}, "Layer CAM"),
        ({"method": "kernel_shap", "supervoxels": "cubes", "coalitions": "auto"}, "KernelSHAP, Cubes"),
        ({"method": "of_a_later_version"}, "of_a_later_version"),
    ],
)
def test_results_are_called_by_their_method(panel: Panel, parameters: dict, text: str) -> None:
    from Agg2ExpModuleLib.scene.ResultRecord import methodText

    assert methodText(parameters) == text
