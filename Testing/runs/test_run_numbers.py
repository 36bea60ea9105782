"""What a job's settings do to its numbers, each against a computation of its own, and what a stop or too little precision does."""

import itertools
import json

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference

from Agg2ExpLib.errors import Cancelled, InputError
from Agg2ExpLib.io.read import read_volume
from Agg2ExpLib.io.write import write_volume
from Agg2ExpLib.models.model import load_model
from Agg2ExpLib.monitor import Monitor
from Agg2ExpLib.roi_importance.limit import jackknife
from support.jobs import do
from support.networks import write_small_model
from support.passes import watching

pytestmark = pytest.mark.usefixtures("one_thread")

WINDOW = (32, 32, 32)


@pytest.fixture(scope="module")
def gradient(small_ct, small_weights, tmp_path_factory):
    """Lung and heart explained by one plain gradient."""
    return do(small_ct, small_weights, tmp_path_factory.mktemp("r") / "r", method="gradient", labels=("lung", "heart"))


def test_the_mean_target_is_the_sum_over_the_voxels_of_each_label(gradient, small_ct, small_weights, tmp_path):
    options = {"method": "gradient", "labels": ("lung", "heart"), "target": "mean"}
    mean = do(small_ct, small_weights, tmp_path / "mean", **options)
    assert mean.run["parameters"]["target"] == "mean"
    for label in mean.labels:
        if label.name in mean.explained:
            voxels = int((mean.segmentation().array == label.index).sum())
            expected = gradient.attribution(label.name).array / voxels
            np.testing.assert_allclose(mean.attribution(label.name).array, expected, rtol=1e-5, atol=1e-9 * np.abs(expected).max())
    ours, theirs = mean.importance(), gradient.importance()
    np.testing.assert_allclose(ours.mass, theirs.mass, rtol=1e-5)
    assert not np.allclose(ours.mean, theirs.mean, rtol=0.5)


def test_the_mean_target_of_a_drawn_mask_counts_the_mask(small_ct, small_weights, small_lesion, tmp_path):
    options = {"method": "gradient", "target_mask": str(small_lesion)}
    total, mean = (do(small_ct, small_weights, tmp_path / target, target=target, **options) for target in ("sum", "mean"))
    voxels = int(total.target_mask().array.sum())
    expected = total.attribution("heart").array / voxels
    np.testing.assert_allclose(mean.attribution("heart").array, expected, rtol=1e-5, atol=1e-9 * np.abs(expected).max())


@pytest.fixture(scope="module")
def signed_range(tmp_path_factory):
    """Weights whose card scales HU to -1..1, so that air is -1 and 0 is water."""
    weights = write_small_model(tmp_path_factory.mktemp("signed"))
    card = json.loads(weights.with_suffix(".json").read_text())
    weights.with_suffix(".json").write_text(json.dumps({**card, "intensity_range": [-1, 1]}))
    return weights


def test_windows_larger_than_the_scan_are_filled_with_air(signed_range, small_ct, tmp_path):
    """The scan is 28 voxels deep, a window 32; beyond the scan lies air, whatever number the card gives to it."""
    result = do(small_ct, signed_range, tmp_path / "r", method="gradient", precision="float64", labels=("heart",))
    network = load_model(signed_range).network.double()
    image = torch.from_numpy((result.ct().array.clip(-1024, 1024) / 1024).astype(np.float64))[None, None]
    assert min(image.shape[2:]) < WINDOW[1]

    def computed(beyond):
        volume = image.clone().requires_grad_(True)
        logits = sliding_window_inference(volume, WINDOW, 1, network, overlap=0.25, cval=beyond)[0]
        drawn = logits.argmax(0)
        index = next(label.index for label in result.labels if label.name == "heart")
        (found,) = torch.autograd.grad(logits[index][drawn == index].sum(), volume)
        return drawn.numpy(), found[0, 0].numpy()

    segmentation, attribution = computed(-1.0)
    elsewhere = computed(0.0)
    assert (elsewhere[0] != segmentation).any(), "the filling must matter for this test to mean anything"
    np.testing.assert_array_equal(result.segmentation().array, segmentation)
    ours = result.attribution("heart").array
    # HU are whole numbers in the result, so the image here is off by up to half a unit.
    assert np.linalg.norm(ours - attribution) < 0.05 * np.linalg.norm(attribution)
    assert np.linalg.norm(ours - elsewhere[1]) > 0.2 * np.linalg.norm(attribution)


