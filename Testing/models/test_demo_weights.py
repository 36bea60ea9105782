"""The check of the demo weights: the library's own segmentation, Dice that means what it says, pictures the right way round."""

from __future__ import annotations

import csv
import importlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from Agg2ExpLib.inference.compute import choose_compute
from Agg2ExpLib.io.read import read_ct, read_volume
from Agg2ExpLib.io.resample import resample
from Agg2ExpLib.io.volume import Volume
from Agg2ExpLib.io.write import write_volume
from Agg2ExpLib.models.model import load_model
from Agg2ExpLib.monitor import Monitor
from Agg2ExpLib.runs.job import Job
from Agg2ExpLib.runs.pipeline import run_job
from Agg2ExpLib.synthetic.phantom import phantom_anatomy
from support.paths import ROOT

pytestmark = pytest.mark.usefixtures("one_thread")
HEART, AORTA = 8, 1


@pytest.fixture(scope="module")
def check() -> ModuleType:
    path = ROOT / "benchmarks" / "demo_weights.py"
    spec = importlib.util.spec_from_file_location("demo_weights", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["demo_weights"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pictures(check: ModuleType) -> ModuleType:
    """It puts its folder on the path for this one."""
    return importlib.import_module("label_pictures")


def test_segments_as_the_command_does(check: ModuleType, small_weights: Path, small_ct: Path, tmp_path: Path) -> None:
    job = Job.of(ct=str(small_ct), weights=str(small_weights), output=str(tmp_path / "result"), task="segment", device="cpu")
    theirs = read_volume(run_job(job, Monitor()) / "segmentation.nii.gz")
    ours = check.segment_ct(load_model(small_weights), read_ct(small_ct), choose_compute("cpu"))
    assert ours.grid.same_as(theirs.grid)
    # Of the small model's labels only the heart (2) is one of the paper's.
    np.testing.assert_array_equal(ours.array, np.where(theirs.array == 2, HEART, 0))
    assert ours.array.any()


def test_measures_on_the_reference_grid_and_in_parts(check: ModuleType) -> None:
    reference = np.zeros((8, 8, 8), np.uint8)
    reference[:, :4, 2:6], reference[:, 4:, 2:4] = HEART, check.LUNG
    prediction = np.zeros((4, 4, 4), np.uint8)  # voxels of twice the size; one more slice of heart than there is
    prediction[:, :2, 1:], prediction[:, 2:, 1:2] = HEART, 3
    affine, coarse = np.eye(4), np.diag([2.0, 2, 2, 1])
    coarse[:3, 3] = 0.5
    middle = np.zeros(8, bool)
    middle[2:6] = True
    labels = (*check.NAMES[1:], check.BOTH_LUNGS)
    parts = (check.Part("all", labels), check.Part("middle", ("heart",), middle))
    case = check.Case("real", "toy", Volume(reference, affine), Volume(reference, affine), parts)
    found = {(row.part, row.label): row for row in check.measure(case, Volume(prediction, coarse))}
    assert set(found) == {("all", "heart"), ("all", "both_lungs"), ("middle", "heart")}
    assert found["all", "heart"].dice == pytest.approx(2 * 128 / (128 + 192))
    assert (found["all", "heart"].reference_voxels, found["all", "heart"].predicted_voxels) == (128, 192)
    assert found["middle", "heart"].dice == 1
    assert found["all", "both_lungs"].dice == 1  # of whatever lobe


def test_lung_regions_of_the_chest_imaging_platform(check: ModuleType, tmp_path: Path, small_ct: Path) -> None:
    stored = np.zeros((4, 4, 4), np.uint16)
    stored[0], stored[1], stored[2], stored[3] = 9, 3 * 256 + 14, 2 * 256, 16  # parenchyma, vessel in it, trachea, heart
    write_volume(tmp_path / "lm-64.nrrd", stored, np.eye(4))
    write_volume(tmp_path / "ct-64.nrrd", read_ct(small_ct).array, np.eye(4))
    assert (check.cip_lungs(tmp_path).reference.array == check.LUNG).any((1, 2)).tolist() == [True, True, False, False]


def test_synthetic_cases_are_whole_and_repeatable(check: ModuleType, small_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "BODY_SHAPE", (40, 40, 40))
    model, anatomies = load_model(small_weights), [phantom_anatomy(0, (6.0, 6.0, 6.0))]
    first, second = (list(check.synthetic_cases(anatomies, model, 2, 1)) for _ in range(2))
    assert [case.group for case in first] == [check.WINDOWS] * 2 + [check.BODIES]
    assert first[0].ct.array.shape == (32, 32, 32)
    assert first[0].ct.grid.spacing == (6, 6, 6)
    assert first[2].reference.array.shape == (40, 40, 40)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.ct.array, other.ct.array)
    assert not np.array_equal(first[0].ct.array, first[1].ct.array)


@pytest.mark.parametrize(("name", "across", "down"), [("axial", 0, 1), ("coronal", 0, 2), ("sagittal", 1, 2)])
def test_planes_show_the_right_side_on_the_left_and_the_head_on_top(
    pictures: ModuleType, name: str, across: int, down: int
) -> None:
    index = np.indices((9, 9, 9))
    affine = np.diag([-5.0, -5, 5, 1])  # axes to the left, back and head
    world = [sign * 5.0 * index[axis] for axis, sign in enumerate((-1, -1, 1))]
    box = np.array([[-40.0, -40, 0], [0, 0, 40]])
    grid = pictures.plane(name, (-20, -20, 20), box, step=5)
    for axis, along in ((across, 0), (down, 1)):
        values = resample(Volume(world[axis].astype(np.float32), affine), grid)[:, :, 0]
        assert (np.diff(values, axis=along) == -5).all()
    [fixed] = {0, 1, 2} - {across, down}
    assert np.unique(resample(Volume(world[fixed].astype(np.float32), affine), grid)).tolist() == [(-20, -20, 20)[fixed]]


def test_pictures(pictures: ModuleType, small_ct: Path, tmp_path: Path) -> None:
    from PIL import Image

    ct = read_ct(small_ct)
    labels = Volume(np.where(ct.array > 100, HEART, 0).astype(np.uint8), ct.affine)
    patient = pictures.Patient("", (0, 0, -180), "nobody")
    pictures.draw(tmp_path / "with.png", ct, labels, patient, "toy")
    pictures.draw(tmp_path / "without.png", ct, Volume(np.zeros_like(labels.array), ct.affine), patient, "toy")
    drawn = [np.asarray(Image.open(tmp_path / name).convert("RGB")) for name in ("with.png", "without.png")]
    assert drawn[0].shape == drawn[1].shape
    changed = (drawn[0] != drawn[1]).any((1, 2))
    assert not changed[: len(changed) // 4].any()  # the row above stays the CT
    assert changed[len(changed) // 2 :].any()


def test_without_data_the_phantoms_are_measured_and_the_rest_is_said(
    check: ModuleType, small_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "PHANTOM_SPACING", (8.0, 8.0, 8.0))
    words = [
        "--weights",
        str(small_weights),
        "--data",
        str(tmp_path / "none"),
        "--output",
        str(tmp_path / "out"),
        "--device",
        "cpu",
    ]
    assert check.main([*words, "--held-out", "1"]) == 0
    printed = capsys.readouterr()
    skipped = [line for line in printed.err.splitlines() if line.startswith("Skipped")]
    assert len(skipped) == 1 + len(check.REAL) + len(check.PATIENTS)
    assert "| label | phantoms (1) |" in printed.out
    assert printed.out == (tmp_path / "out" / "demo_weights.md").read_text()
    with (tmp_path / "out" / "demo_weights.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["group"] for row in rows} == {"phantoms"}
    assert all(0 <= float(row["dice"]) <= 1 for row in rows)
    assert check.main([*words, "--weights", str(tmp_path / "no.pt")]) == 2


def test_the_model_card_takes_the_measured_dice(check: ModuleType, tmp_path: Path) -> None:
    card = tmp_path / "w.json"
    card.write_text(json.dumps({"labels": ["background", "aorta"], "metrics": {"data": ["x"], "dice": {"old": 1}}}))
    rows = [
        check.Row("phantoms", "a", check.WHOLE, "aorta", 0.5, 30, 30, 8.0),
        check.Row("phantoms", "b", check.WHOLE, "aorta", 0.7, 30, 30, 8.0),
        check.Row("phantoms", "b", check.WHOLE, "both_lungs", 0.9, 30, 30, 8.0),
        check.Row("real", "ct-64", check.WHOLE, "both_lungs", 0.91234, 30, 30, 8.0),
    ]
    check.update_card(card, rows)
    assert json.loads(card.read_text())["metrics"] == {
        "data": ["x"],
        "dice": {
            "phantoms": {"aorta": 0.6, "both_lungs": 0.9, "mean of 16 labels": 0.6},
            "real CT: ct-64, whole scan": {"both_lungs": 0.912},
        },
    }
