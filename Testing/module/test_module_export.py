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
    from Agg2ExpModuleLib.panel.Exporter import ExportChoice, Exporter

    ct = panel.record.ct
    x, y, z = ct.GetOrigin()
    ct.SetOrigin(x + SPACING[0] / 2, y, z)
    choice = ExportChoice(tables=False, pictures=False, mapGrid="ct")
    assert list(Exporter(panel.record, tmp_path / "out", choice).steps())
    found = read_volume(tmp_path / "out" / "heart_attribution_on_ct.nrrd")
    expected = np.asarray(result.attribution("heart").array, dtype=np.float64)
    np.testing.assert_allclose(found.affine[:3, 3], result.ct().affine[:3, 3] + (SPACING[0] / 2, 0, 0), atol=1e-4)
    between = (expected[:-1] + expected[1:]) / 2
    assert np.abs(between - expected[:-1]).max() > 0.02, "nearest neighbours must differ for this test to mean anything"
    np.testing.assert_allclose(found.array[:-1], between, atol=1e-6)
    # The last plane lies half a voxel beyond the model's outer centres, within its voxels still.
    np.testing.assert_allclose(found.array[-1], expected[-1], atol=1e-6)
    ct.SetOrigin(x + 3 * SPACING[0], y, z)
    assert list(Exporter(panel.record, tmp_path / "further", choice).steps())
    assert not read_volume(tmp_path / "further" / "heart_attribution_on_ct.nrrd").array[-3:].any()
