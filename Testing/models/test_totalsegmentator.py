"""TotalSegmentator's models: found where its own rules put them, fed as it feeds them, and what is missing is told."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from Agg2ExpLib.commands.cli import main
from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io.read import read_ct, read_volume
from Agg2ExpLib.models import totalsegmentator
from Agg2ExpLib.models.model import load_model
from Agg2ExpLib.models.systems import system_of
from Agg2ExpLib.models.totalsegmentator_tasks import TASKS, task_of
from Agg2ExpLib.preprocessing.preprocessing import Preprocessing
from Agg2ExpLib.preprocessing.totalsegmentator_resampling import TotalsegmentatorResampling
from support.geometry import AIR, found_place, make_grid, marker_place, paint, save_nifti
from support.installed_models import ORGANS, install_task
from support.nnunet_model import INTENSITIES, network_of, plans_of, see_bright

# Voxel axes run to the patient's left, posterior and superior, turned by some degrees.
OBLIQUE = make_grid((30, 26, 14), (1.1, 0.9, 2.6), order=(0, 1, 2), signs=(-1, -1, 1), angles=(4.0, -6.0, 8.0))
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """TotalSegmentator's weights folder with one part of ``total`` in it."""
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path / "results"))
    plans = plans_of(spacing=[1.5, 1.5, 1.5])
    network = see_bright(network_of(plans, len(ORGANS)))
    install_task(tmp_path / "results", "Dataset291_TotalSegmentator_part1_organs_1559subj", plans, network=network)
    return tmp_path / "results"


def as_totalsegmentator(file, spacing):
    """The image that it hands to nnU-Net, ``[x, y, z]``, by nibabel and scipy as its own code calls them."""
    image = nib.as_closest_canonical(nib.Nifti1Image(nib.load(file).get_fdata(), nib.load(file).affine))
    factors = np.array(image.header.get_zooms()) / np.array([spacing] * 3)
    return ndimage.zoom(image.get_fdata(), factors, mode="nearest", order=3).astype(np.int32)


def test_sees_what_totalsegmentator_hands_over(tmp_path, weights):
    rng = np.random.default_rng(0)
    hu = ndimage.gaussian_filter(rng.normal(0, 900, OBLIQUE.shape), 1.0).round()
    ct = save_nifti(tmp_path / "ct.nii.gz", hu, OBLIQUE.affine)
    model = load_model("totalsegmentator:total_part1")
    prepared = model.card.preprocessing.prepare(read_ct(ct))
    handed = as_totalsegmentator(ct, 1.5)
    low, high = INTENSITIES["percentile_00_5"], INTENSITIES["percentile_99_5"]
    expected = (handed.astype(np.float32).clip(low, high) - INTENSITIES["mean"]) / INTENSITIES["std"]
    assert prepared.image.shape == handed.shape
    np.testing.assert_allclose(prepared.image, expected, atol=1e-5)
    again = Preprocessing.from_json(json.loads(json.dumps(model.card.preprocessing.to_json())), "x", 0.0)
    np.testing.assert_array_equal(again.prepare(read_ct(ct)).image, prepared.image)


def test_a_marker_lies_where_it_is_in_the_patient(tmp_path, weights):
    place = marker_place(OBLIQUE)
    ct = save_nifti(tmp_path / "ct.nii.gz", paint(OBLIQUE, place), OBLIQUE.affine)
    arguments = ["explain", "--ct", str(ct), "--weights", "totalsegmentator:total_part1", "--method", "gradient", "--output"]
    assert main([*arguments, str(tmp_path / "result"), "--device", "cpu"]) == 0
    ours = nib.load(tmp_path / "result" / "ct.nii.gz")
    np.testing.assert_allclose(found_place(ours.get_fdata(), ours.affine), place, atol=0.3)
    drawn = nib.load(tmp_path / "result" / "segmentation.nii.gz")
    np.testing.assert_allclose(found_place(AIR + (drawn.get_fdata() == 1), drawn.affine), place, atol=0.8)
    heat = read_volume(tmp_path / "result" / "attributions" / "spleen.nrrd")
    strong = np.abs(heat.array) > 0.5 * np.abs(heat.array).max()
    np.testing.assert_allclose(found_place(AIR + strong, heat.affine), place, atol=0.8)


@pytest.mark.parametrize("shape", [(30, 26, 14), (7, 5, 3), (2, 4, 2)])
@pytest.mark.parametrize("spacing", [1.5, 0.7, 3.0])
def test_voxels_stay_where_they_are(shape, spacing):
    """A ramp along each axis, resampled linearly, must say the place of each voxel."""
    from Agg2ExpLib.io.volume import Volume

    grid = make_grid(shape, (1.1, 0.9, 2.6), order=(0, 1, 2), signs=(1, 1, 1), angles=(4.0, -6.0, 8.0))
    step = TotalsegmentatorResampling((spacing,) * 3, 1)
    new = step.grid(grid)
    index = np.stack(np.meshgrid(*(np.arange(size) for size in new.shape), indexing="ij"), -1)
    for axis in range(3):
        places = np.stack(np.meshgrid(*(np.arange(size) for size in shape), indexing="ij"), -1)
        ramp = np.round(1e4 * (places @ grid.affine[:3, :3].T + grid.affine[:3, 3])[..., axis])
        made = step.apply(Volume(ramp, grid.affine, "ramp"))
        np.testing.assert_allclose(made.array / 1e4, (index @ new.affine[:3, :3].T + new.affine[:3, 3])[..., axis], atol=3e-4)


