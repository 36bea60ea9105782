"""Ground truth by the model's indices, by names, and by TotalSegmentator's values; on another grid, and what must be refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from Agg2ExpLib.cohorts.truth import read_truth
from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io.grid import Grid
from Agg2ExpLib.io.write import write_volume
from Agg2ExpLib.models.label_maps import read_scheme
from Agg2ExpLib.models.labels import PAPER_LABELS, make_labels
from Agg2ExpLib.synthetic.tissues import AORTA, HEART, RIBS_LEFT
from support.geometry import make_grid, save_segmentation

GRID = make_grid((12, 14, 16), (2.0, 2.0, 2.0))
LABELS = make_labels(["background", "lung", "heart", "bone"])


@pytest.fixture
def blocks() -> np.ndarray:
    """Lung (1) and heart (2), no bone."""
    array = np.zeros(GRID.shape, np.uint8)
    array[2:6, 3:9, 2:10] = 1
    array[7:10, 4:9, 3:8] = 2
    return array


def save(path: Path, array: np.ndarray, grid: Grid = GRID) -> str:
    write_volume(path, array, grid.affine, compress=True)
    return str(path)


def test_values_are_the_models_indices_unless_names_are_given(tmp_path, blocks):
    truth = read_truth(save(tmp_path / "a.nii.gz", blocks), None, LABELS, GRID)
    assert list(truth) == ["background", "lung", "heart", "bone"]
    for label in LABELS:
        np.testing.assert_array_equal(truth[label.name], blocks == label.index)
    swapped = np.array([0, 9, 4], np.uint8)[blocks]
    truth = read_truth(save(tmp_path / "b.nii.gz", swapped) + ":Heart,lung", None, LABELS, GRID)
    assert sorted(truth) == ["heart", "lung"]
    np.testing.assert_array_equal(truth["heart"], blocks == 2)
    np.testing.assert_array_equal(truth["lung"], blocks == 1)


def test_the_truth_may_lie_on_another_grid(tmp_path, blocks):
    turned = Grid(GRID.shape[::-1], GRID.affine[:, [2, 1, 0, 3]])
    path = save(tmp_path / "a.nii.gz", np.ascontiguousarray(blocks.T), turned)
    for spec in (path, f"{path}:lung,heart"):
        np.testing.assert_array_equal(read_truth(spec, None, LABELS, GRID)["heart"], blocks == 2)


def test_segments_of_slicer_are_known_by_their_names(tmp_path, blocks):
    # as values these would be lung = 2, heart = 1
    segments = [("Heart", 0, 1), ("lung", 0, 2), ("BONE", 0, 3), ("my lesion", 0, 3)]
    path = save_segmentation(tmp_path / "a.seg.nrrd", [np.array([0, 2, 1], np.uint8)[blocks]], segments[:3], GRID)
    truth = read_truth(str(path), None, LABELS, GRID)
    assert sorted(truth) == ["heart", "lung"], "an empty segment has no voxels to measure"
    np.testing.assert_array_equal(truth["heart"], blocks == 2)
    full = blocks.copy()
    full[0, 0, 0] = 3
    path = save_segmentation(tmp_path / "b.seg.nrrd", [full], [("lung", 0, 1), ("heart", 0, 2), ("bone", 0, 3)], GRID)
    np.testing.assert_array_equal(read_truth(str(path), None, LABELS, GRID)["background"], full == 0)
    path = save_segmentation(tmp_path / "c.seg.nrrd", [blocks], [("Segment_1", 0, 1), ("Segment_2", 0, 2)], GRID)
    np.testing.assert_array_equal(read_truth(str(path), None, LABELS, GRID)["heart"], blocks == 2)


def test_totalsegmentator_maps_and_folders_of_masks(tmp_path, blocks):
    array = np.array([0, RIBS_LEFT[3], HEART, AORTA], np.uint8)[blocks]
    scheme = read_scheme(tmp_path, "thorax")
    truth = read_truth(save(tmp_path / "a.nii.gz", array), scheme, PAPER_LABELS, GRID)
    np.testing.assert_array_equal(truth["ribs"], blocks == 1)
    np.testing.assert_array_equal(truth["heart"], blocks == 2)
    assert not truth["aorta"].any()
    np.testing.assert_array_equal(truth["background"], blocks == 0)
    (tmp_path / "segmentations").mkdir()
    save(tmp_path / "segmentations" / "rib_left_4.nii.gz", (blocks == 1).astype(np.uint8))
    save(tmp_path / "segmentations" / "heart.nii.gz", (blocks == 2).astype(np.uint8))
    masks = read_truth(str(tmp_path / "segmentations"), scheme, PAPER_LABELS, GRID)
    for name in masks:
        np.testing.assert_array_equal(masks[name], truth[name])
    few = read_truth(str(tmp_path / "a.nii.gz"), scheme, LABELS, GRID)
    assert list(few) == ["heart"], "labels of other models are left out"


def test_what_is_no_truth_of_this_model(tmp_path, blocks):
    high = save(tmp_path / "high.nii.gz", blocks * 5)
    with pytest.raises(InputError, match="must be whole numbers from 0 to 3, the indices of the model's labels; or say"):
        read_truth(high, None, LABELS, GRID)
    with pytest.raises(
        InputError, match=r"None of the names in high\.nii\.gz \(liver\) is a label of the model: it has background"
    ):
        read_truth(f"{high}>=5:liver", None, LABELS, GRID)
    with pytest.raises(InputError, match=r"None of the names in label_map \(a, b, c, d, liver\) is a label"):
        read_truth(high, read_scheme(tmp_path, "a,b,c,d,liver"), LABELS, GRID)
