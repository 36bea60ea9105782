"""Methods through whole jobs: options, job files, references, run.json, errors, and Monte-Carlo errors."""

import json
from dataclasses import replace

import numpy as np
import pytest

from Agg2ExpLib.attribution.spec import MethodSpec
from Agg2ExpLib.commands.cli import build_parser
from Agg2ExpLib.commands.options import job_from
from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io.write import write_volume
from Agg2ExpLib.runs.job import Job
from Agg2ExpLib.runs.summary import summarise
from support.jobs import do
from support.networks import CT_AFFINE, small_chest

pytestmark = pytest.mark.usefixtures("one_thread")


def test_options_reach_the_job():
    plain = ["explain", "--ct", "a", "--weights", "b", "--output", "c"]
    words = [*plain, "--method", "integrated_gradients", "--rule", "midpoint", "--steps", "7", "--baseline", "air"]
    args = build_parser().parse_args([*words, "--references", "x.nii", "y.nii", "--no-antithetic", "--no-relu"])
    job = job_from(args)
    assert job.method == MethodSpec("integrated_gradients", {"rule": "midpoint", "steps": 7, "baseline": "air"})
    assert set(job.unused) == {"references", "antithetic", "relu"}
    assert Job.from_json(json.loads(json.dumps(job.to_json()))) == replace(job, unused=())
    assert job_from(build_parser().parse_args(plain)) == Job.of("a", "b", "c")


def test_references_count_from_the_job_file(tmp_path):
    content = {"ct": "a", "weights": "b", "output": "c", "references": ["r.nii.gz"], "method": "expected_gradients"}
    (tmp_path / "job.json").write_text(json.dumps(content))
    assert Job.read(tmp_path / "job.json").files_of_method() == (str(tmp_path / "r.nii.gz"),)


def test_integrated_gradients(small_ct, small_weights, tmp_path):
    result = do(small_ct, small_weights, tmp_path / "r", method="integrated_gradients", baseline="blurred", samples=9)
    parameters = result.run["parameters"]
    assert parameters["rule"] == "gauss-legendre"
    assert (parameters["baseline"], parameters["steps"], parameters["method"]) == ("blurred", 2, "integrated_gradients")
    assert "samples" not in parameters
    assert "The method integrated_gradients has no samples: what was set for it was not used." in result.run["notices"]
    assert (result.importance().standard_error == 0).all()
    assert "integrated_gradients, 2 steps" in summarise(result)


def test_the_error_of_one_random_baseline_is_not_known(small_ct, small_weights, tmp_path):
    result = do(small_ct, small_weights, tmp_path / "r", method="integrated_gradients", baseline="uniform")
    assert np.isnan(result.importance().standard_error).all()


def test_expected_gradients(small_ct, small_weights, tmp_path):
    other = tmp_path / "DOE_JANE.nii.gz"
    write_volume(other, small_chest((30, 30, 36)), CT_AFFINE, compress=True)
    write_volume(tmp_path / "third.nrrd", small_chest((36, 26, 44)), CT_AFFINE, compress=True)
    options = {"method": "expected_gradients", "samples": 4, "references": (str(other), str(tmp_path / "third.nrrd"))}
    result = do(small_ct, small_weights, tmp_path / "r", **options)
    parameters = result.run["parameters"]
    assert [len(checksum) for checksum in parameters["references"]] == [64, 64]
    assert "DOE" not in (result.folder / "run.json").read_text()
    assert (result.importance().standard_error[:, :4] > 0).any()
    with pytest.raises(InputError, match="references"):
        do(small_ct, small_weights, tmp_path / "none", method="expected_gradients")
    with pytest.raises(InputError, match=r"gone\.nii"):
        do(small_ct, small_weights, tmp_path / "gone", method="expected_gradients", references=("gone.nii",))


def test_a_scan_is_its_own_reference_in_place(small_ct, small_weights):
    """The patient's own CT as reference lies on the very voxels of the patient's image."""
    from Agg2ExpLib.attribution.references import read_reference
    from Agg2ExpLib.io.ct_values import scale_intensity
    from Agg2ExpLib.io.grid import model_grid
    from Agg2ExpLib.io.read import read_ct
    from Agg2ExpLib.io.resample import resample
    from Agg2ExpLib.models.model import load_model

    card, ct = load_model(small_weights).card, read_ct(small_ct)
    grid = model_grid(ct.grid, card.spacing)
    image = scale_intensity(resample(ct, grid, "linear"), card.hu_window, card.intensity_range)
    np.testing.assert_allclose(read_reference(small_ct, card, grid).numpy(), image, atol=1e-6)


def test_layer_cam(small_ct, small_weights, tmp_path):
    with pytest.raises(InputError, match="not a Swin UNETR"):
        do(small_ct, small_weights, tmp_path / "swin", method="layer_cam")
    assert not list(tmp_path.iterdir())
    result = do(small_ct, small_weights, tmp_path / "r", method="layer_cam", layer="model.0", relu=False)
    assert result.run["parameters"]["layer"] == "model.0"
    assert result.attribution("heart").array.any()


@pytest.mark.parametrize("name", ["smoothgrad_squared", "vargrad", "gradient_x_input"])
def test_other_methods(small_ct, small_weights, tmp_path, name):
    result = do(small_ct, small_weights, tmp_path / "r", method=name, samples=4)
    matrix = result.importance()
    assert matrix.mass[0, :5].sum() == pytest.approx(1)
    random = "seed" in result.run["parameters"]
    assert (np.nan_to_num(matrix.standard_error[:, :4]) > 0).any() == random
