"""The graph in the panel: drawn without overlap at every size and theme, and answering to real mouse and key events."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from support.panel_case import make_matrix, make_model

SIZES = [(350, 400), (350, 300), (520, 460), (1000, 760), (1600, 1000)]


pytestmark = pytest.mark.usefixtures("panelInPath")


@pytest.fixture
def parent():
    import qt

    window = qt.QWidget()
    window.resize(350, 900)
    qt.QVBoxLayout(window)
    yield window
    window.close()


@pytest.fixture
def view(parent):
    """A graph in a window, as the panel has it, with fields that record the clicks."""
    import qt

    from Agg2ExpModuleLib.drawing.GraphView import GraphView

    view = GraphView(parent)
    before, after = qt.QLineEdit(parent), qt.QLineEdit(parent)
    for widget in (before, view, after):
        parent.layout().addWidget(widget)
    qt.QWidget.setTabOrder(before, view)
    qt.QWidget.setTabOrder(view, after)
    view.before, view.after = before, after
    view.nodes, view.edges = [], []
    view.onNodeClicked.append(view.nodes.append)
    view.onEdgeClicked.append(lambda label, roi: view.edges.append((label, roi)))
    view.setGraph(make_model().graph())
    parent.show()
    qt.QApplication.processEvents()
    return view


def pixels(view) -> np.ndarray:
    """The widget's picture as ``[y, x, 3]`` of red, green, blue."""
    import qt

    image = view.grab().toImage().convertToFormat(qt.QImage.Format_RGB888)
    flat = np.frombuffer(image.constBits(), dtype=np.uint8).reshape(image.height(), image.bytesPerLine())
    return flat[:, : 3 * image.width()].reshape(image.height(), image.width(), 3)


def point(x: float, y: float):
    import qt

    return qt.QPoint(round(x), round(y))


def place_of(view, name: str):
    place = view.placed().nodes[name]
    return point(place.x, place.y)


def free_point_of(view, edge):
    """A point on an edge's curve where neither a node nor another edge is nearer."""
    scene = view.placed()
    placed = next(place for place in scene.edges if place.edge == edge)
    for t in np.linspace(0.2, 0.8, 31):
        x, y = placed.curve.at(float(t))
        if scene.nodeAt(round(x), round(y)) is None and scene.edgeAt(round(x), round(y)) == edge:
            return point(x, y)
    return None


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("layout", ["anatomical", "circle"])
def test_nothing_overlaps_and_all_is_inside(view, width, height, layout):
    from Agg2ExpModuleLib.drawing.EdgeRoutes import overlap
    from Agg2ExpModuleLib.drawing.GraphGeometry import placeGraph
    from Agg2ExpModuleLib.drawing.QtParts import textMeasure

    measure = textMeasure(view.font)
    scene = placeGraph(make_model().graph(layout=layout), width, height, 12, measure)
    titles = {name: place.titleRect for name, place in scene.nodes.items() if place.lines}
    discs = {
        name: (place.x - place.radius, place.y - place.radius, 2 * place.radius, 2 * place.radius)
        for name, place in scene.nodes.items()
    }
    boxes = [
        (discs[name][0], discs[name][1], discs[name][2], titles[name][1] + titles[name][3] - discs[name][1])
        if name in titles
        else discs[name]
        for name in scene.nodes
    ]
    left, top, wide, tall = scene.plot
    for x, y, w, h in [*titles.values(), *discs.values()]:
        assert x >= left - 1
        assert y >= top - 1
        assert x + w <= left + wide + 1
        assert y + h <= top + tall + 1
    if height >= 400:  # where there is room for all
        assert not [pair for pair in itertools.combinations(boxes, 2) if overlap(*pair)]
        assert not [pair for pair in itertools.combinations(titles.values(), 2) if overlap(*pair)]
    strongest = sorted(scene.data.edges, key=lambda edge: -edge.weight)
    weights = [rect for _edge, rect in scene.weights(strongest, measure)]
    assert len(weights) >= 6
    for first, second in itertools.combinations(weights, 2):
        assert not overlap(first, second)
    for rect in weights:
        assert not any(overlap(rect, other) for other in [*titles.values(), *discs.values()])
    legend = [(entry.x, entry.x + 14 + measure(entry.text, scene.smallSize, False)[0]) for entry in scene.legend]
    assert all(start >= 0 and end <= width for start, end in legend)
    assert all(top + tall <= entry.y <= height for entry in scene.legend)


