"""The panel's comparison with a cohort: real child processes, real clicks, small references made here."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")
pytest.importorskip("sklearn", reason="needs scikit-learn")

from cohort_patient import NAMES, PUBLISHED, changed, matrix_of, ordinary_mass, write_cohort, write_patient
from module_panel import Panel

ROWS = ("aorta", "heart")
SPACE = "\N{NO-BREAK SPACE}"


@pytest.fixture
def panel(slicerApp, tmp_path: Path) -> Iterator[Panel]:  # noqa: N803
    panel = Panel(slicerApp, tmp_path, Path("none"))
    yield panel
    panel.widget.comparison.stop()


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    return write_cohort(tmp_path / "cohort.csv", 24, ROWS)


def ordinary(seed: int = 7):
    return matrix_of(ordinary_mass(np.random.default_rng(seed), ROWS), ROWS)


def strange():
    """A patient whose heart leans on the ribs and the sternum, and whose aorta is as in the others."""
    return changed(changed(ordinary(), "heart", "sternum", 0.4), "heart", "ribs", 0.3)


def load(panel: Panel, folder: Path) -> None:
    assert panel.widget.exporting.load(folder)
    panel.wait()
    assert not panel.controller.failed, panel.controller.message


def compared(panel: Panel) -> None:
    panel.wait(lambda: not panel.widget.comparison.running, 60)
    for _round in range(8):  # sizes that depend on each other settle
        panel.app.app.processEvents()


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


def watch_for_blocking(panel: Panel) -> list[float]:
    """Processor time of this thread between two turns of the event loop; grows while it goes on."""
    import qt

    times, last = [0.0], [time.thread_time()]

    def tick() -> None:
        now = time.thread_time()
        times.append(now - last[0])
        last[0] = now

    timer = qt.QTimer(panel.frame)
    timer.timeout.connect(tick)
    timer.start(5)
    return times


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
    panel.widget.state.tell({"scene", "result"})
    panel.app.app.processEvents()
    if panel.record is not None:  # the other patient's
        slicer.mrmlScene.RemoveNode(panel.record.ct)
    panel.app.app.processEvents()
    assert panel.widget.comparison.result is None
    assert panel.ui.labelTree.isColumnHidden(3)


def test_what_cannot_be_compared_is_told(panel: Panel, tmp_path: Path, cohort: Path) -> None:
    from cohort_tables import write_result_folder

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
    panel.wait(lambda: panel.widget.comparison._process is not None)
    os.kill(panel.widget.comparison._process.pid, signal.SIGKILL)
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
    panel.widget.state.tell({"missing"})
    compared(panel)
    assert badges(panel)["heart"] == "◆"


def test_against_the_papers_published_patients(panel: Panel, tmp_path: Path) -> None:
    if not PUBLISHED.is_file():
        pytest.skip("the paper's published matrices are not beside the checkout")
    from Agg2ExpLib.cohort.read import read_cohort

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


@pytest.fixture
def view(slicerApp, monkeypatch):  # noqa: N803
    """A box plot in a window of 350 pixels, with the row of a patient who leans less on the heart and more on the ribs."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "Agg2ExpModule"))
    import qt
    from Agg2ExpModuleLib.BoxPlotView import BoxPlotView

    window = qt.QWidget()
    layout = qt.QVBoxLayout(window)
    layout.setContentsMargins(0, 0, 0, 0)
    view = BoxPlotView(window)
    layout.addWidget(view)
    view.window_of_test = window
    view.regions = []
    view.onRegionClicked.append(view.regions.append)
    window.resize(350, 380)
    window.show()
    view.setBoxes(model_of(strange()).boxes("heart"))
    qt.QApplication.processEvents()
    yield view
    window.close()


def model_of(matrix):
    """The panel's comparison of a patient with 24 others, without forests."""
    from Agg2ExpModuleLib.ComparisonModel import ComparisonModel
    from panel_case import make_model

    from Agg2ExpLib.cohort.compare import comparing
    from Agg2ExpLib.cohort.compare_reference import ComparisonReference

    rng = np.random.default_rng(0)
    mass = np.stack([ordinary_mass(rng, ROWS) for _patient in range(24)])
    reference = ComparisonReference(ROWS, NAMES, mass, 100, 0, (), {})
    return ComparisonModel(next(comparing(reference, matrix)), make_model(matrix))


