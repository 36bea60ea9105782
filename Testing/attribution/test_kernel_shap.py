"""KernelSHAP against exact Shapley values, and what it costs."""

import itertools
import math

import numpy as np
import pytest
import torch

from Agg2ExpLib.attribution.methods import make_method
from Agg2ExpLib.attribution.stitched import Target
from Agg2ExpLib.attribution.supervoxels import cubes
from Agg2ExpLib.errors import Cancelled, InputError
from Agg2ExpLib.inference.sliding_window import WindowPlan
from Agg2ExpLib.monitor import Monitor
from support.scene import explain, make_scene, smooth_network, value

pytestmark = pytest.mark.usefixtures("one_thread")


def exact_shapley(scene, regions, baseline):
    """Shapley values by their definition: every coalition of every target, ``[regions, targets]``."""
    _, image, _, targets = scene
    count = int(regions.max()) + 1
    worth = {}
    for kept in itertools.product((False, True), repeat=count):
        stays = torch.from_numpy(np.array(kept)[regions])
        volume = torch.where(stays, image, baseline)[None, None]
        worth[kept] = np.array([float(value(scene, target, volume)) for target in targets])
    values = np.zeros((count, len(targets)))
    for player in range(count):
        for kept, before in worth.items():
            if kept[player]:
                continue
            size = sum(kept)
            weight = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
            values[player] += weight * (worth[(*kept[:player], True, *kept[player + 1 :])] - before)
    return values


def sums(maps, scene, regions):
    """Sum of each map in each supervoxel, ``[regions, targets]``."""
    return np.stack([np.bincount(regions.ravel(), maps[target.name].numpy().ravel()) for target in scene[3]], axis=1)


def linear_network():
    torch.manual_seed(5)
    return torch.nn.Conv3d(1, 5, 3, padding=1, bias=True).double().eval().requires_grad_(False)


@pytest.mark.parametrize("baseline", ["zero", "mean", "blurred"])
def test_a_linear_network_has_its_exact_shapley_values(baseline):
    from Agg2ExpLib.attribution.baselines import make_baseline

    scene = (linear_network(), *make_scene()[1:])
    method = make_method("kernel_shap", supervoxels="cubes", regions=8, coalitions=40, baseline=baseline, blur=2.0)
    maps = explain(scene, method)
    regions = cubes(scene[1].shape, 8)
    start = make_baseline(baseline, scene[1], -0.25, 2.0)
    expected = exact_shapley(scene, regions, start)
    np.testing.assert_allclose(sums(maps, scene, regions), expected, atol=2e-6 * abs(expected).max())
    for target in scene[3]:
        spread = [np.ptp(maps[target.name].numpy()[regions == number]) for number in range(8)]
        assert max(spread) == 0, "the voxels of a supervoxel differ"


def test_a_curved_network_comes_near_its_shapley_values_and_nearer_with_more_coalitions():
    scene = (smooth_network(), *make_scene()[1:])
    regions = cubes(scene[1].shape, 6)
    expected = exact_shapley(scene, regions, torch.zeros_like(scene[1]))
    errors = []
    for coalitions in (10, 3000):
        method = make_method("kernel_shap", supervoxels="cubes", regions=6, coalitions=coalitions)
        found = sums(explain(scene, method), scene, regions)
        errors.append(np.linalg.norm(found - expected) / np.linalg.norm(expected))
        # efficiency: the values add up to the change of the output
        np.testing.assert_allclose(found.sum(axis=0), expected.sum(axis=0), rtol=1e-4)
    assert errors[1] < 0.01
    assert errors[1] < errors[0]


def test_all_targets_come_from_the_same_passes_and_semantic_needs_few():
    network, image, plan, targets = make_scene()
    passed = []
    network.register_forward_pre_hook(lambda module, inputs: passed.append(len(inputs[0])))
    labels = np.zeros(image.shape, dtype=np.uint8)
    labels[:, 5:], labels[:, :, 7:] = 1, 4
    method = make_method("kernel_shap", coalitions=100)

    def cost(chosen):
        passed.clear()
        explain((network, image, plan, chosen), method, segmentation=labels)
        return sum(passed)

    both = cost(targets)
    assert both == cost(targets[:1])  # the first meets every window
    windows = len(plan.windows)
    assert both <= windows * 2**3, "three supervoxels can be kept in eight ways only"


