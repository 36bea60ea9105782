"""Pairs of CT and label map for training: found in the layouts people have, read as in inference, cropped and varied alike."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io.grid import model_grid
from Agg2ExpLib.io.read import read_ct
from Agg2ExpLib.io.resample import resample
from Agg2ExpLib.io.write import write_volume
from Agg2ExpLib.models.label_maps import read_scheme
from Agg2ExpLib.models.labels import PAPER_LABELS
from Agg2ExpLib.synthetic.tissues import AORTA, RIBS_LEFT, TRACHEA
from Agg2ExpLib.training.pairs import find_pairs
from Agg2ExpLib.training.pairs_source import PairsSource, _crop, _window_of
from Agg2ExpLib.training.preparation import prepare
from Agg2ExpLib.training.settings import TrainSettings

AFFINE = np.diag([-2.0, -2.0, 2.5, 1.0])  # axes to the left and to the back, as CT mostly is
SHAPE = (40, 36, 30)


def case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A CT with two boxes, and its label map with TotalSegmentator's ids."""
    rng = np.random.default_rng(seed)
    ct = rng.normal(0, 30, SHAPE).astype(np.int16)
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:14, 8:20, 5:25], labels[24:34, 8:20, 5:25] = AORTA, RIBS_LEFT[2]
    ct[labels == AORTA] += 300
    ct[labels == RIBS_LEFT[2]] += 800
    return ct, labels


