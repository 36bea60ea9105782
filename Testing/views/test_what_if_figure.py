"""The picture of a what-if answer: both CTs, the right way round, with old and new outlines."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from Agg2ExpLib.interventions.outcome import outlined
from Agg2ExpLib.views.planes import plane_of
from Agg2ExpLib.views.what_if_figure import what_if_figure


def box(*places):
    mask = np.zeros((12, 14, 10), bool)
    mask[tuple(slice(a, b) for a, b in places)] = True
    return mask


def test_both_cts_and_outlines_in_every_plane():
    before = np.random.default_rng(0).normal(0, 100, (12, 14, 10)).astype(np.float32)
    after = before + 50
    region = box((4, 9), (4, 10), (3, 8))
    old, new = box((2, 8), (3, 9), (2, 7)), box((3, 8), (3, 9), (2, 7))
    figure = what_if_figure(before, after, region, {"heart": (old, new, (200, 40, 40))}, (1.0, 2.0, 3.0), "without x", ["words"])
    panels = figure.axes
    assert len(panels) == 6
    middle = [6, 6, 5]
    for number, axes in enumerate(panels):
        name = ("axial", "coronal", "sagittal")[number % 3]
        image = axes.get_images()[0]
        np.testing.assert_array_equal(image.get_array(), plane_of(before if number < 3 else after, name, middle))
        right, up = {"axial": (12, 28), "coronal": (12, 30), "sagittal": (28, 30)}[name]
        assert list(image.get_extent()) == pytest.approx([0, right, 0, up])
        outlines = [part for part in axes.collections if len(part.get_paths()[0].vertices)]
        # the region and the old outline; below the new one too
        assert len(outlines) == (2 if number < 3 else 3)
        colors = [to_hex(part.get_edgecolor()[0]) for part in outlines]
        assert colors == ["#ffffff", *["#c82828"] * (len(outlines) - 1)]
        for part, mask in zip(outlines, (region, old, new), strict=False):
            inside = np.argwhere(plane_of(mask, name, middle))
            low, high = part.get_paths()[0].vertices.min(axis=0), part.get_paths()[0].vertices.max(axis=0)
            size = (right / image.get_array().shape[1], up / image.get_array().shape[0])
            for axis, step in ((0, 1), (1, 0)):
                assert low[axis] == pytest.approx(inside[:, step].min() * size[axis], abs=size[axis])
                assert high[axis] == pytest.approx((inside[:, step].max() + 1) * size[axis], abs=size[axis])
    assert "without x" in figure.get_suptitle()
    texts = {entry.get_text() for entry in figure.legends[0].get_texts()}
    assert texts == {"changed region", "Heart", "outline before"}


def test_a_change_that_no_stored_voxel_shows_is_drawn_too():
    """A shift by 0.1 HU, asked on another computer, comes back as the same whole HU."""
    hu = np.zeros((12, 14, 10), np.float32)
    figure = what_if_figure(hu, hu, np.zeros(hu.shape, bool), {}, (1.0, 1.0, 1.0), "heart +0.1 HU")
    assert len(figure.axes) == 6


def test_labels_that_are_not_outlined_are_counted():
    hu = np.zeros((12, 14, 10), np.float32)
    masks = {"heart": (box((2, 8), (3, 9), (2, 7)), box((3, 8), (3, 9), (2, 7)), (200, 40, 40))}
    figure = what_if_figure(hu, hu, box((4, 9), (4, 10), (3, 8)), masks, (1.0, 1.0, 1.0), "without x", left_out=5)
    assert "5 more change less: see the table" in [entry.get_text() for entry in figure.legends[0].get_texts()]
    changed = ["lung", "aorta", "heart", "ribs", "trachea", "sternum"]
    assert outlined(changed, ["heart"]) == ["heart", "lung", "aorta", "ribs"], "what was asked about, then what changes most"
    assert outlined(changed[:2], ["tumour"]) == changed[:2]