def test_sides_are_as_radiologists_see_them(view):
    nodes = view.placed().nodes
    assert nodes["lung_upper_lobe_right"].x < nodes["heart"].x < nodes["lung_upper_lobe_left"].x
    assert nodes["thyroid_gland"].y < nodes["aorta"].y < nodes["heart"].y
    marks = {text: x for text, x, _y in view.placed().sideMarks()}
    assert marks["R"] < view.width / 2 < marks["L"]
    view.setGraph(make_model().graph(layout="circle"))
    assert view.placed().sideMarks() == []


def test_arrows_run_from_region_to_label_and_their_width_is_the_weight(view):
    scene = view.placed()
    for place in scene.edges:
        source, target = scene.nodes[place.edge.source], scene.nodes[place.edge.target]
        start, end = np.array(place.curve.start), np.array(place.curve.end)
        assert np.hypot(*(start - (source.x, source.y))) < np.hypot(*(start - (target.x, target.y)))
        assert np.hypot(*(end - (target.x, target.y))) < np.hypot(*(end - (source.x, source.y)))
    by_weight = sorted(scene.edges, key=lambda place: place.edge.weight)
    assert [place.width for place in by_weight] == sorted(place.width for place in scene.edges)


def test_discs_have_their_systems_colour_on_light_and_dark(view):
    import qt

    from Agg2ExpModuleLib.drawing.PanelColors import PanelColors, luminance

    for paper, ink in (((255, 255, 255), (0, 0, 0)), ((42, 42, 46), (230, 230, 230))):
        palette = qt.QPalette()
        palette.setColor(qt.QPalette.Base, qt.QColor(*paper))
        palette.setColor(qt.QPalette.Text, qt.QColor(*ink))
        view.palette = palette
        colors = PanelColors.ofWidget(view)
        assert colors.dark == (paper[0] < 100)
        picture = pixels(view)
        assert tuple(picture[2, view.width // 2]) == paper
        for name in ("heart", "autochthon_left", "sternum", "lesion"):
            place = view.placed().nodes[name]
            wanted = colors.shown(place.node.color)
            assert abs(luminance(wanted) - luminance(paper)) > 0.12, "can be told from the ground"
            if place.node.explained:
                y, x = round(place.y), round(place.x - 0.82 * place.radius)
                assert np.abs(picture[y, x].astype(int) - wanted).max() < 30


def test_clicking_a_node_selects_it_and_tells(view):
    import qt
    from PySide6.QtTest import QTest

    QTest.mouseClick(view, qt.Qt.LeftButton, qt.Qt.NoModifier, place_of(view, "heart"))
    assert (view.nodes, view.selected) == (["heart"], "heart")
    QTest.mouseClick(view, qt.Qt.RightButton, qt.Qt.NoModifier, place_of(view, "aorta"))
    assert view.nodes == ["heart"]
    QTest.mouseClick(view, qt.Qt.LeftButton, qt.Qt.NoModifier, point(3, view.height - 3))
    assert view.selected is None
    assert view.nodes == ["heart"]


def test_clicking_an_arrow_tells_label_and_region(view):
    import qt
    from PySide6.QtTest import QTest

    edge = next(edge for edge in sorted(view.graph().edges, key=lambda edge: -edge.weight) if free_point_of(view, edge))
    QTest.mouseClick(view, qt.Qt.LeftButton, qt.Qt.NoModifier, free_point_of(view, edge))
    assert view.edges == [(edge.target, edge.source)]
    assert view.selected == edge.target


def test_hovering_tells_value_and_error(view):
    import qt
    from PySide6.QtTest import QTest

    edge = next(edge for edge in sorted(view.graph().edges, key=lambda edge: -edge.weight) if free_point_of(view, edge))
    QTest.mouseMove(view, free_point_of(view, edge))
    qt.QApplication.processEvents()
    assert qt.QToolTip.text() == edge.tip
    assert "±" in edge.tip
    QTest.mouseMove(view, place_of(view, "aorta"))
    qt.QApplication.processEvents()
    assert qt.QToolTip.text().startswith("Aorta (cardiovascular)")


def test_the_selected_labels_arrows_stand_out(view):
    edges = [place for place in view.placed().edges if place.edge.target == "aorta"]
    others = [place for place in view.placed().edges if place.edge.target != "aorta" and place.edge.source != "aorta"]

    def darkness() -> tuple[float, float]:
        picture = pixels(view).astype(float)

        def along(places) -> float:
            points = np.concatenate([place.curve.points[10:-10] for place in places])
            return float(np.mean([255 - picture[round(y), round(x)].min() for x, y in points]))

        return along(edges), along(others)

    before = darkness()
    view.selected = "aorta"
    after = darkness()
    assert after[0] > before[0]
    assert after[1] < 0.6 * before[1]
    view.selected = "nobody"
    assert view.selected is None


def test_a_region_that_is_not_explained_shows_what_leans_on_it(view):
    from Agg2ExpModuleLib.drawing.GraphPainter import GraphPainter
    from Agg2ExpModuleLib.drawing.PanelColors import PanelColors

    painter = GraphPainter(None, view.placed(), PanelColors.ofWidget(view), view.font)
    edges = painter.strongEdges("lesion")
    assert edges
    assert all(edge.source == "lesion" for edge in edges)
    assert all(edge.target == "aorta" for edge in painter.strongEdges("aorta"))


def test_the_keyboard_walks_chooses_and_leaves(view, parent):
    import qt
    from PySide6.QtTest import QTest

    parent.activateWindow()
    view.before.setFocus()
    qt.QApplication.processEvents()
    QTest.keyClick(view.before, qt.Qt.Key_Tab)
    assert view.focus
    names = [node.name for node in view.graph().nodes]
    QTest.keyClick(view, qt.Qt.Key_Tab)
    QTest.keyClick(view, qt.Qt.Key_Tab)
    QTest.keyClick(view, qt.Qt.Key_Return)
    assert view.nodes == [names[1]]
    QTest.keyClick(view, qt.Qt.Key_Backtab, qt.Qt.ShiftModifier)
    QTest.keyClick(view, qt.Qt.Key_Space)
    assert view.nodes[-1] == names[0]
    assert view.accessibleDescription.startswith("Aorta")
    places = view.placed().nodes
    for key, axis, sign in (
        (qt.Qt.Key_Left, "x", -1),
        (qt.Qt.Key_Down, "y", 1),
        (qt.Qt.Key_Right, "x", 1),
        (qt.Qt.Key_Up, "y", -1),
    ):
        QTest.keyClick(view, qt.Qt.Key_Return)
        start = view.nodes[-1]
        QTest.keyClick(view, key)
        QTest.keyClick(view, qt.Qt.Key_Return)
        assert sign * (getattr(places[view.nodes[-1]], axis) - getattr(places[start], axis)) > 0
    QTest.keyClick(view, qt.Qt.Key_Escape)
    assert view.selected is None
    for _step in range(len(names) + 1):
        if view.focus:
            QTest.keyClick(view, qt.Qt.Key_Tab)
    assert view.after.focus
    QTest.keyClick(view.after, qt.Qt.Key_Backtab, qt.Qt.ShiftModifier)
    assert view.focus


def test_without_a_graph_there_is_a_hint(view, tmp_path):
    import qt
    from PySide6.QtTest import QTest

    view.selected = "heart"
    view.setGraph(None)
    assert view.selected is None
    assert pixels(view).std() > 0
    QTest.mouseMove(view, point(100, 100))
    QTest.mouseClick(view, qt.Qt.LeftButton, qt.Qt.NoModifier, point(100, 100))
    QTest.keyClick(view, qt.Qt.Key_Left)
    assert view.nodes == []
    with pytest.raises(ValueError, match="no graph"):
        view.render(tmp_path / "a.png")


def test_graphs_without_edges_or_regions_are_drawn(view):
    from Agg2ExpModuleLib.drawing.GraphData import GraphData

    for data in (
        make_model().graph(minimum=0.99),
        make_model(make_matrix(rows=())).graph(),
        make_model(make_matrix(rows=("heart",))).graph(topK=1),
        make_model().graph(topK=None, background=True),
        GraphData((), (), "circle", (), "", ""),
    ):
        view.setGraph(data)
        for width, height in ((350, 400), (60, 280)):
            view.resize(width, height)
            assert pixels(view).shape == (view.height, view.width, 3)


def test_a_picture_is_written(view, tmp_path):
    import qt

    view.render(tmp_path / "graph ü.png", 800, 600)
    image = qt.QImage(str(tmp_path / "graph ü.png"))
    assert (image.width(), image.height()) == (1600, 1200)
    assert image.pixelColor(5, image.height() // 2).lightness() == 255, "on a light ground also in a dark theme"
    with pytest.raises(OSError, match="choose another folder"):
        view.render(tmp_path / "missing" / "graph.png")


def test_drawing_and_placing_are_quick(view):
    """The processor's time of this thread; a person waits at most 100 ms for an answer."""
    data = make_model().graph()
    view.resize(350, 400)
    pixels(view)
    placing, painting = [], []
    for _round in range(3):
        view.setGraph(data)
        start = time.thread_time()
        view.placed()
        placing.append(time.thread_time() - start)
        start = time.thread_time()
        view.grab()
        painting.append(time.thread_time() - start)
    assert min(placing) + min(painting) < 0.1