def masses(attribution, segmentation):
    """Equation 7 for one map, by its definition."""
    absolute = np.abs(attribution.astype(np.float64))
    return np.array([absolute[segmentation == value].sum() for value in range(5)]) / absolute.sum()


class Viewer(Monitor):
    """Keeps the preliminary maps of one label with the number of copies behind each."""

    wants_partial = True

    def __init__(self, label):
        super().__init__()
        self.label, self.maps = label, {0: 0.0}

    def partial(self, kind, path, **details):
        if kind == "attribution" and details["label"] == self.label:
            self.maps[details["samples"]] = read_volume(path).array.astype(np.float64)


def jackknifed(viewer, result, samples, counts):
    """The error of a row from the rows without one group of copies each, from what was shown while it ran."""
    viewer.maps[samples] = result.attribution(viewer.label).array.astype(np.float64)
    ends = np.cumsum([0, *counts])
    total = samples * viewer.maps[samples]
    groups = [after * viewer.maps[after] - before * viewer.maps[before] for before, after in itertools.pairwise(ends)]
    segmentation, there = result.segmentation().array, result.importance().roi_voxels[:5] > 0
    whole = masses(total, segmentation)[there]
    rows = np.stack([masses(total - group, segmentation)[there] for group in groups])
    return jackknife(rows, np.array(counts) / samples, whole)


def error_of(result):
    return result.importance().standard_error[0, result.importance().roi_voxels > 0]


def test_a_smaller_last_group_counts_as_what_it_is(small_ct, small_weights, tmp_path):
    """Eleven copies are five groups of two and a single one, whose noisier row must not widen the spread."""
    viewer = Viewer("heart")
    result = do(small_ct, small_weights, tmp_path / "r", viewer, samples=11, antithetic=False, precision="float64")
    expected = jackknifed(viewer, result, 11, [2, 2, 2, 2, 2, 1])
    np.testing.assert_allclose(error_of(result), expected, rtol=0.01)
    assert not np.allclose(error_of(result), jackknifed(viewer, result, 11, [1] * 11), rtol=0.02)


def test_what_half_precision_found_is_forgotten_when_float32_begins_again(small_ct, small_weights, tmp_path):
    passes = []

    def overflow(output):
        """The fifth pass and all later ones: the first copy takes at most four, one a window."""
        if torch.is_autocast_enabled("cpu") and torch.is_grad_enabled():
            passes.append(1)
            return output * float("inf") if len(passes) > 4 else None
        return None

    viewer = Viewer("heart")
    with watching("UNet", overflow):
        result = do(small_ct, small_weights, tmp_path / "half", viewer, samples=6, antithetic=False, precision="bfloat16")
    assert any("starting again in float32" in notice for notice in result.run["notices"])
    np.testing.assert_allclose(error_of(result), jackknifed(viewer, result, 6, [1] * 6), rtol=0.01)


def test_the_background_is_never_what_a_drawn_mask_means(gradient, small_ct, small_weights, tmp_path):
    drawn = gradient.segmentation()
    array = np.asarray(drawn.array)
    outside = array == 0
    mask = outside.copy()
    mask |= array == 2
    some = np.flatnonzero(array == 1)[:: max((array == 1).sum() // 40, 1)]
    mask.ravel()[some] = True
    counts = np.bincount(array[mask], minlength=5)
    assert counts[0] > counts[2] > counts[1] > 0, "the mask must lie mostly in the background for this test to mean anything"
    path = tmp_path / "mask.nrrd"
    write_volume(path, mask.astype(np.uint8), drawn.affine, compress=True)
    result = do(small_ct, small_weights, tmp_path / "r", method="gradient", target_mask=str(path), labels=())
    assert result.explained == ("heart",)
    write_volume(path, outside.astype(np.uint8), drawn.affine, compress=True)
    with pytest.raises(InputError, match="sees only background in the target mask"):
        do(small_ct, small_weights, tmp_path / "none", method="gradient", target_mask=str(path), labels=())


@pytest.mark.parametrize("explaining", [False, True])
def test_a_stop_is_heard_after_the_window_at_hand(explaining, small_ct, small_weights, tmp_path):
    monitor, after = Monitor(), []

    def seen(output):
        if torch.is_grad_enabled() == explaining:
            after.extend([1] if monitor.stopped else [])
            monitor.stop()

    with watching("UNet", seen), pytest.raises(Cancelled):
        do(small_ct, small_weights, tmp_path / "r", monitor, window_batch=1, samples=1, antithetic=False)
    assert not after
    assert not list(tmp_path.iterdir())
