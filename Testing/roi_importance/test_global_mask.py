"""The global mask: which supervoxels it keeps, and what the model draws with and without it."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from Agg2ExpLib.attribution.supervoxels import cubes
from Agg2ExpLib.commands.cli import build_parser, main
from Agg2ExpLib.commands.options import job_from
from Agg2ExpLib.errors import InputError
from Agg2ExpLib.roi_importance.global_mask import check_mask, choose_mask, region_mass
from Agg2ExpLib.runs.job import Job
from Agg2ExpLib.runs.summary import summarise
from support.jobs import do

pytestmark = pytest.mark.usefixtures("one_thread")


@given(
    masses=st.lists(st.lists(st.floats(0, 100), min_size=5, max_size=5).filter(lambda row: sum(row) > 1), min_size=1, max_size=3),
    coverage=st.floats(0.01, 1),
)
def test_the_fewest_supervoxels_that_hold_the_share(masses, coverage):
    regions = np.arange(5).reshape(5, 1, 1)
    found = choose_mask(regions, {str(i): np.array(row) for i, row in enumerate(masses)}, coverage)
    shares = np.mean([np.array(row) / sum(row) for row in masses], axis=0)
    assert found.coverage >= coverage * (1 - 1e-6)
    assert found.kept == found.mask.sum()
    assert found.coverage == pytest.approx(shares[found.mask.ravel()].sum())
    strongest = np.sort(shares)[::-1]
    assert strongest[: found.kept - 1].sum() < coverage, "one fewer would have been enough"
    assert found.coverage == pytest.approx(strongest[: found.kept].sum())


def test_labels_count_alike_and_empty_supervoxels_stay_out():
    regions = np.arange(4).reshape(4, 1, 1)
    masses = {"large": np.array([1000.0, 10, 0, 0]), "small": np.array([0, 0, 1.0, 0])}
    assert choose_mask(regions, masses, number=2).mask.ravel().tolist() == [True, False, True, False]
    everything = choose_mask(regions, masses, number=9)
    assert everything.kept == 3
    assert everything.regions == 4
    assert everything.coverage == pytest.approx(1)
    assert everything.volume_share == 0.75


def test_mass_of_supervoxels():
    regions = cubes((4, 4, 4), 8)
    values = np.random.default_rng(0).normal(size=(4, 4, 4)).astype(np.float32)
    expected = [np.abs(values[regions == number]).sum() for number in range(8)]
    np.testing.assert_allclose(region_mass(regions, values), expected, rtol=1e-6)


def test_dice_with_and_without():
    clean = np.array([1, 1, 2, 0]).reshape(4, 1, 1)
    found = choose_mask(np.array([0, 0, 1, 1]).reshape(4, 1, 1), {"a": np.array([3.0, 1.0])}, number=1)
    dice = check_mask(found, {"one": 1, "two": 2, "none": 3}, clean, lambda kept: np.where(kept, clean, 0))
    assert dice == {
        "one": {"only_mask": 1.0, "without_mask": 0.0},
        "two": {"only_mask": 0.0, "without_mask": 1.0},
        "none": {"only_mask": None, "without_mask": None},
    }


def test_a_mask_by_kernel_shap(small_ct, small_weights, tmp_path):
    options = {"method": "kernel_shap", "labels": ("heart", "lung"), "supervoxels": "cubes", "regions": 27, "coalitions": 40}
    result = do(small_ct, small_weights, tmp_path / "r", mask_coverage=0.6, **options)
    told, mask = result.run["global_mask"], result.global_mask()
    assert told["supervoxels"] == "cubes"
    assert told["regions"] == 27
    assert 0 < told["kept"] < 27
    assert told["coverage"] >= 0.6
    assert mask.array.mean() == pytest.approx(told["volume_share"])
    np.testing.assert_allclose(mask.affine, result.segmentation().affine, atol=1e-6)
    regions = cubes(mask.array.shape, 27)
    inside = [np.asarray(mask.array)[regions == number] for number in range(27)]
    assert all(np.ptp(part) == 0 for part in inside)
    held = [
        np.abs(np.asarray(result.attribution(name).array))[mask.array > 0].sum() / np.abs(result.attribution(name).array).sum()
        for name in result.explained
    ]
    assert np.mean(held) == pytest.approx(told["coverage"], rel=1e-5)
    assert result.run["parameters"]["mask_coverage"] == 0.6
    assert result.run["parameters"]["coalitions"] == 40
    assert result.run["seconds"]["mask"] > 0
    words = summarise(result)
    assert f"global mask: {told['kept']} of 27 supervoxels (cubes)" in words
    assert "Dice with only the mask / without it: lung" in words


def test_the_dice_of_a_run_is_that_of_the_masked_image(small_ct, small_weights, tmp_path):
    """Repeated with MONAI over the whole volume."""
    from monai.inferers import sliding_window_inference

    from Agg2ExpLib.io.ct_values import scale_intensity
    from Agg2ExpLib.models.model import load_model
    from Agg2ExpLib.roi_importance.dice import dice_per_label

    result = do(small_ct, small_weights, tmp_path / "r", method="gradient", mask_regions=1, precision="float32")
    told = result.run["global_mask"]
    assert (told["kept"], told["supervoxels"]) == (1, "semantic")
    model, mask = load_model(small_weights), np.asarray(result.global_mask().array) > 0
    clean = np.asarray(result.segmentation().array)
    # the CT kept in the results is rounded to whole HU
    hu = np.asarray(result.ct().array, dtype=np.float32)
    image = torch.from_numpy(scale_intensity(hu, model.card.hu_window, model.card.intensity_range))
    index = [label.name for label in result.labels].index("heart")
    for name, kept in (("only_mask", mask), ("without_mask", ~mask)):
        masked = torch.where(torch.from_numpy(kept), image, 0.0)[None, None]
        with torch.no_grad():
            logits = sliding_window_inference(masked, model.card.roi_size, 1, model.network, overlap=0.25)
        expected = dice_per_label(logits[0].argmax(0).numpy(), clean, [index])[0]
        assert told["dice"]["heart"][name] == pytest.approx(expected, abs=0.02)


def test_options_and_bad_input(small_ct, small_weights, tmp_path, capsys):
    plain = ["explain", "--ct", str(small_ct), "--weights", str(small_weights), "--output", str(tmp_path / "r")]
    assert job_from(build_parser().parse_args([*plain, "--mask-coverage", "0.8"])).mask.coverage == 0.8
    assert job_from(build_parser().parse_args([*plain, "--mask-regions", "3"])).mask.number == 3
    for entries, words in (
        ({"mask_coverage": 1.5}, "at most 1"),
        ({"mask_coverage": 0.0}, "more than 0"),
        ({"mask_regions": 0}, "at least one region"),
        ({"mask_regions": 2, "mask_coverage": 0.5}, "only one of the two"),
    ):
        with pytest.raises(InputError, match=words):
            Job.of("a", "b", "c", **entries)
    many = [*plain, "--method", "kernel_shap", "--supervoxels", "cubes", "--regions", "10000000", "--device", "cpu"]
    assert main(many) == 2
    assert "more than the" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
