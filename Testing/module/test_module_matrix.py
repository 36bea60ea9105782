"""The heat map in the panel: readable at 350 pixels, scrolls inside, and answers to real mouse, wheel and key events."""

from __future__ import annotations

import time

import numpy as np
import pytest

from support.panel_case import make_matrix, make_model

pytestmark = pytest.mark.usefixtures("panelInPath")


@pytest.fixture
def view():
    import qt

    from Agg2ExpModuleLib.drawing.MatrixView import MatrixView

    window = qt.QWidget()
    layout = qt.QVBoxLayout(window)
    layout.setContentsMargins(0, 0, 0, 0)
    view = MatrixView(window)
    layout.addWidget(view)
    view.window_of_test = window
    view.cells = []
    view.onCellClicked.append(lambda label, roi: view.cells.append((label, roi)))
    window.resize(350, 320)
    window.show()
    view.setMatrix(make_model().matrixData())
    qt.QApplication.processEvents()
    yield view
    window.close()


def sized(view, width: int, height: int) -> None:
    import qt

    view.window_of_test.resize(width, height)
    qt.QApplication.processEvents()


def point(x: float, y: float):
    import qt

    return qt.QPoint(round(x), round(y))


def middle_of(view, row: int, column: int):
    scene, (across, down) = view.placed(), view.scrolled()
    return point(scene.left + scene.xs[column] - across + scene.cell[0] / 2, scene.top + scene.ys[row] - down + scene.cell[1] / 2)


def column_of(view, name: str) -> int:
    return [column.name for column in view.matrix().columns].index(name)


def row_of(view, name: str) -> int:
    return [row.name for row in view.matrix().rows].index(name)


def color_at(view, place) -> tuple[int, int, int]:
    color = view.grab().toImage().pixelColor(place.x(), place.y())
    return color.red(), color.green(), color.blue()


def test_a_narrow_panel_scrolls_and_every_number_has_room(view):
    from Agg2ExpModuleLib.drawing.QtParts import textMeasure

    scene, measure = view.placed(), textMeasure(view.font)
    assert scene.scrollable[0] > 0
    assert scene.scrollable[1] > 0
    assert scene.textSize >= 9
    assert scene.left < 0.45 * view.width
    assert scene.window[0] >= 5 * scene.cell[0], "several regions at a time"
    for row in view.matrix().cells:
        for cell in row:
            assert measure(cell.text, scene.cellSize, False)[0] <= scene.cell[0] - 2
    assert scene.cell[1] > measure("0", scene.cellSize, False)[1]


def test_a_wide_window_shows_all_with_room_for_the_titles(view):
    sized(view, 1200, 700)
    scene = view.placed()
    assert scene.scrollable == (0, 0)
    assert scene.left + scene.content[0] <= 1200
    assert scene.rowTitles[1] == "Lung upper lobe left"
    gaps = np.diff(scene.xs) - scene.cell[0]
    assert [round(gap) for gap in gaps[-2:]] == [7, 7], "extra regions and background stand apart"
    assert all(abs(gap) < 1e-6 for gap in gaps[:-2])


def test_colours_go_with_the_values(view):
    from Agg2ExpModuleLib.drawing.PanelColors import PanelColors, luminance

    sized(view, 1200, 700)
    cells = view.matrix().cells
    colors = PanelColors.ofWidget(view)
    scene = view.placed()
    for row, line in enumerate(cells):
        for column in range(0, len(line), 5):
            corner = middle_of(view, row, column) + point(-scene.cell[0] / 2 + 4, -scene.cell[1] / 2 + 4)
            ground = colors.gray if view.matrix().columns[column].background else colors.heat
            assert np.abs(np.subtract(color_at(view, corner), ground(line[column].strength))).max() <= 3
    ramp = [luminance(colors.heat(part)) for part in np.linspace(0, 1, 50)]
    assert ramp == sorted(ramp, reverse=True), "darker is more on paper"
    dark = PanelColors.of((40, 40, 44), (230, 230, 230), (80, 140, 220))
    ramp = [luminance(dark.heat(part)) for part in np.linspace(0, 1, 50)]
    assert ramp == sorted(ramp), "lighter is more on a dark ground"


