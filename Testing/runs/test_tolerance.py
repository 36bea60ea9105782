"""Runs that stop when the importance is precise enough."""

import json

import numpy as np
import pytest

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.monitor import Monitor
from Agg2ExpLib.runs.estimate import speed_from_run
from Agg2ExpLib.runs.job import Job
from Agg2ExpLib.runs.summary import summarise
from support.jobs import do

pytestmark = pytest.mark.usefixtures("one_thread")
LABELS = ("lung", "heart", "bone")


class Course(Monitor):
    """Keeps the progress."""

    def __init__(self):
        super().__init__()
        self.fractions = []

    def progress(self, stage, fraction, message="", eta_s=None):
        self.fractions.append(fraction)


@pytest.fixture(scope="module")
def precise(small_ct, small_weights, tmp_path_factory):
    course = Course()
    folder = tmp_path_factory.mktemp("r") / "r"
    return do(small_ct, small_weights, folder, course, labels=LABELS, tolerance=0.05, samples=60, sigma=0.4), course


def test_each_label_takes_what_it_needs(precise, small_ct, small_weights, tmp_path):
    result, _ = precise
    matrix, taken = result.importance(), result.run["samples"]
    assert tuple(taken) == matrix.rows
    for index, row in enumerate(matrix.rows):
        assert 8 <= taken[row] <= 60
        assert taken[row] % 2 == 0
        if taken[row] < 60:
            assert 100 * matrix.limit_error[index].max() <= 0.05
    assert len(set(taken.values())) > 1, "labels must differ in what they need for this test to mean anything"
    assert "samples" in summarise(result)
    few = min(taken, key=taken.get)
    fixed = do(small_ct, small_weights, tmp_path / "fixed", labels=(few,), samples=taken[few], sigma=0.4)
    np.testing.assert_allclose(fixed.attribution(few).array, result.attribution(few).array, rtol=1e-4, atol=1e-6)
    own = fixed.importance()
    np.testing.assert_allclose(own.limit[0], matrix.limit[matrix.rows.index(few)], atol=2e-4)


def test_labels_that_are_done_cost_nothing_more(precise):
    result, course = precise
    windows, taken = result.run["windows"], result.run["samples"]
    assert windows["done"] < windows["passes"] * max(taken.values())
    assert windows["done"] > windows["passes"] * min(taken.values())
    assert course.fractions == sorted(course.fractions)
    assert course.fractions[-1] <= 1
    needs = [taken[name] * error**2 for name, error in result.run["largest_error"].items()]
    assert speed_from_run(result.run).need == pytest.approx(np.mean(needs))
    assert speed_from_run(result.run).pass_s == pytest.approx(result.run["seconds"]["explain"] / windows["done"])


def test_a_tolerance_out_of_reach_is_told_and_the_result_kept(small_ct, small_weights, tmp_path):
    result = do(small_ct, small_weights, tmp_path / "r", tolerance=0.001, samples=10)
    (notice,) = [notice for notice in result.run["notices"] if "percentage points" in notice]
    assert "After 10 samples" in notice
    assert result.run["samples"] == {"heart": 10}
    assert np.isfinite(result.importance().limit[0, :5]).all()


def test_a_tolerance_without_samples_is_told_and_not_used(small_ct, small_weights, tmp_path):
    result = do(small_ct, small_weights, tmp_path / "r", method="gradient", tolerance=0.5)
    assert any("no tolerance" in notice for notice in result.run["notices"])
    matrix = result.importance()
    np.testing.assert_array_equal(matrix.limit, matrix.mass)
    assert (matrix.limit_error == 0).all()


def test_odd_numbers_of_samples_are_rounded_up_and_told(small_ct, small_weights, tmp_path):
    result = do(small_ct, small_weights, tmp_path / "r", samples=3)
    assert result.run["parameters"]["samples"] == 4
    assert any("4 samples are taken instead of 3" in notice for notice in result.run["notices"])


def test_samples_are_the_most_where_they_are_given():
    entries = ("a.nii", "b.pt", "r")
    assert Job.of(*entries, tolerance=0.5).method.make().samples == 200
    assert Job.of(*entries, tolerance=0.5, samples=40).method.make().samples == 40
    assert Job.of(*entries).method.make().samples == 20


def test_the_paper_as_published(small_ct, small_weights, tmp_path):
    method = Job.of("a.nii", "b.pt", "r", preset="paper").method.make()
    assert (method.samples, method.antithetic, method.limit, method.tolerance) == (20, False, False, None)
    assert Job.of("a.nii", "b.pt", "r", preset="paper", method="integrated_gradients").method.make().rule == "right"
    with pytest.raises(InputError, match="sets samples to 20, not 10"):
        Job.of("a.nii", "b.pt", "r", preset="paper", samples=10)
    with pytest.raises(InputError, match="choose one of paper"):
        Job.of("a.nii", "b.pt", "r", preset="papers")
    job = Job.of("a.nii", "b.pt", "r", preset="paper")
    assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job
    result = do(small_ct, small_weights, tmp_path / "r", limit=False, antithetic=False, samples=4)
    matrix = result.importance()
    assert np.isnan(matrix.limit).all()
    np.testing.assert_array_equal(matrix.best(), matrix.mass)
    assert (matrix.standard_error[:, matrix.roi_voxels > 0] > 0).all()
