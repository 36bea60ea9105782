"""Graph and matrix large, one of them at a time, below a bar that says what is shown and changes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from .GraphView import GraphView
from .MatrixView import MatrixView

GRAPH, MATRIX = "graph", "matrix"


class LargeView:
    """Fills a widget.

    Args:
        holder: the widget; what an earlier one has left in it is removed.

    Attributes:
        graph, matrix: what is drawn.
        onChosen: are given ``graph`` or ``matrix``, when the user wants to see that.
        onClosed: are called when the user wants it away.
    """

    def __init__(self, holder: Any):
        self.onChosen: list[Callable[[str], None]] = []
        self.onClosed: list[Callable[[], None]] = []
        layout = holder.layout()
        if layout is None:
            layout = qt.QVBoxLayout(holder)
            layout.setContentsMargins(0, 0, 0, 0)
            layout.setSpacing(0)
        while layout.count():
            _remove(layout.takeAt(0).widget())
        self._frame = qt.QWidget(holder)
        layout.addWidget(self._frame)
        inside = qt.QVBoxLayout(self._frame)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(0)
        inside.addLayout(self._bar())
        self.graph, self.matrix = GraphView(self._frame), MatrixView(self._frame)
        for view in (self.graph, self.matrix):
            view.minimumHeight = 120  # a view can be made small
            inside.addWidget(view, 1)
        self.show(GRAPH)

    def show(self, what: str) -> None:
        """``graph`` or ``matrix``."""
        for name, button, view in ((GRAPH, self._graphButton, self.graph), (MATRIX, self._matrixButton, self.matrix)):
            button.checked = name == what
            view.visible = name == what

    def setTitle(self, title: str, tip: str = "") -> None:
        """What stands in the bar."""
        self._title.text, self._title.toolTip = title, tip

    def remove(self) -> None:
        """Leave the widget empty."""
        _remove(self._frame)

    def _bar(self) -> Any:
        bar = qt.QHBoxLayout()
        bar.setContentsMargins(8, 1, 2, 1)
        bar.setSpacing(2)
        self._title = qt.QLabel(self._frame)
        self._title.sizePolicy = qt.QSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Preferred)
        bar.addWidget(self._title, 1)
        self._graphButton = self._button(_("Graph"), _("Show the graph here."), lambda: self._choose(GRAPH))
        self._matrixButton = self._button(_("Matrix"), _("Show the matrix here."), lambda: self._choose(MATRIX))
        for button in (self._graphButton, self._matrixButton):
            button.checkable = True
            bar.addWidget(button)
        bar.addWidget(self._button("✕", _("Back to the layout that was there before."), self._close))
        return bar

    def _button(self, text: str, tip: str, does: Callable[[], None]) -> Any:
        button = qt.QToolButton(self._frame)
        button.text, button.toolTip, button.autoRaise = text, tip, True
        button.clicked.connect(lambda *_unused: does())
        return button

    def _choose(self, what: str) -> None:
        self.show(what)
        for callback in list(self.onChosen):
            callback(what)

    def _close(self) -> None:
        for callback in list(self.onClosed):
            callback()


def _remove(widget: Any) -> None:
    if widget is not None:
        widget.hide()
        widget.setParent(None)
        widget.deleteLater()