def test_clicking_a_cell_tells_label_and_region(view):
    import qt
    from PySide6.QtTest import QTest

    QTest.mouseClick(view, qt.Qt.LeftButton, qt.Qt.NoModifier, middle_of(view, 3, 2))
    data = view.matrix()
    assert view.cells == [(data.rows[3].name, data.columns[2].name)]
    assert view.selected == data.rows[3].name
    QTest.mouseClick(view, qt.Qt.LeftButton, qt.Qt.NoModifier, point(30, middle_of(view, 1, 0).y()))
    assert view.cells[-1] == (data.rows[1].name, data.rows[1].name)
    QTest.mouseClick(view, qt.Qt.RightButton, qt.Qt.NoModifier, middle_of(view, 3, 2))
    QTest.mouseClick(view, qt.Qt.LeftButton, qt.Qt.NoModifier, point(20, 10))
    assert len(view.cells) == 2


def test_hovering_tells_value_and_error(view):
    import qt
    from PySide6.QtTest import QTest

    row, column = 2, 3
    QTest.mouseMove(view, middle_of(view, row, column))
    qt.QApplication.processEvents()
    tip = view.matrix().cells[row][column].tip
    assert qt.QToolTip.text() == tip
    assert "±" in tip
    QTest.mouseMove(view, point(30, middle_of(view, 4, 0).y()))
    qt.QApplication.processEvents()
    assert qt.QToolTip.text() == view.matrix().rows[4].title


def test_the_title_under_the_mouse_is_the_tilted_columns(view):
    sized(view, 1200, 700)
    scene = view.placed()
    low = scene.cellAt(scene.left + scene.xs[5] + scene.cell[0] / 2 + 3, scene.top - 4, (0, 0))
    high = scene.cellAt(scene.left + scene.xs[5] + scene.cell[0] / 2 + 40, scene.top - 51, (0, 0))
    assert low == high == (None, 5)
    assert scene.cellAt(5, 5, (0, 0)) == (None, None)


def test_the_keyboard_walks_through_the_cells_and_scrolls(view):
    import qt
    from PySide6.QtTest import QTest

    view.setFocus()
    QTest.keyClick(view, qt.Qt.Key_Down)
    QTest.keyClick(view, qt.Qt.Key_Down)
    QTest.keyClick(view, qt.Qt.Key_End)
    assert view.scrolled()[0] > 0
    QTest.keyClick(view, qt.Qt.Key_Return)
    data, scene = view.matrix(), view.placed()
    assert view.cells == [(data.rows[1].name, data.columns[-1].name)]
    assert view.accessibleDescription == data.cells[1][-1].tip
    place = middle_of(view, 1, len(data.columns) - 1)
    assert scene.left < place.x() < view.width
    for _step in range(20):
        QTest.keyClick(view, qt.Qt.Key_Down)
    QTest.keyClick(view, qt.Qt.Key_Home)
    QTest.keyClick(view, qt.Qt.Key_Space)
    assert view.cells[-1] == (data.rows[-1].name, data.columns[0].name)
    assert view.scrolled()[0] == 0
    assert view.scrolled()[1] > 0
    QTest.keyClick(view, qt.Qt.Key_Left)
    QTest.keyClick(view, qt.Qt.Key_Up)
    QTest.keyClick(view, qt.Qt.Key_Enter)
    assert view.cells[-1] == (data.rows[-2].name, data.columns[0].name)