def test_card_of_a_task(weights):
    model = load_model("totalsegmentator:total_part1")
    assert model.labels == ("background", "spleen", "rib_left_1", "aorta")
    assert [label.group for label in model.card.labels] == ["background", "other organs", "bones", "cardiovascular"]
    assert model.card.overlap == pytest.approx(0.2)
    assert model.card.licence == "Apache-2.0"
    assert model.name == "totalsegmentator_total_part1"
    assert model.warnings == ()
    assert [step.name for step in model.card.preprocessing.steps] == [
        "orientation", "totalsegmentator_resampling", "transposed", "crop_nonzero", "ct_normalisation",
    ]  # fmt: skip
    folder = next(weights.iterdir())
    for path in (folder, next(folder.iterdir()), next(folder.iterdir()) / "fold_0"):
        assert load_model(path).card == model.card


def test_a_task_that_is_cropped_and_licensed(weights):
    plans = plans_of(spacing=[0.8, 0.7, 0.7])
    install_task(weights, "Dataset509_coronary_arteries_cm_nativ_400subj_SKELETON", plans)
    model = load_model("totalsegmentator:coronary_arteries")
    assert "need a licence" in model.card.licence
    assert "crops a CT to the heart" in model.warnings[0]
    assert "need a licence" in model.warnings[1]
    assert [step.name for step in model.card.preprocessing.steps][-1] == "nnunet_resampling"  # the plans want another spacing


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("total", "is several models: name one of total_part1, .* total_fastest"),
        ("liver_vessels", "liver_vessels is not installed .* there are total_part1.*`totalseg_download_weights -t liver_vessels`"),
        ("total_fast", r"not installed .*Dataset297_TotalSegmentator_total_3mm.* -t total`"),
        ("spleen", "has no task 'spleen': this computer has total_part1"),
    ],
)
def test_names_that_are_not_there(weights, name, message):
    with pytest.raises(InputError, match=message) as caught:
        load_model(f"totalsegmentator:{name}")
    assert "\n" not in str(caught.value)


def test_half_downloaded(weights, capsys):
    folder = next(weights.iterdir())
    trained = next(folder.iterdir())
    message = r"weights of total_part1 are not complete \(Dataset291_\S+\): delete that folder and run `totalseg_download_weights"
    for gone in ("fold_0/checkpoint_final.pth", "plans.json", "dataset.json"):
        content = (trained / gone).read_bytes()
        (trained / gone).unlink()
        for path in ("totalsegmentator:total_part1", folder, trained):
            with pytest.raises(InputError, match=message):
                load_model(path)
        (trained / gone).write_bytes(content)
    whole = (trained / "fold_0" / "checkpoint_final.pth").read_bytes()
    (trained / "fold_0" / "checkpoint_final.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=message):
        load_model("totalsegmentator:total_part1")
    assert main(["explain", "--ct", "ct.nii.gz", "--weights", "totalsegmentator:total_part1", "--output", "x"]) == 2
    for part in trained.iterdir():
        part.rename(weights / part.name)
    trained.rmdir()
    with pytest.raises(InputError, match=message):
        load_model(folder)


def test_mr(weights):
    install_task(weights, "Dataset852_TotalSegMRI_total_3mm_1088subj", plans_of(), dataset={"channel_names": {"0": "MRI"}})
    with pytest.raises(InputError, match="total_mr_fast is for MR"):
        load_model("totalsegmentator:total_mr_fast")


def test_places(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.delenv("TOTALSEG_WEIGHTS_PATH", raising=False)
    monkeypatch.delenv("TOTALSEG_HOME_DIR", raising=False)
    assert totalsegmentator.weights_folder() == tmp_path / ".totalsegmentator" / "nnunet" / "results"
    monkeypatch.setenv("TOTALSEG_HOME_DIR", str(tmp_path / "h"))
    assert totalsegmentator.weights_folder() == tmp_path / "h" / "nnunet" / "results"
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path / "w"))
    assert totalsegmentator.weights_folder() == tmp_path / "w"
    assert totalsegmentator.dataset_folders() == []


def test_table():
    assert len({task.name for task in TASKS}) == len({task.folder for task in TASKS}) == len(TASKS)
    assert {task.task for task in TASKS} >= {"total", "total_v3", "body", "ventricle_parts", "headneck_muscles", "total_mr"}
    assert task_of("Dataset291_TotalSegmentator_part1_organs_1559subj").name == "total_part1"
    assert task_of("Dataset297_TotalSegmentator_total_3mm_1559subj_v204").name == "total_fast"
    assert task_of("Dataset291_Mine") is None
    assert task_of("Dataset485_tissue_4types_1559subj").name == "tissue_4_types"


@pytest.mark.parametrize(
    ("name", "system"),
    [("vertebrae_L5", "bones"), ("rib_right_12", "bones"), ("costal_cartilages", "bones"), ("iliac_artery_left", "cardiovascular"),
     ("portal_vein_and_splenic_vein", "cardiovascular"), ("atrial_appendage_left", "cardiovascular"), ("hip_left", "bones"),
     ("gluteus_maximus_left", "muscles"), ("iliopsoas_right", "muscles"), ("autochthon_left", "muscles"), ("liver", "other organs"),
     ("brain", "other organs"), ("prostate", "other organs"), ("lung_nodules", "pathologies"), ("kidney_cyst_left", "pathologies"),
     ("spinal_cord", "other organs"), ("superior_vena_cava", "cardiovascular"), ("urinary_bladder", "other organs")],
)  # fmt: skip
def test_systems(name, system):
    assert system_of(name) == system