def test_seed_and_scale():
    scene = make_scene()
    method = {"supervoxels": "cubes", "regions": 8, "coalitions": 12}
    first = explain(scene, make_method("kernel_shap", **method))
    again = explain(scene, make_method("kernel_shap", **method), batch=1)
    other = explain(scene, make_method("kernel_shap", seed=1, **method))
    scaled = explain(scene, make_method("kernel_shap", **method), scales={"one": 0.5})
    torch.testing.assert_close(first["one"], again["one"], rtol=1e-6, atol=1e-9)
    assert not torch.allclose(first["one"], other["one"])
    torch.testing.assert_close(scaled["one"], 0.5 * first["one"])
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    explain(scene, make_method("kernel_shap", **method))
    assert torch.equal(torch.rand(4), expected), "the user's random numbers were changed"


def test_one_supervoxel_takes_all():
    scene = (linear_network(), *make_scene()[1:])
    maps = explain(scene, make_method("kernel_shap"), segmentation=np.zeros(scene[1].shape, dtype=np.uint8))
    zero = torch.zeros_like(scene[1])
    for target in scene[3]:
        change = float(value(scene, target, scene[1][None, None]) - value(scene, target, zero[None, None]))
        assert float(maps[target.name].sum()) == pytest.approx(change, rel=1e-9)


def test_what_is_told():
    scene, monitor = make_scene(), Monitor()
    explain(scene, make_method("kernel_shap", supervoxels="cubes", regions=61, coalitions=5), monitor=monitor)
    assert any("the nearest to the 61 asked for" in notice for notice in monitor.notices)
    assert any("5 coalitions are too few" in notice for notice in monitor.notices)


def test_it_can_be_stopped():
    class Stopping(Monitor):
        def progress(self, stage, fraction, message="", eta_s=None):
            if fraction > 0.3:
                self.stop()

    with pytest.raises(Cancelled):
        explain(make_scene(), make_method("kernel_shap", supervoxels="cubes", regions=8), monitor=Stopping())


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"coalitions": 0}, "at least two coalitions"),
        ({"coalitions": "many"}, "a number or auto"),
        ({"regions": 1}, "At least 2 supervoxels"),
        ({"supervoxels": "octants"}, "Unknown supervoxels"),
        ({"blur": 0.0}, "blur"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_parameters_are_refused(parameters, words):
    with pytest.raises(InputError, match=words):
        make_method("kernel_shap", **parameters)


def test_the_papers_numbers():
    assert make_method("kernel_shap").samples == 200
    assert make_method("kernel_shap", supervoxels="slic").samples == 1000
    assert make_method("kernel_shap", supervoxels="cubes", coalitions=30).samples == 30


def test_slic_sees_the_ct_and_the_spacing_of_the_model_grid(small_weights, monkeypatch):
    from Agg2ExpLib.attribution import supervoxels
    from Agg2ExpLib.io.grid import Grid
    from Agg2ExpLib.models.model import load_model

    hu = np.linspace(-500, 1500, 24, dtype=np.float32).reshape(2, 3, 4)
    seen = []
    monkeypatch.setattr(supervoxels, "make_supervoxels", lambda *given: seen.append(given) or np.arange(24).reshape(2, 3, 4) % 8)
    method = make_method("kernel_shap", supervoxels="slic", regions=8)
    method.prepare(load_model(small_weights), Grid((2, 3, 4), np.diag([2.0, 3.0, 4.0, 1.0])), Monitor())
    network = make_scene()[0]
    plan = WindowPlan((2, 3, 4), (4, 4, 4))
    target = Target("one", 1, np.ones((2, 3, 4), dtype=bool))
    explain((network, torch.rand(2, 3, 4), plan, [target]), method, hu=hu)
    assert seen[0][1] is hu
    assert tuple(seen[0][5]) == (2.0, 3.0, 4.0)
