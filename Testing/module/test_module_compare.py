"""The panel's comparison with a cohort: real child processes, real clicks, small references made here."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")
pytest.importorskip("sklearn", reason="needs scikit-learn")

from support.cohort_patient import NAMES, ROWS, matrix_of, ordinary, strange, write_cohort, write_patient
from support.module_panel import Panel, watch_for_blocking
from support.paths import PUBLISHED

SPACE = "\N{NO-BREAK SPACE}"


@pytest.fixture
def panel(slicerApp, tmp_path: Path) -> Iterator[Panel]:  # noqa: N803
    panel = Panel(slicerApp, tmp_path, Path("none"))
    yield panel
    panel.widget.comparison.stop()


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    return write_cohort(tmp_path / "cohort.csv", 24, ROWS)


def load(panel: Panel, folder: Path) -> None:
    assert panel.widget.exporting.load(folder)
    panel.wait()
    assert not panel.controller.failed, panel.controller.message


def compared(panel: Panel) -> None:
    panel.wait(lambda: not panel.widget.comparison.running, 60)
    for _round in range(8):  # sizes that depend on each other settle
        panel.app.app.processEvents()


def tell(panel: Panel, *topics: str) -> None:
    from Agg2ExpModuleLib.panel.PanelState import Topic

    panel.widget.state.tell({Topic[name] for name in topics})


def badges(panel: Panel) -> dict[str, str]:
    labels = panel.widget.labels.list
    return {entry.name: labels.item(entry.name).text(3) for entry in labels.entries if entry.badge is not None}


def test_the_section_the_badges_and_the_difference(panel: Panel, tmp_path: Path, cohort: Path) -> None:
    import qt
    from PySide6.QtTest import QTest

    load(panel, write_patient(tmp_path / "new", strange()))
    panel.open("compare")
    ui, tree = panel.ui, panel.ui.labelTree
    assert "Choose a reference" in ui.compareSummary.text
    assert not ui.compareFrame.visible
    assert not ui.compareButton.enabled
    assert tree.isColumnHidden(3)
    longest = watch_for_blocking(panel)
    ui.referencePath.currentPath = str(cohort)
    assert panel.parameters.cohortReference == str(cohort)
    compared(panel)
    assert max(longest) < 0.3, "the panel was blocked"
    assert ui.compareSummary.text == "Compared with 24 patients: heart is unusual (1 of 2 labels; by chance up to 1 in 20)."
    assert "weights" in ui.compareNotes.text
    assert ui.compareVerdict.text.startswith("Aorta is ordinary"), "also for the label shown first"

    # badges
    assert not tree.isColumnHidden(3)
    assert badges(panel) == {"aorta": "", "heart": "◆"}
    item = panel.widget.labels.list.item("heart")
    assert item.font(0).bold()
    assert not panel.widget.labels.list.item("aorta").font(0).bold()
    for column in (0, 3):
        assert "Heart is unusual: stranger than in all 24 patients (anomaly score 0." in item.toolTip(column)
        assert f"Ribs: 30{SPACE}%, others " in item.toolTip(column)
    assert "Aorta is ordinary" in panel.widget.labels.list.item("aorta").toolTip(0)

    # boxes
    assert [ui.compareLabelCombo.itemText(index) for index in range(ui.compareLabelCombo.count)] == ["Aorta", "Heart (unusual)"]
    ui.compareLabelCombo.currentIndex = 1
    assert panel.parameters.mapLabel == "heart"
    boxes = panel.widget.comparing.boxes
    data = boxes.boxes()
    assert data.label == "heart"
    assert data.rows[0].region.name == "heart"
    assert "background" not in [row.region.name for row in data.rows]
    ribs = next(row for row in data.rows if row.region.name == "ribs")
    assert (ribs.side, ribs.text) == (1, f"30{SPACE}%")
    assert "Above the range." in ribs.tip
    for _round in range(8):
        panel.app.app.processEvents()
    assert boxes.height >= boxes.placed().height, "nothing is cut off"
    panel.parameters.background = True
    assert panel.widget.comparing.boxes.boxes().rows[-1].region.name == "background"
    jumps = []
    panel.widget.display.sections.jump = lambda node, region: jumps.append(region) or True
    scene = boxes.placed()
    where = qt.QPoint(round(scene.left + 20), round(scene.middle(1)))
    QTest.mouseClick(boxes, qt.Qt.LeftButton, qt.Qt.NoModifier, where)
    assert jumps == [boxes.boxes().rows[1].region.name]

    # the difference
    panel.click(ui.differenceButton)
    assert panel.parameters.measure == "difference"
    assert not ui.importanceSection.collapsed
    assert not ui.graphSignCombo.enabled
    graph = panel.widget.importance.graph.graph()
    found = next(edge for edge in graph.edges if (edge.source, edge.target) == ("ribs", "heart"))
    mean = panel.widget.comparison.result.of("heart").mean[NAMES.index("ribs")]
    assert found.sign == 1
    assert found.weight == pytest.approx(0.3 - mean)
    assert found.text == f"+{100 * (0.3 - mean):.0f}"
    assert graph.signs
    assert panel.widget.importance.matrix.matrix().signed
    ui.measureCombo.currentIndex = 0
    assert ui.graphSignCombo.enabled
    assert panel.widget.importance.graph.graph().signs == ()


def test_another_patient_a_saved_scene_and_no_results(panel: Panel, tmp_path: Path, cohort: Path) -> None:
    import slicer

    load(panel, write_patient(tmp_path / "new", strange()))
    first = panel.record
    panel.parameters.cohortReference = str(cohort)
    compared(panel)
    assert badges(panel) == {"aorta": "", "heart": "◆"}
    panel.parameters.measure = "difference"

    load(panel, write_patient(tmp_path / "second", ordinary(), "second", (0, 0, 20)))
    assert panel.widget.comparison.result is None, "nothing of the other patient is shown"
    assert badges(panel) == {}
    assert panel.widget.importance.graph.graph() is None
    compared(panel)
    assert badges(panel) == {"aorta": "", "heart": ""}
    assert "no label is unusual" in panel.ui.compareSummary.text
    panel.ui.inputSelector.setCurrentNode(first.ct)
    compared(panel)
    assert badges(panel)["heart"] == "◆"

    (tmp_path / "saved").mkdir()
    assert slicer.util.saveScene(str(tmp_path / "saved" / "scene.mrml"))
    slicer.mrmlScene.Clear()
    assert panel.widget.comparison.result is None
    assert not panel.ui.compareFrame.visible
    assert panel.ui.referencePath.currentPath == ""
    slicer.util.loadScene(str(tmp_path / "saved" / "scene.mrml"))
    compared(panel)
    assert panel.ui.referencePath.currentPath == str(cohort)
    assert badges(panel)["heart"] == "◆"
    assert panel.widget.importance.graph.graph().signs

    slicer.mrmlScene.RemoveNode(panel.record.node)
    tell(panel, "SCENE", "RECORD")
    panel.app.app.processEvents()
    if panel.record is not None:  # the other patient's
        slicer.mrmlScene.RemoveNode(panel.record.ct)
    panel.app.app.processEvents()
    assert panel.widget.comparison.result is None
    assert panel.ui.labelTree.isColumnHidden(3)


def test_what_cannot_be_compared_is_told(panel: Panel, tmp_path: Path, cohort: Path) -> None:
    from support.cohort_tables import write_result_folder

    load(panel, write_patient(tmp_path / "new", strange()))
    panel.open("compare")
    panel.parameters.cohortReference = str(tmp_path / "nowhere")
    assert "There is no file or folder" in panel.ui.compareSummary.text
    assert not panel.widget.comparison.running
    for index in range(2):
        write_result_folder(tmp_path / "others" / f"p{index}", ordinary(index), f"p{index}", "d" * 64, NAMES)
    panel.app.dialogs.file_answers.append(str(tmp_path / "others"))
    panel.click(panel.ui.referenceFolderButton)
    assert panel.parameters.cohortReference == str(tmp_path / "others")
    compared(panel)
    assert "different weights" in panel.ui.compareSummary.text
    assert panel.widget.comparison.failed
    assert not panel.ui.compareFrame.visible
    assert badges(panel) == {}
    panel.parameters.measure = "difference"
    assert panel.widget.importance.graph.graph() is None
    assert "Compare with a cohort" in panel.widget.importance.graph.emptyText

    panel.parameters.cohortReference = str(cohort)
    panel.wait(lambda: panel.widget.comparison.child.pid is not None)
    os.kill(panel.widget.comparison.child.pid, signal.SIGKILL)
    compared(panel)
    assert "ended without a result" in panel.ui.compareSummary.text
    write_cohort(cohort, 8, ROWS)
    panel.click(panel.ui.compareButton)
    compared(panel)
    assert "too few to tell what is unusual, 19 are needed" in panel.ui.compareSummary.text
    assert badges(panel) == {"aorta": "", "heart": ""}
    assert "only 8 patients" in panel.widget.labels.list.item("heart").toolTip(3)
    assert panel.widget.importance.graph.graph() is not None


def test_without_scikit_learn_there_are_boxes_and_differences(
    panel: Panel, tmp_path: Path, cohort: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken" / "sklearn").mkdir(parents=True)
    (tmp_path / "broken" / "sklearn" / "__init__.py").write_text("raise ImportError('not here')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'broken'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    panel.widget.state.missing = ["scikit-learn"]
    load(panel, write_patient(tmp_path / "new", strange()))
    panel.parameters.cohortReference = str(cohort)
    compared(panel)
    assert panel.ui.compareSummary.text == "Compared with 24 patients."
    assert "scikit-learn: click “Install requirements…”" in panel.ui.compareNotes.text
    assert badges(panel) == {"aorta": "", "heart": ""}
    assert panel.widget.comparing.boxes.boxes() is not None
    panel.parameters.measure = "difference"
    assert panel.widget.importance.graph.graph().signs
    (tmp_path / "broken" / "sklearn" / "__init__.py").unlink()
    (tmp_path / "broken" / "sklearn").rmdir()
    panel.widget.state.missing = []  # installed
    tell(panel, "MISSING")
    compared(panel)
    assert badges(panel)["heart"] == "◆"


def test_against_the_papers_published_patients(panel: Panel, tmp_path: Path) -> None:
    if not PUBLISHED.is_file():
        pytest.skip("the paper's published matrices are not beside the checkout")
    from Agg2ExpLib.cohorts.read import read_cohort

    cohort = read_cohort([PUBLISHED])
    lines, order = [cohort.rows.index(name) for name in ROWS], [cohort.columns.index(name) for name in NAMES]
    matrix = matrix_of(cohort.mass[3][lines][:, order], ROWS)
    folder = write_patient(tmp_path / "new", matrix)
    load(panel, folder)
    panel.parameters.cohortReference = str(PUBLISHED)
    compared(panel)
    assert "This patient is in the reference and was left out of it: compared with the other 31." in panel.ui.compareNotes.text
    assert panel.widget.comparison.result.patients == 31
    one = panel.widget.comparison.result.of("heart")
    others = np.delete(cohort.mass[:, cohort.rows.index("heart")][:, order], 3, 0)
    np.testing.assert_allclose(one.median, np.median(others, axis=0))
    np.testing.assert_allclose(one.difference, matrix.mass[1] - others.mean(axis=0))
