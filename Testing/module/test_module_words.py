"""The chosen label in words, in the section RoI importance."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from support.module_panel import Panel, panel_with_result

EFFECTS = """label,removed,dice,volume_change_percent,mean_logit_change
heart,heart,0.01,-99.0,-3
heart,lung_upper_lobe_left,0.914,-8.25,-1
heart,lesion,0.99,-0.5,-1
"""


@pytest.fixture
def panel(slicerApp, tmp_path: Path) -> Panel:  # noqa: N803
    return panel_with_result(slicerApp, tmp_path, "importance")


def test_the_sentences_follow_the_label_and_tell_the_numbers_of_the_table(panel: Panel) -> None:
    import qt

    label = panel.ui.wordsLabel
    assert label.visible
    assert label.text.startswith("Heart: ")
    tree = panel.ui.regionTable
    rows = {tree.topLevelItem(i).text(0): tree.topLevelItem(i) for i in range(tree.topLevelItemCount)}
    lung = rows["Lung upper lobe L"]
    assert f"{float(lung.text(1)):.1f} ± {float(lung.text(2)):.1f} % in the lung upper lobe left" in label.text
    assert "Removing" not in label.text
    assert "removing" not in label.text
    assert label.textInteractionFlags & qt.Qt.TextSelectableByMouse
    label.setSelection(0, 5)
    assert label.selectedText == "Heart"
    panel.parameters.mapLabel = "lung_upper_lobe_left"
    assert label.text.startswith("Lung upper lobe left: ")


def test_what_removing_does_is_told_and_kept_in_the_scene(panel: Panel, tmp_path: Path) -> None:
    from Agg2ExpLib.interventions.effects_table import read_effects
    from Agg2ExpModuleLib.panel.PanelState import Topic

    folder = tmp_path / "result" / "what_if" / "all"
    folder.mkdir(parents=True)
    (folder / "causal_matrix.csv").write_text(EFFECTS, encoding="utf-8")
    panel.widget.state.tell({Topic.BUSY})
    told = "Of 2 other regions, removing the lung upper lobe left changes it most: volume -8.2 %, Dice 0.91."
    assert panel.ui.wordsLabel.text.endswith(told)
    panel.record.effects = read_effects(folder)
    shutil.rmtree(tmp_path / "result")
    panel.widget.state.tell({Topic.BUSY})
    assert panel.ui.wordsLabel.text.endswith(told), "without the folder"
    panel.record.effects = {}
    panel.widget.state.tell({Topic.BUSY})
    assert "removing" not in panel.ui.wordsLabel.text


def test_a_damaged_table_is_left_out(panel: Panel, tmp_path: Path) -> None:
    from Agg2ExpModuleLib.panel.PanelState import Topic

    folder = tmp_path / "result" / "what_if" / "all"
    folder.mkdir(parents=True)
    (folder / "causal_matrix.csv").write_text("label,removed\nheart,lung\n", encoding="utf-8")
    panel.widget.state.tell({Topic.BUSY})
    assert panel.ui.wordsLabel.text.startswith("Heart: ")
    assert "removing" not in panel.ui.wordsLabel.text