def test_boxes_at_every_width(view) -> None:
    import qt
    from Agg2ExpModuleLib.BoxPlotGeometry import placeBoxes
    from Agg2ExpModuleLib.QtParts import textMeasure

    measure, data = textMeasure(view.font), view.boxes()
    for width in (300, 350, 520, 1000):
        scene = placeBoxes(data, width, view.fontSize(), measure)
        assert scene.right - scene.left > 0.35 * width
        for row, title in zip(data.rows, scene.titles, strict=True):
            assert scene.left - 10 - measure(title, scene.textSize, True)[0] >= 0
            assert scene.left <= scene.x(row.low) <= scene.x(row.lower) <= scene.x(row.median) <= scene.x(row.upper)
            assert scene.x(row.upper) <= scene.x(row.high) <= scene.right
            assert scene.left <= scene.x(row.value) <= scene.right
        if width >= 350:
            assert list(scene.titles) == [row.region.title if width > 480 else row.region.shortTitle for row in data.rows]
        assert len(scene.ticks) >= 4
        for _index, text, x, y in scene.key:
            assert x + 18 + measure(text, scene.smallSize, False)[0] <= width
            assert scene.bottom < y < scene.height
    empty = replace(data, rows=())
    view.setBoxes(empty)
    view.grab()
    view.setBoxes(None)
    view.emptyText = "one\ntwo"
    view.grab()
    assert view.minimumHeight < 100
    assert qt.QToolTip.text() == ""


@pytest.mark.parametrize("dark", [False, True])
def test_marks_beyond_the_range_are_triangles_of_another_colour(view, dark: bool) -> None:
    import qt
    from Agg2ExpModuleLib.PanelColors import PanelColors, luminance

    if dark:
        palette = qt.QPalette()
        palette.setColor(qt.QPalette.Base, qt.QColor(42, 42, 46))
        palette.setColor(qt.QPalette.Text, qt.QColor(230, 230, 230))
        view.palette = palette
    colors, scene, data = PanelColors.ofWidget(view), view.placed(), view.boxes()
    assert colors.dark == dark
    image = view.grab().toImage()
    seen = set()
    for index, row in enumerate(data.rows):
        color = image.pixelColor(round(scene.x(row.value)), round(scene.middle(index)))
        wanted = colors.signed(row.side) if row.side else colors.accent
        assert max(abs(a - b) for a, b in zip((color.red(), color.green(), color.blue()), wanted, strict=True)) < 40
        seen.add(row.side)
    assert seen == {-1, 0, 1}
    for sign in (-1, 1):
        assert abs(luminance(colors.signed(sign)) - luminance(colors.paper)) > 0.25


def test_boxes_answer_to_mouse_and_keyboard(view) -> None:
    import qt
    from PySide6.QtTest import QTest

    scene, data = view.placed(), view.boxes()
    QTest.mouseMove(view, qt.QPoint(150, round(scene.middle(2))))
    qt.QApplication.processEvents()
    assert qt.QToolTip.text() == data.rows[2].tip
    assert "24 patients: median" in data.rows[2].tip
    QTest.mouseClick(view, qt.Qt.LeftButton, qt.Qt.NoModifier, qt.QPoint(150, round(scene.middle(2))))
    QTest.mouseClick(view, qt.Qt.LeftButton, qt.Qt.NoModifier, qt.QPoint(150, round(scene.bottom + 20)))
    QTest.mouseClick(view, qt.Qt.RightButton, qt.Qt.NoModifier, qt.QPoint(150, round(scene.middle(3))))
    assert view.regions == [data.rows[2].region.name]
    view.setFocus()
    QTest.keyClick(view, qt.Qt.Key_Down)
    QTest.keyClick(view, qt.Qt.Key_Return)
    QTest.keyClick(view, qt.Qt.Key_End)
    QTest.keyClick(view, qt.Qt.Key_Space)
    QTest.keyClick(view, qt.Qt.Key_Home)
    assert view.accessibleDescription == data.rows[0].tip
    assert view.regions[1:] == [data.rows[3].region.name, data.rows[-1].region.name]


