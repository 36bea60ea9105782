"""Synthetic training CT: label maps completed to bodies, deformed and painted."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.models.labels import PAPER_LABELS
from Agg2ExpLib.synthetic import scans as synthetic
from Agg2ExpLib.synthetic import tissues
from Agg2ExpLib.synthetic.phantom import phantom_anatomy
from support.paths import DATA

LABEL_MAP = DATA / "totalsegmentator-labels" / "s0327_totalv2_multilabel_1p5mm.nii.gz"
CLASS_MAP = DATA / "totalsegmentator" / "total_v2_class_map.json"
INDEX = {label.name: label.index for label in PAPER_LABELS}


@lru_cache(maxsize=1)
def body() -> synthetic.Anatomy:
    return phantom_anatomy(2, (4.0, 4.0, 4.0))


def middle(anatomy: synthetic.Anatomy, tissue: int) -> float:
    """Mean of axis 0 (towards the right), from the middle of the grid, in mm."""
    return float((np.argwhere(anatomy.ids == tissue)[:, 0].mean() - anatomy.ids.shape[0] / 2) * anatomy.spacing[0])


@pytest.mark.skipif(not CLASS_MAP.exists(), reason="needs shared/data/totalsegmentator beside the checkout")
def test_channels_follow_the_class_map_names() -> None:
    names = {int(key): name for key, name in json.loads(CLASS_MAP.read_text()).items()}
    assert sorted(names) == list(range(1, 118))
    for number, name in names.items():
        expected = INDEX.get(name, 0)
        if name.startswith("rib_"):
            expected = INDEX["ribs"]
        if name.startswith("vertebrae_"):
            expected = INDEX["vertebraes"]
        assert tissues.CHANNEL_OF_ID[number] == expected, name
        partner = name.replace("_left", "_RIGHT").replace("_right", "_left").replace("_RIGHT", "_right")
        if partner in names.values() and "lobe" not in name:
            assert names[int(tissues.MIRRORED_ID[number])] == partner
    assert set(tissues.CHANNEL_OF_ID[1:118]) == set(range(len(PAPER_LABELS)))
    assert not tissues.CHANNEL_OF_ID[118:].any()


def test_mirroring_moves_organs_but_keeps_sides() -> None:
    seen = synthetic.mirror(body())
    for left, right in ((tissues.LLL, tissues.RLL), (tissues.AUTOCHTHON_LEFT, tissues.AUTOCHTHON_RIGHT), (96, 108)):
        for anatomy in (body(), seen):
            assert middle(anatomy, left) < 0 < middle(anatomy, right)
    assert middle(body(), tissues.HEART) < 0 < middle(seen, tissues.HEART)
    assert not (seen.ids == tissues.RML).any()  # a mirrored left lung has two lobes
    assert np.array_equal(synthetic.mirror(seen).ids == tissues.HEART, body().ids == tissues.HEART)


def test_phases_differ_in_blood_only_where_contrast_goes() -> None:
    scans = {phase: [tissues.draw_scan(np.random.default_rng(k), phase) for k in range(20)] for phase in ("plain", "arterial")}
    aorta = {phase: np.mean([scan.mean[tissues.AORTA] for scan in drawn]) for phase, drawn in scans.items()}
    fat = {phase: np.mean([scan.mean[tissues.FAT] for scan in drawn]) for phase, drawn in scans.items()}
    assert aorta["arterial"] > aorta["plain"] + 150
    assert abs(fat["arterial"] - fat["plain"]) < 20
    for drawn in scans.values():
        for scan in drawn:
            assert scan.mean[tissues.LUL] < -700 < -150 < scan.mean[tissues.FAT] < scan.mean[tissues.MUSCLE] < scan.mean[100]


@pytest.mark.parametrize("seed", range(3))
def test_painted_tissues_have_their_hu(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scan = tissues.draw_scan(rng, "plain")
    hu = synthetic.paint(body().ids, scan, rng, body().spacing)
    assert hu.shape == body().ids.shape
    for tissue in (tissues.AORTA, tissues.LIVER, tissues.FAT, tissues.MUSCLE, tissues.TRACHEA, tissues.CARTILAGE):
        assert abs(np.median(hu[body().ids == tissue]) - scan.mean[tissue]) < 15, tissue
    bone = np.isin(body().ids, tissues.BONES)
    shell = bone & ~ndimage.binary_erosion(bone)
    assert hu[shell].mean() > hu[bone & ~shell].mean()  # cortex
    lungs = hu[np.isin(body().ids, tissues.LUNGS)]
    assert -950 < np.median(lungs) < -600
    assert 0.001 < (lungs > -500).mean() < 0.3  # vessels


@pytest.mark.parametrize("scale", [0.6, 3.0, (10.0, 2.0, 5.0)])
def test_smooth_fields_have_unit_variance_and_their_scale(scale: float | tuple[float, ...]) -> None:
    fields = np.array([synthetic.smooth_field(np.random.default_rng(k), (24, 20, 16), scale) for k in range(60)])
    assert fields.dtype == np.float32
    assert abs(fields.mean()) < 0.1
    assert np.allclose(fields.var(0).mean(), 1, atol=0.15)
    steps = [float((np.diff(fields, axis=axis + 1) ** 2).mean()) for axis in range(3)]
    widths = np.broadcast_to(scale, 3)
    assert all((step < 0.4) == (width > 1.5) for step, width in zip(steps, widths, strict=True))


def test_examples_repeat_and_vary() -> None:
    first, again, other = (
        synthetic.draw_example([body()], np.random.default_rng(seed), (48, 40, 44), mirrored=0.0) for seed in (3, 3, 4)
    )
    assert np.array_equal(first.ct, again.ct)
    assert np.array_equal(first.labels, again.labels)
    assert (first.labels != other.labels).any()
    assert first.ct.shape == first.labels.shape == (48, 40, 44)
    assert first.ct.dtype == np.float32
    assert first.labels.dtype == np.uint8
    assert np.isfinite(first.ct).all()
    assert first.ct.min() >= -1024
    assert first.ct.max() <= 3071


def test_examples_keep_labels_on_their_tissue_and_side() -> None:
    shown: dict[str, list[float]] = {"lungs": [], "heart": [], "vertebraes": []}
    sides = []
    for seed in range(12):
        example = synthetic.draw_example([body()], np.random.default_rng(seed), (64, 64, 64), mirrored=0.5)
        groups = {"lungs": list(range(2, 7)), "heart": [INDEX["heart"]], "vertebraes": [INDEX["vertebraes"]]}
        for name, indices in groups.items():
            if (inside := np.isin(example.labels, indices)).sum() > 300:
                shown[name].append(float(np.median(example.ct[inside])))
        left, right = (np.argwhere(example.labels == INDEX[f"lung_lower_lobe_{side}"])[:, 0] for side in ("left", "right"))
        if min(len(left), len(right)) > 300:
            sides.append(left.mean() < right.mean())
    assert min(map(len, shown.values())) >= 3
    assert max(shown["lungs"]) < -450
    assert min(shown["heart"]) > -20
    assert min(shown["vertebraes"]) > 60
    assert len(sides) >= 3
    assert all(sides)


def test_layers_from_muscle_to_skin() -> None:
    ids = np.zeros((40, 40, 10), np.uint8)
    ids[15:25, 15:25] = tissues.LIVER
    depth = ndimage.distance_transform_edt(ids == 0, sampling=3).astype(np.float32)
    layered = synthetic.layer_wall(ids, depth, np.random.default_rng(0), 3.0)
    assert (layered[15:25, 15:25] == tissues.LIVER).all()
    order = [depth[layered == tissue].mean() for tissue in (tissues.MUSCLE, tissues.FAT, tissues.SKIN, tissues.AIR)]
    assert order == sorted(order)


@pytest.mark.skipif(not LABEL_MAP.exists(), reason="needs shared/data/totalsegmentator-labels beside the checkout")
def test_a_real_label_map_becomes_a_body() -> None:
    anatomy = synthetic.load_anatomy(LABEL_MAP, step_mm=6.0)
    assert anatomy.name == "s0327"
    assert np.allclose(anatomy.spacing, 6.0, atol=0.01)
    assert middle(anatomy, tissues.LUL) < 0 < middle(anatomy, tissues.RUL)
    inside = anatomy.ids > 0
    assert {tissues.MUSCLE, tissues.VISCERAL} <= set(np.unique(anatomy.ids))
    assert (anatomy.depth[inside] == 0).all()
    assert (anatomy.depth[~inside] > 0).all()
    for z in range(0, anatomy.ids.shape[2], 8):  # no holes: every slice is filled
        assert np.array_equal(inside[:, :, z], ndimage.binary_fill_holes(inside[:, :, z]))
    example = synthetic.draw_example([anatomy], np.random.default_rng(0), (64, 64, 64), mirrored=0.0)
    assert len(np.unique(example.labels)) > 8


def test_refuses_what_is_no_label_map(tmp_path: Path) -> None:
    import nibabel

    missing = tmp_path / "missing.nii.gz"
    with pytest.raises(InputError, match=r"missing\.nii\.gz"):
        synthetic.load_anatomy(missing)
    scan = tmp_path / "ct.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.full((8, 8, 8), -1000, np.int16), np.eye(4)), scan)
    with pytest.raises(InputError, match="no TotalSegmentator"):
        synthetic.load_anatomy(scan)
    cut = tmp_path / "cut.nii.gz"
    cut.write_bytes(scan.read_bytes()[:60])
    with pytest.raises(InputError, match="cannot be read"):
        synthetic.load_anatomy(cut)
