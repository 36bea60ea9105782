"""Colours that carry meaning can be told apart by colour-blind readers: a simulation of the three kinds of colour blindness.

Machado, Oliveira, Fernandes: A Physiologically-based Model for Simulation of Color Vision Deficiency (2009), severity 1, and the
difference of two colours in CIELAB (1976). A difference of 2 is just noticeable side by side; across a picture it takes more.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from Agg2ExpLib.models.labels import GROUP_COLORS
from Agg2ExpLib.views.mrml_colors import OPPOSING_COLORS, SUPPORTING_COLORS, signed_colors
from Agg2ExpLib.views.mrml_mask import MASK_COLOR
from Agg2ExpLib.views.picture_colors import STRENGTH_COLORS, net_color, strength_color

SEEN_BY = {
    "all colours": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
YELLOW = (1.0, 0.92, 0.24)  # a label's outline
TOLD = 25.0
NEIGHBOURS = 20.0
XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])

readers = pytest.mark.parametrize("reader", list(SEEN_BY))


def lab(color, reader: str) -> np.ndarray:
    """CIELAB of an sRGB colour 0..1, as a reader sees it."""
    color = np.asarray(color, dtype=float)
    linear = np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.asarray(SEEN_BY[reader]) @ linear, 0, 1)
    xyz = XYZ @ seen / (0.95047, 1.0, 1.08883)
    root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


def difference(one, other, reader: str) -> float:
    return float(np.linalg.norm(lab(one, reader) - lab(other, reader)))


def of_bytes(color) -> tuple[float, ...]:
    return tuple(part / 255 for part in color)


def test_the_simulation_knows_what_the_colour_blind_confuse() -> None:
    red, green = (0.75, 0.35, 0.2), (0.45, 0.5, 0.2)
    assert difference(red, green, "all colours") > 40
    assert difference(red, green, "deuteranopia") < 15
    assert difference((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "protanopia") == 0
    np.testing.assert_allclose(lab((1, 1, 1), "all colours"), (100, 0, 0), atol=0.01)
    for reader in SEEN_BY:  # greys stay grey
        np.testing.assert_allclose(lab((0.5, 0.5, 0.5), reader)[1:], 0, atol=0.1)


@readers
def test_supporting_and_opposing(reader: str) -> None:
    table = signed_colors(40)
    shown = table[table[:, 3] > 0][:, :3]
    opposing, supporting = shown[: len(shown) // 2], shown[len(shown) // 2 :]
    assert min(difference(a, b, reader) for a in opposing[::8] for b in supporting[::8]) > TOLD
    assert difference(net_color(-0.1), net_color(0.1), reader) > NEIGHBOURS
    assert difference(net_color(-1.0), net_color(1.0), reader) > TOLD


@readers
def test_the_global_mask_over_maps_and_any_grey(reader: str) -> None:
    mask = of_bytes(MASK_COLOR)
    greys = [(level,) * 3 for level in np.linspace(0, 1, 18)]
    beside = [*SUPPORTING_COLORS, *OPPOSING_COLORS, YELLOW, *greys]
    assert min(difference(mask, color, reader) for color in beside) > TOLD
    assert min(difference(mask, color, reader) for color in STRENGTH_COLORS) > NEIGHBOURS


def test_a_green_mask_could_not_be_told() -> None:
    """The test above can fail: light green, which looks well to most, is the map's light red to every twentieth man."""
    green = of_bytes((70, 255, 120))
    assert min(difference(green, color, "all colours") for color in SUPPORTING_COLORS) > 80
    assert min(difference(green, color, "deuteranopia") for color in SUPPORTING_COLORS) < 10


@readers
def test_the_outline_of_a_label_over_maps_and_tints(reader: str) -> None:
    assert min(difference(YELLOW, color, reader) for color in (*SUPPORTING_COLORS, *OPPOSING_COLORS)) > NEIGHBOURS
    assert min(difference(YELLOW, color, reader) for color in STRENGTH_COLORS) > TOLD


@readers
def test_strength_is_lightness(reader: str) -> None:
    lightness = [lab(strength_color(share), reader)[0] for share in np.linspace(0, 1, 30)]
    assert (np.diff(lightness) > 0).all()
    assert lightness[-1] - lightness[0] > 70


@readers
def test_anatomical_systems(reader: str) -> None:
    for one, other in itertools.combinations(GROUP_COLORS, 2):
        assert difference(of_bytes(GROUP_COLORS[one]), of_bytes(GROUP_COLORS[other]), reader) > NEIGHBOURS, (one, other)


@readers
@pytest.mark.parametrize("dark", [False, True])
def test_more_and_less_than_a_cohort(panelInPath, reader: str, dark: bool) -> None:  # noqa: N803
    from Agg2ExpModuleLib.drawing.PanelColors import PanelColors

    light, ink = (250, 250, 250), (20, 20, 20)
    colors = PanelColors.of(ink, light, (0, 0, 200)) if dark else PanelColors.of(light, ink, (0, 0, 200))
    assert difference(of_bytes(colors.signed(1)), of_bytes(colors.signed(-1)), reader) > TOLD
