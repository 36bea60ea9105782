"""Maps exported onto the voxels of the CT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from support.module_panel import Panel
from support.small_result import SPACING, write_result


def test_maps_are_interpolated_linearly_and_end_where_the_model_saw_nothing(slicerApp, tmp_path: Path) -> None:  # noqa: N803
    """A CT whose voxels lie half a step to the right of the model's: each value is the mean of two neighbours."""
    from Agg2ExpLib.io.read import read_volume

    result = write_result(tmp_path / "result")
    panel = Panel(slicerApp, tmp_path, Path("none"))
    assert panel.widget.exporting.load(tmp_path / "result")
    panel.wait()
    panel.parameters.exportTables = panel.parameters.exportPictures = False
    panel.parameters.mapGrid = "ct"

    def export(name: str) -> None:
        assert panel.widget.exporting.export(tmp_path / name)
        panel.wait()
        assert not panel.controller.failed, panel.controller.message

    ct = panel.record.ct
    x, y, z = ct.GetOrigin()
    ct.SetOrigin(x + SPACING[0] / 2, y, z)
    export("out")
    found = read_volume(tmp_path / "out" / "heart_attribution_on_ct.nrrd")
    expected = np.asarray(result.attribution("heart").array, dtype=np.float64)
    np.testing.assert_allclose(found.affine[:3, 3], result.ct().affine[:3, 3] + (SPACING[0] / 2, 0, 0), atol=1e-4)
    between = (expected[:-1] + expected[1:]) / 2
    assert np.abs(between - expected[:-1]).max() > 0.02, "nearest neighbours must differ for this test to mean anything"
    np.testing.assert_allclose(found.array[:-1], between, atol=1e-6)
    # The last plane lies half a voxel beyond the model's outer centres, within its voxels still.
    np.testing.assert_allclose(found.array[-1], expected[-1], atol=1e-6)
    ct.SetOrigin(x + 3 * SPACING[0], y, z)
    export("further")
    assert not read_volume(tmp_path / "further" / "heart_attribution_on_ct.nrrd").array[-3:].any()


def test_pictures_are_drawn_elsewhere_in_short_pieces_and_can_be_stopped(slicerApp, tmp_path: Path) -> None:  # noqa: N803
    import sys

    from support.module_panel import watch_for_blocking

    write_result(tmp_path / "result")
    panel = Panel(slicerApp, tmp_path, Path("none"))
    assert panel.widget.exporting.load(tmp_path / "result")
    panel.wait()
    panel.parameters.mapLabel = "heart"
    loaded = set(sys.modules)
    longest = watch_for_blocking(panel)
    assert panel.widget.exporting.export(tmp_path / "out")
    panel.wait()
    assert not panel.controller.failed, panel.controller.message
    assert (tmp_path / "out" / "heart_views.png").stat().st_size > 5000
    assert max(longest) < 0.25, "the panel was blocked"
    assert not {name for name in set(sys.modules) - loaded if name.startswith("matplotlib")}, "its memory would stay"
    assert panel.widget.exporting.export(tmp_path / "stopped")
    panel.wait(lambda: panel.widget.exporting._child.pid is not None)
    panel.click(panel.ui.cancelButton)
    panel.wait(seconds=20)
    assert "Cancelled" in panel.ui.statusLabel.text
    assert not [path for path in (tmp_path / "stopped").iterdir() if path.name.startswith(".")]
    assert not list(Path(panel.app.app.temporaryPath).glob("Agg2Exp-*"))
