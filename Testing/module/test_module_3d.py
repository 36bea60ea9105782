"""The map in the 3D view: drawn by Slicer's own displayable managers in software, while the application answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from support.module_panel import Panel, panel_with_result
from support.small_result import OPPOSING, SUPPORTING, affine_of_grid, place

LUNG = "lung_upper_lobe_left"


@pytest.fixture
def panel(slicerApp, tmp_path: Path) -> Panel:  # noqa: N803
    return panel_with_result(slicerApp, tmp_path)


def made(panel: Panel) -> dict[str, Any]:
    """The surfaces of the map shown, once they are made."""
    from Agg2ExpModuleLib.scene.MapSurfaces import surfacesOf

    panel.wait(lambda: not panel.widget.display.in3D.busy, 20)
    return surfacesOf(panel.widget.display.shown)


def visible(surfaces: dict[str, Any]) -> set[str]:
    return {name for name, node in surfaces.items() if node.GetDisplayNode().GetVisibility()}


def centre(node: Any) -> np.ndarray:
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    return (np.array(bounds[::2]) + bounds[1::2]) / 2


def test_surfaces_lie_around_what_supports_and_what_opposes(panel: Panel) -> None:
    panel.parameters.strongest = 0.5
    panel.open("display")
    panel.ui.in3DCheckBox.click()
    surfaces = made(panel)
    assert visible(surfaces) == {"supporting", "opposing"}
    for name, middle in (("supporting", SUPPORTING), ("opposing", OPPOSING)):
        assert np.linalg.norm(centre(surfaces[name]) - place(affine_of_grid(), middle)) < 3.0, f"{name}: less than half a voxel off"
    red, _green, blue = surfaces["supporting"].GetDisplayNode().GetColor()
    assert red > blue
    small = surfaces["supporting"].GetMesh().GetNumberOfPoints()
    panel.parameters.strongest = 3.0
    assert made(panel)["supporting"].GetMesh().GetNumberOfPoints() > small
    panel.parameters.sign = "supporting"
    assert visible(made(panel)) == {"supporting"}
    panel.parameters.sign = "both"
    heart = made(panel)
    assert visible(heart) == {"supporting", "opposing"}
    panel.parameters.mapLabel = LUNG
    assert visible(made(panel)) == {"supporting", "opposing"}
    assert visible(heart) == set(), "one map at a time"
    panel.ui.in3DCheckBox.click()
    assert visible(made(panel)) == set()


def test_surfaces_come_and_go_with_their_map(panel: Panel, tmp_path: Path) -> None:
    import slicer

    panel.parameters.in3D = True
    made(panel)
    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    assert view.focal_point_resets == 1, "one sees it at once"
    panel.parameters.strongest = 2.0
    made(panel)
    assert view.focal_point_resets == 1, "and keeps the view that one has chosen"
    (tmp_path / "saved").mkdir()
    assert slicer.util.saveScene(str(tmp_path / "saved" / "scene.mrb"))
    slicer.mrmlScene.Clear()
    slicer.util.loadScene(str(tmp_path / "saved" / "scene.mrb"))
    panel.app.app.processEvents()
    assert panel.parameters.in3D
    assert visible(made(panel)) == {"supporting", "opposing"}
    count = slicer.util.getNodesByClass("vtkMRMLModelNode")
    assert sum(bool(node.GetAttribute("Agg2Exp.Surface")) for node in count) == 2, "the saved ones, not others beside them"
    slicer.mrmlScene.RemoveNode(panel.widget.display.shown)
    panel.app.app.processEvents()
    left = [node for node in slicer.util.getNodesByClass("vtkMRMLModelNode") if node.GetAttribute("Agg2Exp.Surface")]
    panel.wait(lambda: not panel.widget.display.in3D.busy, 20)
    assert not [node for node in left if node.GetDisplayNode().GetVisibility() and node.GetName().startswith("Heart")]


def test_3d_does_not_keep_the_application_from_answering(panel: Panel) -> None:
    """A map of five million voxels, noise all over it, which volume rendering in software takes a second a picture for."""
    import slicer

    from Agg2ExpLib.io.volume import Volume
    from Agg2ExpLib.views.mrml import add_overlay
    from Agg2ExpModuleLib.panel.Heartbeat import Heartbeat

    rng = np.random.default_rng(5)
    values = np.kron(rng.normal(size=(50, 50, 32)), np.ones((4, 4, 4))).astype(np.float32)
    values += rng.normal(size=values.shape).astype(np.float32)
    overlay = add_overlay(slicer.mrmlScene, Volume(np.asfortranarray(values), np.diag([-1.5, -1.5, 2.0, 1.0])), "Large", "heart")
    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    drawn = view.draw()
    empty = drawn.pixels()
    panel.app.app.processEvents()
    heartbeat = Heartbeat(panel.frame)
    in3D = panel.widget.display.in3D  # noqa: N806
    heartbeat.start("3D")
    in3D.show(overlay, panel.record.ct, 5.0, "both")
    panel.wait(lambda: not in3D.busy, 30)
    heartbeat.stop()
    assert panel.app.state.drawing.count["3D"] > 0
    assert (np.abs(drawn.pixels().astype(int) - empty) > 40).any(axis=-1).mean() > 0.02, "it is seen"
    assert not heartbeat.problem(0.25), heartbeat.problem(0.25)
    assert panel.app.state.drawing.longest_processor < 0.25, "which volume rendering takes seconds of, also on a busy computer"