def test_differences_have_size_sign_and_words(slicerApp, monkeypatch) -> None:  # noqa: N803
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "Agg2ExpModule"))
    from Agg2ExpModuleLib.DifferenceModel import DifferenceModel, differenceText

    words = model_of(strange())
    model = DifferenceModel(words.model, words.comparison)
    data = model.graph(topK=2, layout="circle")
    into = {edge.source: edge for edge in data.edges if edge.target == "heart"}
    assert set(into) == {"ribs", "sternum"}  # the largest two
    one = words.comparison.of("heart")
    for name, edge in into.items():
        expected = one.values[NAMES.index(name)] - one.mean[NAMES.index(name)]
        assert edge.weight == pytest.approx(abs(expected))
        assert edge.sign == np.sign(expected)
        assert edge.error is None
        assert edge.tip.split("\n")[0] == f"{model.title(name)} → Heart: {differenceText(expected)} percentage points"
    less = [edge for edge in model.graph(topK=None).edges if edge.sign < 0]
    assert less
    assert all(edge.text.startswith("\N{MINUS SIGN}") or edge.text == "0.0" for edge in less)
    node = next(node for node in data.nodes if node.name == "heart")
    own = one.values[NAMES.index("heart")] - one.mean[NAMES.index("heart")]
    assert node.shareText == f"\N{MINUS SIGN}{abs(100 * own):.0f}"
    matrix = model.matrixData()
    row, column = [header.name for header in matrix.rows].index("heart"), [header.name for header in matrix.columns].index("ribs")
    assert matrix.cells[row][column].sign == 1
    assert max(cell.strength for line in matrix.cells for cell in line[:-1]) == 1.0
    assert [differenceText(value) for value in (0.041, -0.123, 0.0001, -0.0996)] == [
        "+4.1",
        "\N{MINUS SIGN}12",
        "0.0",
        "\N{MINUS SIGN}10",
    ]


def test_more_and_less_are_drawn_in_two_colours_and_dashed(slicerApp, monkeypatch) -> None:  # noqa: N803
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "Agg2ExpModule"))
    import qt
    from Agg2ExpModuleLib.DifferenceModel import DifferenceModel
    from Agg2ExpModuleLib.GraphView import GraphView
    from Agg2ExpModuleLib.MatrixView import MatrixView
    from Agg2ExpModuleLib.PanelColors import PanelColors

    words = model_of(strange())
    model = DifferenceModel(words.model, words.comparison)
    view = GraphView()
    view.resize(350, 420)
    view.setGraph(model.graph())
    view.selected = "heart"
    colors, image, scene = PanelColors.ofWidget(view), view.grab().toImage(), view.placed()

    def near(x: float, y: float, wanted) -> bool:
        color = image.pixelColor(round(x), round(y))
        return max(abs(a - b) for a, b in zip((color.red(), color.green(), color.blue()), wanted, strict=True)) < 60

    keys = {entry.sign: entry for entry in scene.legend if entry.sign}
    drawn = {sign: [near(entry.x + step, entry.y, colors.signed(sign)) for step in range(1, 23)] for sign, entry in keys.items()}
    assert all(drawn[1]), "a line"
    assert any(drawn[-1])
    assert not all(drawn[-1]), "dashes"
    edge = next(place for place in scene.edges if (place.edge.source, place.edge.target) == ("ribs", "heart"))
    hits = [near(*edge.curve.at(t), colors.signed(1)) for t in np.linspace(0.1, 0.7, 13)]
    assert sum(hits) > 6
    matrix = MatrixView()
    matrix.resize(350, 320)
    matrix.setMatrix(model.matrixData())
    picture = matrix.grab().toImage()
    assert isinstance(picture, qt.QImage)
    place = matrix.placed()
    names = [header.name for header in matrix.matrix().columns]
    x = place.left + place.xs[names.index("heart")] + 4
    assert x < matrix.width
    rows = [header.name for header in matrix.matrix().rows]
    color = picture.pixelColor(round(x), round(place.top + place.ys[rows.index("heart")] + 4))
    assert color.green() > color.red(), "the heart leans less on itself"
