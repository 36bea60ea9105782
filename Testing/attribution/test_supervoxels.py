"""Cutting the volume into supervoxels, and the outputs when voxels or supervoxels are removed."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.inferers import sliding_window_inference

from Agg2ExpLib.attribution.perturbed import PerturbedOutputs
from Agg2ExpLib.attribution.stitched import StitchedGradient, Target
from Agg2ExpLib.attribution.supervoxels import cubes, make_supervoxels, slic
from Agg2ExpLib.errors import InputError
from Agg2ExpLib.inference.compute import BatchSize, choose_compute
from Agg2ExpLib.inference.sliding_window import WindowPlan
from Agg2ExpLib.monitor import Monitor
from support.networks import random_network, small_chest

CPU64 = choose_compute("cpu", "float64")
AIR = -0.25

pytestmark = pytest.mark.usefixtures("one_thread")


@settings(max_examples=60, deadline=None)
@given(shape=st.tuples(*[st.integers(1, 24)] * 3), share=st.floats(0.01, 1))
def test_cubes_are_an_even_grid_with_numbers_of_their_own(shape, share):
    voxels = int(np.prod(shape))
    count = max(2, int(share * voxels))
    if count > voxels:
        return
    found = cubes(shape, count)
    assert found.shape == shape
    sizes = np.bincount(found.ravel())
    assert (sizes > 0).all(), "the numbers have gaps"
    for number in range(len(sizes)):
        place = np.argwhere(found == number)
        edges = place.max(axis=0) - place.min(axis=0) + 1
        assert np.prod(edges) == len(place), "not one box"
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        edges = np.diff(np.flatnonzero(np.diff(found, axis=axis, prepend=-1).any(axis=others)), append=shape[axis])
        assert edges.max() - edges.min() <= 1


@pytest.mark.parametrize("count", [8, 64, 512])
def test_the_number_of_cubes_is_the_one_asked_for(count):
    assert int(cubes((96, 96, 96), count).max()) + 1 == count
    assert int(cubes((91, 72, 84), count).max()) + 1 == count


def test_cubes_are_cubes_in_millimetres():
    found = cubes((60, 60, 20), 27, (1.0, 1.0, 3.0))
    assert [len(np.unique(found[line])) for line in (np.s_[:, 0, 0], np.s_[0, :, 0], np.s_[0, 0, :])] == [3, 3, 3]


def test_slic_follows_intensities_and_is_repeatable():
    image = small_chest((48, 40, 36)).astype(np.float32)
    found = slic(image, 100, 200.0)
    assert 50 <= int(found.max()) + 1 <= 150
    assert (np.bincount(found.ravel()) > 0).all()
    assert (slic(image, 100, 200.0) == found).all()

    def spread(regions):
        """Variance of the HU that the supervoxels leave."""
        sizes = np.bincount(regions.ravel())
        means = np.bincount(regions.ravel(), image.ravel()) / sizes
        return float(((image - means[regions]) ** 2).mean())

    assert spread(found) < 0.5 * spread(cubes(image.shape, int(found.max()) + 1))
    assert spread(slic(image, 100, 5000.0)) > spread(found), "more compactness leaves the intensities"
    # the axes are not exchanged: turning the image turns the supervoxels
    turned = slic(np.ascontiguousarray(image.transpose(1, 2, 0)), 100, 200.0)
    assert abs(spread_of(turned, image.transpose(1, 2, 0)) - spread(found)) < 0.2 * spread(found)


def test_slic_is_even_in_millimetres_along_the_right_axes():
    """On a constant image with thick slices along z the supervoxels are cubes in mm, so three times flatter in voxels."""
    found = slic(np.zeros((36, 48, 16), dtype=np.float32), 36 * 48 * 16 // (12 * 12 * 4), 100.0, (1.0, 1.0, 3.0))
    extents = [np.ptp(np.argwhere(found == number), axis=0) + 1 for number in range(int(found.max()) + 1)]
    x, y, z = np.median(extents, axis=0)
    assert (x, y, z) == (12, 12, 4)


def spread_of(regions, image):
    means = np.bincount(regions.ravel(), image.ravel()) / np.bincount(regions.ravel())
    return float(((image - means[regions]) ** 2).mean())


def test_semantic_supervoxels_are_the_labels_found():
    labels = np.array([0, 5, 5, 2]).reshape(4, 1, 1)
    assert make_supervoxels("semantic", np.zeros((4, 1, 1)), labels, 9, 1.0).ravel().tolist() == [0, 2, 2, 1]


@pytest.mark.parametrize(
    ("kind", "count", "compactness", "words"),
    [
        ("cubes", 28, 1.0, "more than the 27 voxels"),
        ("slic", 28, 1.0, "more than the 27 voxels"),
        ("cubes", 1, 1.0, "At least 2"),
        ("slic", 4, 0.0, "compactness must be a positive"),
        ("octants", 4, 1.0, "choose one of semantic, cubes, slic"),
        ("semantic", 4, 1.0, "no segmentation"),
    ],
)
def test_what_does_not_fit_is_refused(kind, count, compactness, words):
    with pytest.raises(InputError, match=words):
        make_supervoxels(kind, np.zeros((3, 3, 3)), None, count, compactness)


class Counting(torch.nn.Module):
    """Counts the windows that pass."""

    def __init__(self, network):
        super().__init__()
        self.network, self.windows = network, 0

    def forward(self, x):
        self.windows += len(x)
        return self.network(x)


def make_outputs(shape=(13, 10, 12), batch=3, baseline=None):
    generator = torch.Generator().manual_seed(9)
    image = torch.rand(shape, dtype=torch.float64, generator=generator)
    masks = torch.rand(2, *shape, generator=generator) < 0.3
    masks[1, 5:] = False
    targets = [Target("one", 1, masks[0].numpy()), Target("two", 3, masks[1].numpy())]
    network = Counting(random_network(seed=4, width=4)).eval()
    plan = WindowPlan(shape, (8, 8, 8), 0.25, "gaussian")
    engine = StitchedGradient(network, plan, targets, CPU64, BatchSize(CPU64, Monitor(), batch), AIR)
    return PerturbedOutputs(engine, image, baseline), engine, image


def direct(engine, image):
    """``f̂_c`` by MONAI over the whole volume."""
    plan = engine.plan
    volume = plan.pad(image, AIR)[None, None]
    logits = sliding_window_inference(volume, plan.roi_size, 2, engine.network.network, overlap=plan.overlap, mode=plan.blend)
    inside = logits[0][(slice(None), *plan.inside)]
    return [float((inside[target.channel] * torch.from_numpy(target.mask)).sum()) for target in engine.targets]


@pytest.mark.parametrize("shape", [(13, 10, 12), (6, 9, 8)])
def test_removed_voxels_agree_with_monai_over_the_whole_volume(shape):
    start = torch.full(shape, 0.3, dtype=torch.float64)
    outputs, engine, image = make_outputs(shape, baseline=start)
    np.testing.assert_allclose(outputs.clean, direct(engine, image), rtol=1e-10)
    rng = np.random.default_rng(0)
    removals = [rng.choice(image.numel(), size, replace=False) for size in (1, 40, 300)]
    found = outputs.without_voxels(removals)
    for removal, row in zip(removals, found, strict=True):
        changed = image.clone()
        changed.view(-1)[removal] = 0.3
        np.testing.assert_allclose(row, direct(engine, changed), rtol=1e-9)


@pytest.mark.parametrize("shape", [(13, 10, 12), (6, 9, 8)])
def test_removed_supervoxels_agree_with_monai_over_the_whole_volume(shape):
    outputs, engine, image = make_outputs(shape)
    regions = cubes(shape, 12)
    kept = np.random.default_rng(1).random((7, int(regions.max()) + 1)) < 0.6
    kept[0], kept[1] = True, False
    found = outputs.without_regions(regions, kept)
    for row, stays in zip(found, kept, strict=True):
        np.testing.assert_allclose(row, direct(engine, torch.where(torch.from_numpy(stays[regions]), image, 0.0)), rtol=1e-9)
    np.testing.assert_allclose(found[0], outputs.clean)


def test_windows_are_not_computed_without_need():
    outputs, engine, image = make_outputs()
    network, visits = engine.network, len(engine.visits)
    assert network.windows == visits
    corner = np.ravel_multi_index((0, 0, 0), image.shape)
    touched = sum(window[0].start == window[1].start == window[2].start == 0 for window, _ in engine.visits)
    assert 0 < touched < visits
    outputs.without_voxels([np.array([corner])])
    assert network.windows == visits + touched
    outputs.without_voxels([np.array([], dtype=np.int64)])
    assert network.windows == visits + touched

    regions = np.zeros(image.shape, dtype=np.int32)
    regions[0, 0, 0] = 1
    before = network.windows
    outputs.without_regions(regions, np.array([[True, False]] * 5 + [[True, True]]))
    assert network.windows == before + touched
    outputs.without_regions(regions, np.array([[True, False]]))
    assert network.windows == before + touched, "what is known is computed again"
    # other supervoxels of the same numbers are other supervoxels
    other = np.zeros(image.shape, dtype=np.int32)
    other[0, 0, :2] = 1
    outputs.without_regions(other, np.array([[True, False]]))
    assert network.windows == before + 2 * touched


def test_supervoxels_without_effect_are_known():
    _, engine, image = make_outputs()
    image[:3] = 0
    regions = np.zeros(image.shape, dtype=np.int32)
    regions[:3], regions[3:6] = 1, 2
    assert PerturbedOutputs(engine, image).effective_regions(regions).tolist() == [True, False, True]
    without_first = PerturbedOutputs(engine, image, torch.ones_like(image)).effective_regions(regions)
    assert without_first.tolist() == [True, True, True]
