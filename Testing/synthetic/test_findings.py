"""Synthetic findings: each in its place and of its density, known to the mask, and no unlabelled opacity among them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from scipy import ndimage

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.synthetic import findings as f
from Agg2ExpLib.synthetic import tissues as t
from Agg2ExpLib.synthetic.phantom import phantom_anatomy
from Agg2ExpLib.synthetic.scans import Anatomy

SHAPE, SPACING = (80, 64, 72), 5.0


@lru_cache(maxsize=1)
def body() -> Anatomy:
    return phantom_anatomy(1, (4.0, 4.0, 4.0))


@lru_cache(maxsize=16)
def patient(seed: int, *names: str) -> f.Patient:
    return f.draw_patient([body()], np.random.default_rng(seed), SHAPE, SPACING, names, mirrored=0.0)


def lungs(side: str, seed: int) -> np.ndarray:
    labels = [t.CHANNEL_OF_ID[lobe] for lobe in f._LUNGS[side]]
    return np.isin(patient(seed, side).labels, labels)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("side", [f.LEFT, f.RIGHT])
def test_opacified_lungs(side: str, seed: int) -> None:
    found = patient(seed, side)
    assert set(found.masks) == {side}
    dense, lung = found.masks[side], lungs(side, seed)
    assert (dense <= lung).all()
    assert dense.sum() >= f.LEAST_OPACIFIED * lung.sum()
    inside = ndimage.binary_erosion(dense)
    assert -100 < np.median(found.ct[inside]) < 120
    middle = (np.argwhere(np.isin(found.labels, [2, 3, 4, 5, 6]))[:, 0]).mean()
    assert (np.argwhere(dense)[:, 0].mean() < middle) == (side == f.LEFT)  # left is at the low end
    other = np.isin(found.labels, [2, 3, 4, 5, 6]) & ~lung
    assert np.median(found.ct[other]) < -600


def test_effusion_lies_behind_and_is_fluid() -> None:
    found = patient(3, f.EFFUSION)
    fluid = found.masks[f.EFFUSION]
    assert -15 < np.median(found.ct[ndimage.binary_erosion(fluid)]) < 45
    air = np.isin(found.labels, [2, 3, 4, 5, 6])
    assert not (air & fluid).any()
    assert np.argwhere(fluid)[:, 1].mean() < np.argwhere(air)[:, 1].mean() - 5  # the back is at the low end
    low = np.argwhere(fluid)[:, 2].mean()
    assert low < np.argwhere(air)[:, 2].mean()
    assert fluid.sum() * SPACING**3 / 1000 > 40


def test_nodules_are_solid_and_in_lung() -> None:
    for seed in (4, 5):
        found = f.draw_patient([body()], np.random.default_rng(seed), SHAPE, SPACING, [f.NODULE], (20.0, 30.0), mirrored=0.0)
        mask = found.masks[f.NODULE]
        blobs, count = ndimage.label(mask)
        assert 1 <= count <= 3
        for number in range(1, count + 1):
            assert blobs[blobs == number].size * SPACING**3 < 1.6 * np.pi / 6 * 30**3
            around = ndimage.binary_dilation(blobs == number, iterations=3) & ~ndimage.binary_dilation(mask)
            lung = around & np.isin(found.labels, [2, 3, 4, 5, 6])
            assert found.ct[blobs == number].max() > np.median(found.ct[lung]) + 500


def test_contrast_agent_brightens_the_heart() -> None:
    heart = {}
    for names in ((), (f.CONTRAST,)):
        found = patient(6, *names)
        heart[names] = np.median(found.ct[found.labels == 8])
        assert (f.CONTRAST in found.masks) == bool(names)
    assert heart[f.CONTRAST,] > heart[()] + 40
    assert heart[()] < 100
    assert (found.masks[f.CONTRAST] >= (found.labels == 8)).all()


def test_healthy_lungs_hold_no_opacity() -> None:
    for seed in range(7, 10):
        found = patient(seed)
        assert not found.masks
        assert found.target().tolist() == [0.0] * 5
        inside = ndimage.binary_erosion(np.isin(found.labels, [2, 3, 4, 5, 6]), iterations=2)
        dense = ndimage.binary_opening(inside & (found.ct > -200))  # vessels are thinner
        assert dense.sum() < 0.01 * inside.sum()


def test_patients_follow_from_the_seed_and_shares() -> None:
    a, b = (f.draw_patient([body()], np.random.default_rng(3), (40, 32, 36), 10.0) for _ in range(2))
    assert np.array_equal(a.ct, b.ct)
    assert a.ct.dtype == np.float32
    drawn = [set(f.draw_patient([body()], np.random.default_rng(k), (20, 16, 18), 20.0).masks) for k in range(40)]
    for name, share in f.SHARES.items():
        assert 0.3 * share < np.mean([name in masks for masks in drawn]) < 2 * share
    with pytest.raises(InputError, match="no synthetic finding 'fracture'"):
        patient(0, "fracture")


def test_below_the_lungs_nothing_is_opaque() -> None:
    chest = body()
    belly = [np.repeat(part[:, :, :1], 60, axis=2) for part in (chest.ids, chest.depth)]  # 24 cm more of the lowest slice
    ids, depth = (np.concatenate(parts, axis=2) for parts in zip(belly, (chest.ids, chest.depth), strict=True))
    for seed in range(3):
        rng = np.random.default_rng(seed)
        found = f.draw_patient([Anatomy(ids, depth, chest.spacing)], rng, (50, 40, 30), 8.0, f.FINDINGS, below=1.0)
        assert set(found.masks) <= {f.CONTRAST}
        assert np.isin(found.labels, [2, 3, 4, 5, 6]).mean() < 0.01
        assert (found.ct > -200).mean() > 0.1  # but there is a body
