"""The thorax phantom: complete, on the right side, in realistic HU, and repeatable."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from scipy import ndimage

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.models.labels import PAPER_LABELS
from Agg2ExpLib.synthetic import tissues
from Agg2ExpLib.synthetic.phantom import Phantom, make_phantom, phantom_anatomy
from Agg2ExpLib.synthetic.scans import draw_example

pytestmark = pytest.mark.xdist_group("phantom")
SPACING = (3.0, 3.0, 3.0)
COARSE = (6.0, 6.0, 6.0)  # where no small shape is looked at
SEEDS = (0, 1, 7)
INDEX = {label.name: label.index for label in PAPER_LABELS}
# Volume (ml) that each label has in adults, widely.
VOLUMES = {
    "aorta": (80, 450),
    "lung_upper_lobe_left": (350, 2000),
    "lung_lower_lobe_left": (300, 2000),
    "lung_upper_lobe_right": (350, 2000),
    "lung_middle_lobe_right": (100, 900),
    "lung_lower_lobe_right": (300, 2000),
    "trachea": (20, 120),
    "heart": (250, 1000),
    "pulmonary_vein": (8, 80),
    "thyroid_gland": (4, 40),
    "ribs": (150, 700),
    "vertebraes": (150, 700),
    "autochthon_left": (80, 700),
    "autochthon_right": (80, 700),
    "sternum": (20, 150),
    "costal_cartilages": (25, 250),
}


@lru_cache(maxsize=8)
def phantom(seed: int) -> Phantom:
    return make_phantom(seed, SPACING)


def centre(body: Phantom, mask: np.ndarray) -> np.ndarray:
    """Centre of a mask in patient RAS mm."""
    return body.affine[:3, :3] @ np.argwhere(mask).mean(0) + body.affine[:3, 3]


def of(body: Phantom, name: str) -> np.ndarray:
    return body.labels == INDEX[name]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_label_has_an_adults_volume(seed: int) -> None:
    counts = np.bincount(phantom(seed).labels.ravel(), minlength=len(PAPER_LABELS))
    assert len(counts) == len(PAPER_LABELS)
    millilitres = {label.name: counts[label.index] * 0.027 for label in PAPER_LABELS[1:]}
    odd = {name: round(value) for name, value in millilitres.items() if not VOLUMES[name][0] <= value <= VOLUMES[name][1]}
    assert not odd


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["aorta", "heart", "trachea", "sternum", "autochthon_left", *[n for n in INDEX if "lobe" in n]])
def test_organs_are_in_one_piece(seed: int, name: str) -> None:
    pieces, count = ndimage.label(of(phantom(seed), name), np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel())[1:]
    assert count >= 1
    assert sizes.max() > 0.9 * sizes.sum()


@pytest.mark.parametrize("seed", SEEDS)
def test_sides_in_patient_coordinates(seed: int) -> None:
    body = phantom(seed)
    assert body.affine[0, 0] < 0  # axis 0 runs to the left, axis 1 to the back, as in most scans
    assert body.affine[1, 1] < 0
    for name in INDEX:
        if name.endswith("_left"):
            assert centre(body, of(body, name))[0] < -15, name
        if name.endswith("_right"):
            assert centre(body, of(body, name))[0] > 15, name
    x, y, z = (np.argwhere(of(body, "heart")) @ body.affine[:3, :3].T + body.affine[:3, 3]).T
    apex = (y > np.quantile(y, 0.75)) & (z < np.quantile(z, 0.25))
    assert x[apex].mean() < -20
    x, y, z = (np.argwhere(of(body, "aorta")) @ body.affine[:3, :3].T + body.affine[:3, 3]).T
    descending = (z > np.quantile(z, 0.2)) & (z < np.quantile(z, 0.5))
    ascending = (y > np.quantile(y, 0.9)) & (z < np.quantile(z, 0.95))
    assert x[descending].mean() < -10
    assert x[ascending].mean() > 0
    assert y[ascending].mean() > y[descending].mean() + 30


def test_organs_lie_as_they_should() -> None:
    body = phantom(0)
    at = {name: centre(body, of(body, name)) for name in INDEX}
    assert at["sternum"][1] > at["heart"][1] > at["vertebraes"][1] > at["autochthon_left"][1]
    assert at["thyroid_gland"][2] > at["trachea"][2] > at["heart"][2]
    assert at["lung_upper_lobe_right"][2] > at["lung_middle_lobe_right"][2]
    assert at["lung_middle_lobe_right"][1] > at["lung_lower_lobe_right"][1] + 30
    assert abs(at["sternum"][0]) < 10


@pytest.mark.parametrize("seed", SEEDS)
def test_ribs_are_twelve_pairs_that_slope_down(seed: int) -> None:
    ids = phantom_anatomy(seed, SPACING).ids  # RAS axes
    for ribs in (tissues.RIBS_LEFT, tissues.RIBS_RIGHT):
        for number, rib in enumerate(ribs[:11]):
            voxels = np.argwhere(ids == rib)
            assert len(voxels) > 30, f"rib {number + 1}"
            if 2 <= number <= 8:
                back = voxels[voxels[:, 1] <= np.quantile(voxels[:, 1], 0.1), 2].mean()
                front = voxels[voxels[:, 1] >= np.quantile(voxels[:, 1], 0.9), 2].mean()
                assert (back - front) * 3 > 35, f"rib {number + 1}"


@pytest.mark.parametrize("seed", SEEDS)
def test_hounsfield_units(seed: int) -> None:
    body = phantom(seed)
    assert body.ct.dtype == np.int16
    assert body.labels.dtype == np.uint8
    assert body.ct.shape == body.labels.shape
    limits = {"heart": (10, 450), "aorta": (10, 450), "sternum": (80, 700), "vertebraes": (120, 800), "ribs": (150, 900)}
    limits |= {"costal_cartilages": (20, 250), "autochthon_left": (0, 90), "thyroid_gland": (40, 260), "trachea": (-1010, -800)}
    limits |= {name: (-950, -550) for name in INDEX if "lobe" in name}
    for name, (low, high) in limits.items():
        inside = of(body, name)
        core = ndimage.binary_erosion(inside)
        median = np.median(body.ct[core if core.sum() > 50 else inside])
        assert low < median < high, name
    corner = body.ct[:8, :8]
    assert corner.mean() < -950  # air
    assert 2 < corner.std() < 60  # with noise


def denser_behind(ct: np.ndarray, lungs: np.ndarray, to_the_back: np.ndarray) -> float:
    """HU by which the rear quarter of the lungs is denser than the front one."""
    low, high = np.quantile(to_the_back[lungs], (0.25, 0.75))
    return float(np.median(ct[lungs & (to_the_back >= high)]) - np.median(ct[lungs & (to_the_back <= low)]))


def test_lungs_are_denser_at_the_back() -> None:
    lobes = [index for name, index in INDEX.items() if "lobe" in name]
    found = []
    for seed in SEEDS:
        body = phantom(seed)
        back = np.broadcast_to(np.arange(body.ct.shape[1])[None, :, None], body.ct.shape)
        found.append(denser_behind(body.ct, np.isin(body.labels, lobes), back))
    assert np.mean(found) > 8
    anatomy = phantom_anatomy(0, COARSE)  # RAS axes
    drawn = [draw_example([anatomy], np.random.default_rng(seed), (64, 64, 64), 6.0, mirrored=0.0) for seed in range(3)]
    back = np.broadcast_to(-np.arange(64)[None, :, None], (64, 64, 64))
    assert np.mean([denser_behind(example.ct, np.isin(example.labels, lobes), back) for example in drawn]) > 8


def test_contrast_phase_varies_with_the_seed() -> None:
    bodies = [make_phantom(seed, COARSE) for seed in range(5)]
    means = [np.median(body.ct[of(body, "aorta")]) for body in bodies]
    assert max(means) > min(means) + 60


def test_a_seed_is_a_patient() -> None:
    one, again = make_phantom(7, COARSE), make_phantom(7, COARSE)
    assert np.array_equal(again.ct, one.ct)
    assert np.array_equal(again.labels, one.labels)
    assert np.array_equal(again.affine, one.affine)
    assert (phantom(1).labels != phantom(7).labels).mean() > 0.02


def test_other_spacings_cover_the_same_field_of_view() -> None:
    coarse = make_phantom(0, (4.0, 4.0, 6.0))
    for body, spacing in ((coarse, (4.0, 4.0, 6.0)), (phantom(0), SPACING)):
        assert np.allclose(np.abs(np.diag(body.affine)[:3]), spacing)
        assert np.allclose(np.array(body.ct.shape) * spacing, (352, 288, 300), atol=3)
    assert np.linalg.norm(centre(coarse, of(coarse, "heart")) - centre(phantom(0), of(phantom(0), "heart"))) < 15
    assert set(np.unique(coarse.labels)) == set(range(len(PAPER_LABELS)))


@pytest.mark.parametrize("spacing", [(0.0, 2.0, 2.0), (2.0, 2.0), (50.0, 50.0, 50.0), (float("nan"), 2.0, 2.0)])
def test_refuses_spacings_it_cannot_make(spacing: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="spacing"):
        make_phantom(0, spacing)


def test_refuses_negative_seeds() -> None:
    with pytest.raises(InputError, match="seed"):
        make_phantom(-1)
