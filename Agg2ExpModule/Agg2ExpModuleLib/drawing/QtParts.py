"""Small makers and readers of Qt's values that work alike in PythonQt (Qt 5 and 6) and in PySide."""

from __future__ import annotations

from typing import Any

import qt

from .PanelColors import Color


def colorOf(color: Color, alpha: float = 1.0) -> Any:
    """A QColor; ``alpha`` in 0..1."""
    return qt.QColor(color[0], color[1], color[2], round(255 * min(1.0, alpha)))


def fontOf(base: Any, size: int, bold: bool = False) -> Any:
    """The window's font in another size (pixels)."""
    font = qt.QFont(base)
    font.setPixelSize(size)
    font.setBold(bold)
    return font


def noPen() -> Any:
    """A pen that draws nothing; made in steps, since numbers of styles and colours are alike for PythonQt."""
    pen = qt.QPen()
    pen.setStyle(qt.Qt.NoPen)
    return pen


def penOf(color: Color, width: float = 1.0, alpha: float = 1.0, dashed: bool = False) -> Any:
    """A pen with blunt ends."""
    pen = qt.QPen(colorOf(color, alpha))
    pen.setWidthF(width)
    pen.setCapStyle(qt.Qt.FlatCap)
    if dashed:
        pen.setStyle(qt.Qt.DashLine)
    return pen


def positionOf(event: Any) -> Any:
    """Where a mouse event happened, as a QPoint in the widget's pixels."""
    return event.pos() if hasattr(event, "pos") else _value(event.position).toPoint()


def wheelOf(event: Any) -> tuple[int, int]:
    """How far a wheel was turned across and down, in eighths of a degree."""
    delta = _value(event.angleDelta)
    return int(delta.x()), int(delta.y())


def flagValue(flags: Any) -> int:
    """Flags as a number, in PythonQt and in Python's enums."""
    return int(getattr(flags, "value", flags))


def textMeasure(base: Any) -> Any:
    """A function that measures texts in the window's font: ``(text, size, bold) -> (width, height)``."""
    known: dict[tuple[int, bool], Any] = {}

    def measure(text: str, size: int, bold: bool) -> tuple[float, float]:
        metrics = known.get((size, bold))
        if metrics is None:
            metrics = known[size, bold] = qt.QFontMetricsF(fontOf(base, size, bold))
        width = metrics.horizontalAdvance(text) if hasattr(metrics, "horizontalAdvance") else metrics.width(text)
        return float(width), float(metrics.height())

    return measure


def _value(member: Any) -> Any:
    """Qt 6 makes some functions of events properties."""
    return member() if callable(member) else member
