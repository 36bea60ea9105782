"""The picture of three planes for notebooks: right is on the left, and what is shown is where it is."""

import numpy as np
import pytest

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.views.planes import plane_of, planes_figure

SHAPE = (12, 10, 8)
# A voxel towards the patient's right, front and head, in an array on RAS axes.
MARKER = (10, 7, 6)


@pytest.mark.parametrize(
    ("name", "row", "column"),
    [
        ("axial", 7, SHAPE[0] - 1 - 10),  # front up, the patient's right on the left
        ("coronal", 6, SHAPE[0] - 1 - 10),  # head up, the patient's right on the left
        ("sagittal", 6, SHAPE[1] - 1 - 7),  # head up, front on the left
    ],
)
def test_marker_lies_where_a_radiologist_looks_for_it(name, row, column):
    volume = np.zeros(SHAPE)
    volume[MARKER] = 1
    assert np.argwhere(plane_of(volume, name, MARKER)).tolist() == [[row, column]]
    assert column < plane_of(volume, name, MARKER).shape[1] / 2
    assert not plane_of(volume, name, [(place + 1) % size for place, size in zip(MARKER, SHAPE, strict=True)]).any()


def test_the_drawn_pixels_are_those_of_the_planes():
    rng = np.random.default_rng(0)
    hu, attribution = rng.normal(0, 100, SHAPE), rng.normal(size=SHAPE)
    outline = np.zeros(SHAPE, dtype=bool)
    outline[8:11, 6:9, 4:7] = True
    figure = planes_figure(hu, attribution, outline, (1.0, 2.0, 3.0), percentile=80, title="t")
    shown = [axes for axes in figure.axes if len(axes.images) == 2]
    letters = [[text.get_text() for text in axes.texts if len(text.get_text()) == 1] for axes in shown]
    assert letters == [list("RLPA"), list("RLIS"), list("APIS")]
    at = (9, 7, 5)  # the middle of the outline
    threshold = np.percentile(np.abs(attribution), 80)
    for axes, name in zip(shown, ("axial", "coronal", "sagittal"), strict=True):
        ct, overlay = axes.images
        np.testing.assert_array_equal(ct.get_array(), plane_of(hu, name, at))
        expected = plane_of(attribution, name, at)
        np.testing.assert_array_equal(np.ma.getmaskarray(overlay.get_array()), np.abs(expected) < threshold)
        assert ct.origin == overlay.origin == "lower"
        assert ct.get_extent() == overlay.get_extent()
        assert overlay.cmap(1.0)[0] > overlay.cmap(1.0)[2], "supporting voxels are red"
    assert shown[0].images[0].get_extent() == [0, 12, 0, 20]


def test_bad_places_are_refused():
    volume = np.ones(SHAPE)
    with pytest.raises(InputError, match=r"\(12, 0, 0\) lies outside"):
        planes_figure(volume, volume, at=(12, 0, 0))
    with pytest.raises(InputError, match="percentile"):
        planes_figure(volume, volume, percentile=100)
    assert planes_figure(volume, 0 * volume).axes, "a map of zeros has a picture too"
