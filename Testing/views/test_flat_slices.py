"""Slices drawn without VTK against Slicer's own slice views of the same scene."""

from __future__ import annotations

import numpy as np
import pytest

from Agg2ExpLib.views.flat_slices import Look, draw, grids_through
from Agg2ExpLib.views.mrml_colors import absolute_quantiles, overlay_scale
from support.small_result import BONE_MARKER, SHAPE, SUPPORTING, affine_of_grid, place, write_result


def slices(results, angles, point):
    ct, overlay, labels = results.ct(), results.attribution("heart"), results.segmentation()
    mask = np.asarray(labels.array) == next(label.index for label in results.labels if label.name == "heart")
    grids = grids_through(SHAPE, ct.affine, dict.fromkeys(("axial", "coronal", "sagittal"), point))
    _threshold, window, hidden = overlay_scale(absolute_quantiles(overlay.array), 95.0)
    look = Look((-1000.0, 700.0), window, hidden, "both", 0.6)
    return {
        name: (
            grid,
            draw(
                grid,
                grid.sample(ct.array, ct.affine, 1, -1024.0),
                grid.sample(overlay.array, overlay.affine, 1, 0.0),
                grid.sample(mask, labels.affine, 1, 0.0),
                look,
            ),
        )
        for name, grid in grids.items()
    }


@pytest.mark.parametrize("angles", [(0, 0, 0), (8, -5, 12)])
def test_markers_lie_where_they_belong(tmp_path, angles):
    results = write_result(tmp_path / "r", angles)
    affine = affine_of_grid(angles)
    bone, red = place(affine, BONE_MARKER), place(affine, SUPPORTING)
    found = slices(results, angles, bone)
    edges = {name: picture.edges for name, (_grid, picture) in found.items()}
    assert edges == {"axial": tuple("RLAP"), "coronal": tuple("RLSI"), "sagittal": tuple("APSI")}
    for name, (grid, picture) in found.items():
        rows, columns = np.nonzero(picture.pixels.min(axis=2) > 250)
        middle = grid.corner + grid.right * columns.mean() + grid.down * rows.mean()
        assert np.linalg.norm(middle - bone) < 8, name
        spread = {"axial": 2, "coronal": 1, "sagittal": 0}[name]
        assert abs(picture.position[1]) == pytest.approx(abs(bone[spread]), abs=40 if any(angles) else 3)
    for name, (grid, picture) in slices(results, angles, red).items():
        pixels = picture.pixels.astype(int)
        rows, columns = np.nonzero((pixels[..., 0] - pixels[..., 2] > 90) & (pixels[..., 0] - pixels[..., 1] > 60))
        middle = grid.corner + grid.right * columns.mean() + grid.down * rows.mean()
        assert np.linalg.norm(middle - red) < 12, name


def test_the_same_as_slicers_own_view(tmp_path):
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
    from Agg2ExpLib.errors import InputError
    from Agg2ExpLib.views.mrml import new_scene, show_results
    from Agg2ExpLib.views.slice_views import SliceView

    assert slicer
    results = write_result(tmp_path / "r")
    nodes = show_results(results, new_scene())
    nodes.segmentation.GetDisplayNode().SetVisibility2D(False)
    nodes.extra.GetDisplayNode().SetVisibility2D(False)
    red = place(affine_of_grid(), SUPPORTING)
    for name, (_grid, mine) in slices(results, (0, 0, 0), red).items():
        height, width = mine.pixels.shape[:2]
        try:
            with SliceView(nodes.scene, name, (width, height), name=f"Test {name}") as view:
                view.show(nodes.ct, nodes.overlays["heart"], 0.6)
                view.jump(red)
                theirs = view.picture()
        except InputError as error:
            pytest.skip(str(error))
        assert theirs.edges == mine.edges
        difference = np.abs(theirs.pixels.astype(int) - mine.pixels.astype(int)).max(axis=2)
        # Apart from the outline, which only ours has, and half a voxel at borders, which views interpolate in another way.
        assert np.median(difference) <= 4, name
        assert (difference > 60).mean() < 0.12, name