def test_the_wheel_scrolls_inside_and_then_the_panel(view):
    import qt
    from PySide6.QtCore import QPoint, QPointF, Qt
    from PySide6.QtGui import QWheelEvent

    def turn(delta: QPoint, modifier=Qt.NoModifier) -> bool:
        place = QPointF(middle_of(view, 1, 1))
        event = QWheelEvent(
            place, QPointF(view.mapToGlobal(place.toPoint())), QPoint(), delta, Qt.NoButton, modifier, Qt.NoScrollPhase, False
        )
        view.wheelEvent(event)
        qt.QApplication.processEvents()
        return event.isAccepted()

    assert turn(QPoint(0, -120))
    assert view.scrolled()[1] > 0
    assert turn(QPoint(0, -120), Qt.ShiftModifier)
    assert view.scrolled()[0] > 0
    for _step in range(30):
        turn(QPoint(0, -120))
    assert not turn(QPoint(0, -120)), "at the end the panel scrolls"


def test_clicks_hit_the_cells_that_are_seen_after_scrolling(view):
    import qt
    from PySide6.QtTest import QTest

    view.selected = "costal_cartilages"
    row, column = row_of(view, "costal_cartilages"), column_of(view, "ribs")
    view.setFocus()
    QTest.keyClick(view, qt.Qt.Key_End)
    QTest.keyClick(view, qt.Qt.Key_End)
    view.selected = "costal_cartilages"
    place = middle_of(view, row, column)
    scene = view.placed()
    assert scene.left < place.x() < view.width
    assert scene.top < place.y() < view.height - scene.bottom
    QTest.mouseClick(view, qt.Qt.LeftButton, qt.Qt.NoModifier, place)
    assert view.cells[-1] == ("costal_cartilages", "ribs")


def test_the_selected_row_is_framed_and_in_sight(view):
    from Agg2ExpModuleLib.drawing.PanelColors import PanelColors

    row = row_of(view, "costal_cartilages")
    view.selected = "costal_cartilages"
    scene = view.placed()
    top = scene.top + scene.ys[row] - view.scrolled()[1]
    assert scene.top <= top <= view.height - scene.bottom - scene.cell[1]
    accent = PanelColors.ofWidget(view).accent
    assert np.abs(np.subtract(color_at(view, point(scene.left + 40, top + 1)), accent)).max() < 60
    view.selected = "nobody"
    assert view.selected is None


def test_without_a_matrix_there_is_a_hint(view, tmp_path):
    import qt
    from PySide6.QtTest import QTest

    for data in (None, make_model(make_matrix(rows=())).matrixData()):
        view.selected = "aorta"
        view.setMatrix(data)
        assert view.selected is None
        assert view.grab().width() > 0
        QTest.mouseMove(view, point(200, 100))
        QTest.mouseClick(view, qt.Qt.LeftButton, qt.Qt.NoModifier, point(200, 100))
        QTest.keyClick(view, qt.Qt.Key_Right)
        QTest.keyClick(view, qt.Qt.Key_Return)
        assert view.cells == []
    view.setMatrix(None)
    with pytest.raises(ValueError, match="no matrix"):
        view.render(tmp_path / "a.png")


def test_a_picture_has_the_whole_matrix(view, tmp_path):
    import qt

    view.render(tmp_path / "matrix.png", 400)
    image = qt.QImage(str(tmp_path / "matrix.png"))
    assert image.width() > 2 * 400, "as wide as the columns need"
    assert image.height() > 2 * (17 * 14)
    with pytest.raises(OSError, match="choose another folder"):
        view.render(tmp_path / "missing" / "matrix.png")


def test_the_height_that_shows_every_row(view):
    sized(view, 350, view.contentHeight())
    assert view.placed().scrollable[1] == 0
    view.setMatrix(make_model(make_matrix(rows=("aorta", "heart"))).matrixData())
    assert view.contentHeight() < 260


def test_drawing_is_quick(view):
    view.grab()
    data, times = make_model().matrixData(), []
    for _round in range(3):
        start = time.thread_time()
        view.setMatrix(data)
        view.grab()
        times.append(time.thread_time() - start)
    assert min(times) < 0.1