def write_case(ct_path: Path, map_path: Path, seed: int) -> None:
    ct, labels = case(seed)
    for path, array in ((ct_path, ct), (map_path, labels)):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_volume(path, array, AFFINE, compress=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three cases, nnU-Net's layout."""
    for k in range(3):
        write_case(tmp_path / "imagesTr" / f"c{k}_0000.nii.gz", tmp_path / "labelsTr" / f"c{k}.nii.gz", k)
    return tmp_path


SETTINGS = TrainSettings(roi=(32, 32, 32), spacing=(3.0, 3.0, 3.0), seed=1)


def source_of(folder: Path, augment: bool = False) -> PairsSource:
    pairs = find_pairs(folder)
    return PairsSource(pairs[:2], pairs[2:], read_scheme(folder, "thorax"), SETTINGS, folder / "cache", "data", augment)


def test_layouts(tmp_path: Path) -> None:
    write_case(tmp_path / "a" / "imagesTr" / "c1_0000.nii.gz", tmp_path / "a" / "labelsTr" / "c1.nii.gz", 0)
    write_case(tmp_path / "b" / "images" / "c1.nrrd", tmp_path / "b" / "labels" / "c1.nii.gz", 0)
    write_case(tmp_path / "c" / "p7" / "CT.nii.gz", tmp_path / "c" / "p7" / "segmentation.nii.gz", 0)
    write_case(tmp_path / "d" / "s1" / "ct.nii.gz", tmp_path / "d" / "s1" / "segmentations" / "aorta.nii.gz", 0)
    (tmp_path / "e.csv").write_text("patient,ct,labels\nP1,c/p7/CT.nii.gz,c/p7/segmentation.nii.gz\n")
    found = {name: find_pairs(tmp_path / name) for name in ("a", "b", "c", "d", "e.csv")}
    assert [pairs[0].name for pairs in found.values()] == ["c1", "c1", "p7", "s1", "P1"]
    assert found["d"][0].labels == tmp_path / "d" / "s1" / "segmentations"
    assert found["e.csv"][0].ct.samefile(tmp_path / "c" / "p7" / "CT.nii.gz")


def test_what_is_no_set_of_pairs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder or table"):
        find_pairs(tmp_path / "none")
    with pytest.raises(InputError, match="holds no CT with a label map"):
        find_pairs(tmp_path)
    write_case(tmp_path / "a" / "ct.nii.gz", tmp_path / "elsewhere.nii.gz", 0)
    with pytest.raises(InputError, match="has a CT but no label map"):
        find_pairs(tmp_path)
    (tmp_path / "t.csv").write_text("ct,mask\nx,y\n")
    with pytest.raises(InputError, match="lacks the column labels"):
        find_pairs(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("ct,labels\na/ct.nii.gz,none.nii.gz\n")
    with pytest.raises(InputError, match="does not exist"):
        find_pairs(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("patient,ct,labels\nP,a/ct.nii.gz,a/ct.nii.gz\nP,a/ct.nii.gz,a/ct.nii.gz\n")
    with pytest.raises(InputError, match="'P' twice"):
        find_pairs(tmp_path / "t.csv")


def test_schemes(tmp_path: Path) -> None:
    thorax = read_scheme(tmp_path, "thorax")
    assert thorax.labels == PAPER_LABELS
    assert thorax.values["aorta"] == [AORTA]
    assert set(RIBS_LEFT) < set(thorax.values["ribs"])
    named = read_scheme(tmp_path, "background,liver,tumour")
    assert [label.name for label in named.labels] == ["background", "liver", "tumour"]
    assert named.values == {"liver": [1], "tumour": [2]}
    (tmp_path / "map.json").write_text(json.dumps({"vessel": [AORTA, 7], "lung": ["lung_*"]}))
    own = read_scheme(tmp_path, str(tmp_path / "map.json"))
    assert own.values["vessel"] == [AORTA, 7]
    assert own.masks["lung"] == ["lung_*"]
    for labels in ({"background": 0, "liver": 1}, {"0": "background", "1": "liver"}):
        (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
        assert read_scheme(tmp_path, None).values == {"liver": [1]}


@pytest.mark.parametrize("content", [{"a": 1, "b": 1}, {"a": 1.5}, {"a": []}, {}, [1]])
def test_schemes_that_cannot_be(tmp_path: Path, content: object) -> None:
    (tmp_path / "map.json").write_text(json.dumps(content))
    with pytest.raises(InputError):
        read_scheme(tmp_path, str(tmp_path / "map.json"))
    with pytest.raises(InputError, match="Which labels"):
        read_scheme(tmp_path, None)


def test_masks_of_structures_equal_the_label_map(tmp_path: Path) -> None:
    write_case(tmp_path / "ct.nii.gz", tmp_path / "map.nii.gz", 0)
    _, labels = case(0)
    for name, value in (("aorta", AORTA), ("rib_left_3", RIBS_LEFT[2]), ("spleen", 1)):
        (tmp_path / "segmentations").mkdir(exist_ok=True)
        write_volume(tmp_path / "segmentations" / f"{name}.nii.gz", (labels == value).astype(np.uint8), AFFINE, compress=True)
    scheme = read_scheme(tmp_path, "thorax")
    from_masks, from_map = scheme.read(tmp_path / "segmentations"), scheme.read(tmp_path / "map.nii.gz")
    assert np.array_equal(from_masks.array, from_map.array)
    assert np.allclose(from_masks.affine, from_map.affine)
    assert set(np.unique(from_map.array)) == {0, 1, 11}
    with pytest.raises(InputError, match="none of the labels"):
        read_scheme(tmp_path, "a,b").read(tmp_path / "map.nii.gz")


def test_validation_cases_are_what_inference_sees(folder: Path) -> None:
    source = source_of(folder)
    assert list(prepare(source)) == ["c0", "c1", "c2"]
    [held_out] = source.validation()
    ct = read_ct(folder / "imagesTr" / "c2_0000.nii.gz")
    grid = model_grid(ct.grid, SETTINGS.spacing)
    assert np.allclose(held_out.example.ct, resample(ct, grid, "linear"), atol=0.51)  # kept as whole HU
    centre = held_out.example.labels[held_out.example.ct > 500]
    assert (centre == 11).mean() > 0.9  # the bright box is a rib, on the same side as in the CT


def test_windows_follow_from_seed_and_index(folder: Path) -> None:
    source = source_of(folder, augment=True)
    again = source_of(folder, augment=True)
    seen = set()
    for index in range(6):
        a, b = (s.window(np.random.default_rng((1, index)), index) for s in (source, again))
        assert np.array_equal(a.ct, b.ct)
        assert np.array_equal(a.labels, b.labels)
        assert a.ct.shape == a.labels.shape == SETTINGS.roi
        seen |= set(np.unique(a.labels))
        rib = a.ct[a.labels == 11]
        assert rib.size == 0 or rib.mean() > 350  # CT and labels turn together
    assert seen == {0, 1, 11}


def test_a_changed_label_map_is_read_again(folder: Path) -> None:
    source = source_of(folder)
    list(prepare(source))
    write_volume(folder / "labelsTr" / "c2.nii.gz", np.full(SHAPE, TRACHEA, np.uint8), AFFINE, compress=True)
    [held_out] = source.validation()
    assert set(np.unique(held_out.example.labels)) == {7}


def test_a_label_map_elsewhere_is_refused(folder: Path) -> None:
    away = AFFINE.copy()
    away[:3, 3] = 5000
    write_volume(folder / "labelsTr" / "c1.nii.gz", case(0)[1], away, compress=True)
    with pytest.raises(InputError, match="does not meet its CT"):
        list(prepare(source_of(folder)))


@given(
    shape=st.tuples(*[st.integers(3, 20)] * 3),
    roi=st.tuples(*[st.integers(2, 24)] * 3),
    place=st.tuples(*[st.floats(0, 0.999)] * 3),
)
def test_windows_hold_their_centre_and_stay_inside(shape: tuple, roi: tuple, place: tuple) -> None:
    centre = np.array([int(part * size) for part, size in zip(place, shape, strict=True)])
    array = np.arange(1, 1 + int(np.prod(shape))).reshape(shape)
    crop = _crop(centre, shape, roi)
    window = _window_of(array, crop, 0)
    assert window.shape == roi
    assert array[tuple(centre)] in window
    assert np.count_nonzero(window) == np.prod([min(size, side) for size, side in zip(shape, roi, strict=True)])
