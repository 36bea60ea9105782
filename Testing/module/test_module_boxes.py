"""The box plot and the differences as they are drawn: readable at every width, in two themes, for mouse and keyboard."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from support.paths import MODULE_FOLDER

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from support.cohort_patient import NAMES, ROWS, ordinary_mass, strange


@pytest.fixture
def view(slicerApp, monkeypatch):  # noqa: N803
    """A box plot in a window of 350 pixels, with the row of a patient who leans less on the heart and more on the ribs."""
    monkeypatch.syspath_prepend(str(MODULE_FOLDER))
    import qt

    from Agg2ExpModuleLib.drawing.BoxPlotView import BoxPlotView

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
    from Agg2ExpLib.cohorts.compare import comparing
    from Agg2ExpLib.cohorts.compare_reference import ComparisonReference
    from Agg2ExpModuleLib.panel.ComparisonModel import ComparisonModel
    from support.panel_case import make_model

    rng = np.random.default_rng(0)
    mass = np.stack([ordinary_mass(rng, ROWS) for _patient in range(24)])
    reference = ComparisonReference(ROWS, NAMES, mass, 100, 0, (), {})
    return ComparisonModel(next(comparing(reference, matrix)), make_model(matrix))


def test_boxes_at_every_width(view) -> None:
    import qt

    from Agg2ExpModuleLib.drawing.BoxPlotGeometry import placeBoxes
    from Agg2ExpModuleLib.drawing.QtParts import textMeasure

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

    from Agg2ExpModuleLib.drawing.PanelColors import PanelColors, luminance

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
    monkeypatch.syspath_prepend(str(MODULE_FOLDER))
    from Agg2ExpModuleLib.panel.DifferenceModel import DifferenceModel, differenceText

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
    monkeypatch.syspath_prepend(str(MODULE_FOLDER))
    import qt

    from Agg2ExpModuleLib.drawing.GraphView import GraphView
    from Agg2ExpModuleLib.drawing.MatrixView import MatrixView
    from Agg2ExpModuleLib.drawing.PanelColors import PanelColors
    from Agg2ExpModuleLib.panel.DifferenceModel import DifferenceModel

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
