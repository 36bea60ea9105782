"""Section Advanced: whatever method is chosen, its fields stand one below the other without gaps."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from Agg2ExpLib.attribution.methods import METHODS
from support.module_panel import Panel


def test_no_method_leaves_a_gap_above_its_first_field_or_between_two(slicerApp, tmp_path: Path) -> None:  # noqa: N803
    import qt

    panel = Panel(slicerApp, tmp_path, Path("none"))
    panel.open("explain")
    panel.ui.advancedSection.collapsed = False
    contents = panel.ui.advancedContents
    tops = {}
    for name in METHODS:
        panel.parameters.method = name
        for _round in range(3):
            panel.app.app.processEvents()
        layout = contents.layout()
        rows = []
        for widget in contents.findChildren(qt.QWidget):
            if widget.parentWidget() is contents and widget.visible and layout.indexOf(widget) >= 0:
                rows.append((widget.geometry.top(), widget.geometry.bottom()))
        rows.sort()
        tops[name] = rows[0][0]
        lowest = rows[0][1]
        for top, bottom in rows[1:]:
            assert top - lowest <= 12, f"{name}: a gap of {top - lowest} pixels"
            lowest = max(lowest, bottom)
        assert contents.height - lowest <= 12, f"{name}: room below the last field"
    assert set(tops.values()) == {layout.contentsMargins.top()}, "the first field is at the top"
    assert len({tuple(entry.name for entry in METHODS[name].parameters()) for name in METHODS}) > 4, "methods have other fields"
