"""The importance matrix as a heat map: rows are explained labels, columns are regions; answers to mouse and keyboard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from .DrawnView import DrawnView
from .GraphData import MatrixData
from .MatrixGeometry import MatrixScene, placeMatrix
from .MatrixPainter import MatrixPainter
from .PanelColors import PanelColors
from .QtParts import flagValue, positionOf, textMeasure, wheelOf

_BAR = 12  # pixels, thickness of a scroll bar
_NOTHING: tuple[int | None, int | None] = (None, None)


class MatrixView(DrawnView, qt.QWidget):
    """Heat map of the matrix; scrolls inside where it is larger than the widget, titles stay.

    Usage::

        view = MatrixView(parent)
        view.onCellClicked.append(lambda label, roi: ...)
        view.setMatrix(model.matrixData("absolute", "mass"))
        view.selected = "aorta"    # its row stands out

    Clicking a cell or a row's title (then ``roi`` is the label itself) also selects the row.
    """

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.onCellClicked: list[Callable[[str, str], None]] = []
        self.emptyText = _("The matrix appears here after an explanation.")
        self._data: MatrixData | None = None
        self._scene: MatrixScene | None = None
        self._selected: str | None = None
        self._hover = _NOTHING
        self._current: tuple[int, int] | None = None
        self._barShown = [False, False]
        self._revealed: str | None = None
        self._bars = (qt.QScrollBar(qt.Qt.Horizontal, self), qt.QScrollBar(qt.Qt.Vertical, self))
        for bar in self._bars:
            bar.visible = False
            bar.focusPolicy = qt.Qt.NoFocus
            bar.valueChanged.connect(self._onScrolled)
        self.setUpDrawing(_("RoI importance matrix"), 220)

    def setMatrix(self, data: MatrixData | None) -> None:
        """Show a matrix, or with None the hint that there is none yet. A selection that the matrix lacks is dropped."""
        self._data = data
        self._scene = None
        self._hover, self._current = _NOTHING, None
        if data is None or all(row.name != self._selected for row in data.rows):
            self._selected = None
        for bar in self._bars:
            bar.value = 0
        self._fitBars()
        self.update()

    def matrix(self) -> MatrixData | None:
        """What is shown."""
        return self._data

    @property
    def selected(self) -> str | None:
        """Name of the label whose row stands out."""
        return self._selected

    @selected.setter
    def selected(self, name: str | None) -> None:
        known = self._data is not None and any(row.name == name for row in self._data.rows)
        self._selected = name if known else None
        if known and self.placed():
            row = next(index for index, header in enumerate(self._data.rows) if header.name == name)
            self._scrollTo(row, None)
        self.update()

    def reveal(self, region: str) -> None:
        """Scroll to a region's column; kept until the user scrolls, since the widget may get its size only later."""
        self._revealed = region
        self._scrollToRevealed()

    def _scrollToRevealed(self) -> None:
        names = [column.name for column in self._data.columns] if self._data is not None else []
        if self._revealed in names and self._data is not None and self._data.rows:
            scene = self.placed()
            if scene is not None:
                self._bars[0].value = round(scene.scrollTo(0, names.index(self._revealed), self.scrolled())[0])

    def placed(self) -> MatrixScene | None:
        """Where everything stands now, in the widget's pixels; None without a matrix."""
        size = (float(self.width - self._barWidth(1)), float(self.height - self._barWidth(0)))
        if self._data is None:
            self._scene = None
        elif self._scene is None or (self._scene.width, self._scene.height) != size:
            self._scene = placeMatrix(self._data, *size, self.fontSize(), textMeasure(self.font))
        return self._scene

    def contentHeight(self) -> int:
        """Pixels of height that show all rows at the present width."""
        if self._data is None:
            return int(self.minimumHeight)
        scene = placeMatrix(self._data, float(self.width), 0.0, self.fontSize(), textMeasure(self.font))
        return round(scene.top + scene.bottom + scene.content[1]) + (_BAR if scene.scrollable[0] > 1 else 0)

    def scrolled(self) -> tuple[float, float]:
        """Pixels by which the cells are moved to the left and upwards."""
        return float(self._bars[0].value), float(self._bars[1].value)

    def render(self, path: str | Path, width: int = 1200, scale: float = 2.0, colors: PanelColors | None = None) -> None:
        """Write the whole matrix as a PNG picture, on a light ground unless ``colors`` says otherwise.

        Args:
            path: where to; ``.png``.
            width: in units of the screen, more where the columns need it; the picture has ``scale`` times as many pixels.

        Raises:
            ValueError: there is no matrix.
            OSError: the file cannot be written.
        """
        data = self._data
        if data is None:
            raise ValueError(_("There is no matrix to save yet: explain a label first."))
        measure = textMeasure(self.font)
        size = self.fontSize()
        first = placeMatrix(data, float(width), 100.0, size, measure)
        width = max(width, round(first.left + first.content[0] + 8))
        height = round(first.top + first.bottom + len(data.rows) * (first.cell[1] + 6))
        scene = placeMatrix(data, float(width), float(height), size, measure)

        def draw(painter: Any, shown: PanelColors) -> None:
            MatrixPainter(painter, data, scene, shown, self.font, (0.0, 0.0)).draw(None, _NOTHING, None)

        self.savePicture(path, width, height, scale, colors, draw)

    # Qt calls these; the names are Qt's.

    def sizeHint(self) -> Any:
        return qt.QSize(350, 320)

    def resizeEvent(self, event: Any) -> None:
        self._fitBars()

    def paintEvent(self, event: Any) -> None:
        painter = qt.QPainter(self)
        try:  # an exception with an active painter would end the application
            colors = PanelColors.ofWidget(self)
            painter.fillRect(self.rect, qt.QColor(*colors.paper))
            scene = self.placed()
            if scene is None or self._data is None or not self._data.rows:
                self.drawHint(painter, colors)
            else:
                current = self._current if self.focus else None
                MatrixPainter(painter, self._data, scene, colors, self.font, self.scrolled()).draw(
                    self._selected, self._hover, current
                )
        finally:
            painter.end()

    def mouseMoveEvent(self, event: Any) -> None:
        self._hover = self._under(positionOf(event))
        row, column = self._hover
        inside = row is not None and (column is not None or positionOf(event).x() < self.placed().left)
        self.cursor = qt.QCursor(qt.Qt.PointingHandCursor if inside else qt.Qt.ArrowCursor)
        tip = ""
        if row is not None and column is not None:
            tip = self._data.cells[row][column].tip
        elif row is not None or column is not None:
            tip = (self._data.rows[row] if row is not None else self._data.columns[column]).title
        self.showTip(positionOf(event).x(), positionOf(event).y(), tip)
        self.update()

    def leaveEvent(self, event: Any) -> None:
        self._hover = _NOTHING
        qt.QToolTip.hideText()
        self.update()

    def mousePressEvent(self, event: Any) -> None:
        row, column = self._under(positionOf(event))
        if event.button() != qt.Qt.LeftButton:
            event.ignore()
        elif row is not None and column is not None:
            self._current = (row, column)
            self._choose(row, column)
        elif row is not None and positionOf(event).x() < self.placed().left:
            self._choose(row, None)

    def wheelEvent(self, event: Any) -> None:
        across, down = wheelOf(event)
        if not across and flagValue(event.modifiers()) & flagValue(qt.Qt.ShiftModifier):
            across, down = down, 0
        self._revealed = None
        moved = False
        for bar, delta in zip(self._bars, (across, down), strict=True):
            before = bar.value
            bar.value = round(before - delta / 2)
            moved = moved or bar.value != before
        if not moved:
            event.ignore()  # the panel around it scrolls

    def keyPressEvent(self, event: Any) -> None:
        key = event.key()
        steps = {qt.Qt.Key_Left: (0, -1), qt.Qt.Key_Right: (0, 1), qt.Qt.Key_Up: (-1, 0), qt.Qt.Key_Down: (1, 0)}
        steps |= {qt.Qt.Key_Home: (0, -10000), qt.Qt.Key_End: (0, 10000)}
        if key in steps and self._data is not None and self._data.rows and self._data.columns:
            down, across = steps[key]
            row, column = self._current or (0, 0)
            if self._current is not None:
                row = min(max(row + down, 0), len(self._data.rows) - 1)
                column = min(max(column + across, 0), len(self._data.columns) - 1)
            self._goTo(row, column)
        elif key in (qt.Qt.Key_Return, qt.Qt.Key_Enter, qt.Qt.Key_Space) and self._current is not None:
            self._choose(*self._current)
        else:
            event.ignore()

    def onFontChanged(self) -> None:
        self._scene = None
        self._fitBars()

    def _under(self, position: Any) -> tuple[int | None, int | None]:
        scene = self.placed()
        return scene.cellAt(float(position.x()), float(position.y()), self.scrolled()) if scene else _NOTHING

    def _choose(self, row: int, column: int | None) -> None:
        label = self._data.rows[row].name
        self.selected = label
        roi = label if column is None else self._data.columns[column].name
        for callback in list(self.onCellClicked):
            callback(label, roi)

    def _goTo(self, row: int, column: int) -> None:
        self._current = (row, column)
        self._scrollTo(row, column)
        tip = self._data.cells[row][column].tip
        scene = self.placed()
        if scene is not None:
            x = scene.left + scene.xs[column] - self.scrolled()[0]
            y = scene.top + scene.ys[row] - self.scrolled()[1] + scene.cell[1]
            self.tellCurrent(x, y, tip)
        self.update()

    def _scrollTo(self, row: int, column: int | None) -> None:
        scene = self.placed()
        if scene is None:
            return
        across, down = scene.scrollTo(row, column or 0, self.scrolled())
        self._bars[1].value = round(down)
        if column is not None:
            self._bars[0].value = round(across)

    def _onScrolled(self, value: int) -> None:
        self.update()

    def _barWidth(self, which: int) -> int:
        return _BAR if self._barShown[which] else 0

    def _fitBars(self) -> None:
        """Show the scroll bars that are needed; one takes room that may make the other necessary."""
        self._barShown = [False, False]
        for bar in self._bars:
            bar.visible = False
        if self._data is None or not self._data.rows:
            return
        for _round in range(2):
            scene = self.placed()
            for which in (0, 1):
                bar, most = self._bars[which], scene.scrollable[which]
                if most > 1:
                    bar.maximum = round(most)
                    bar.pageStep = max(1, round(scene.window[which]))
                    bar.singleStep = round(scene.cell[which])
                    left, top = round(scene.left), round(scene.top)
                    if which == 0:
                        bar.geometry = qt.QRect(left, self.height - _BAR, self.width - left, _BAR)
                    else:
                        bar.geometry = qt.QRect(self.width - _BAR, top, _BAR, max(20, round(scene.window[1])))
                    bar.visible = self._barShown[which] = True
                else:
                    bar.maximum = 0
        self._scrollToRevealed()
