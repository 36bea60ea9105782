"""The scroll area that the panel lies in, and how parts of the panel are brought into view."""

from __future__ import annotations

from typing import Any

import qt


def intoView(root: Any, widget: Any) -> None:
    """Scroll the panel so that a widget in it is seen, once the layout has settled."""

    def scroll() -> None:
        area = scrollAreaOf(root)
        if area is not None and widget.visible:
            area.ensureWidgetVisible(widget, 0, 8)

    qt.QTimer.singleShot(0, scroll)


def scrollAreaOf(widget: Any) -> Any:
    """The scroll area around a widget, or None."""
    while widget is not None and not widget.inherits("QScrollArea"):
        widget = widget.parentWidget()
    return widget
