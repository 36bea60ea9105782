"""Section Input: CTs that are taken, and the demo CT."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from support.module_panel import Panel
from support.paths import MODULE_FOLDER

THORAX = MODULE_FOLDER / "Resources" / "SampleData" / "Agg2ExpThorax.nrrd"


@pytest.fixture
def panel(slicerApp, tmp_path: Path) -> Panel:  # noqa: N803
    return Panel(slicerApp, tmp_path, Path("none"))


def volumes() -> list:
    import slicer

    return slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")


def test_the_demo_ct_clicked_twice_is_there_once(panel: Panel) -> None:
    import slicer

    panel.open("input")
    panel.click(panel.ui.demoCaseButton)
    (thorax,) = volumes()
    assert panel.parameters.inputVolume is thorax
    other = panel.add_ct("another")
    panel.parameters.inputVolume = other
    panel.click(panel.ui.demoCaseButton)
    assert panel.parameters.inputVolume is thorax, "it is chosen again"
    assert volumes() == [thorax, other]
    slicer.mrmlScene.RemoveNode(thorax)
    panel.click(panel.ui.demoCaseButton)  # gone: loaded anew
    assert panel.parameters.inputVolume.GetName().startswith("Synthetic thorax")
    assert len(volumes()) == 2


def test_a_ct_that_slicer_loads_is_taken_when_it_can_be_drawn(panel: Panel) -> None:
    """Slicer's readers give a volume its colours after it was added; VTK errors on the way fail this test at its end."""
    import slicer

    node = slicer.util.loadVolume(str(THORAX), {"show": False})
    panel.app.app.processEvents()
    assert panel.parameters.inputVolume is node
    shown = {view.GetBackgroundVolumeID() for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")}
    assert shown == {node.GetID()}
    second = slicer.util.loadVolume(str(THORAX), {"show": False})
    panel.app.app.processEvents()
    assert panel.parameters.inputVolume is node, "only the first one"
    slicer.mrmlScene.RemoveNode(second)
