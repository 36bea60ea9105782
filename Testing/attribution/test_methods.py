"""Every attribution method against its definition, by autograd over the whole volume at once, and against captum."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients as CaptumIntegratedGradients

from Agg2ExpLib.attribution.baselines import BASELINES, make_baseline
from Agg2ExpLib.attribution.integrated_gradients import RULES, path_points
from Agg2ExpLib.attribution.methods import METHODS, all_parameters, make_method
from Agg2ExpLib.attribution.stitched import StitchedGradient, Target
from Agg2ExpLib.errors import Cancelled, InputError
from Agg2ExpLib.inference.compute import BatchSize
from Agg2ExpLib.inference.sliding_window import WindowPlan
from Agg2ExpLib.monitor import Monitor
from support.networks import random_network
from support.scene import AIR, CPU64, SHAPE, close, explain, gradient_at, make_scene, picked, smooth_network, value

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def scene():
    return make_scene()


@pytest.mark.parametrize(("rule", "tolerance"), [("gauss-legendre", 1e-9), ("midpoint", 1e-3)])
@pytest.mark.parametrize("baseline", BASELINES)
def test_integrated_gradients_are_complete(baseline, rule, tolerance):
    scene = (smooth_network(), *make_scene()[1:])
    method = make_method("integrated_gradients", steps=10, baseline=baseline, rule=rule, blur=2.0, seed=5)
    maps = explain(scene, method)
    start = make_baseline(baseline, scene[1], AIR, 2.0, 5)
    for target in scene[3]:
        change = float(value(scene, target, scene[1][None, None]) - value(scene, target, start[None, None]))
        assert float(maps[target.name].sum()) == pytest.approx(change, rel=tolerance)


def test_shares_that_do_not_add_up_are_told_of(scene):
    """Instance norm makes the way from a constant image nearly singular: few steps cannot follow it."""
    monitor = Monitor()
    explain(scene, make_method("integrated_gradients", steps=3), monitor=monitor)
    assert len(monitor.notices) == 1
    assert "do not add up" in monitor.notices[0]
    smooth, quiet = (smooth_network(), *make_scene()[1:]), Monitor()
    explain(smooth, make_method("integrated_gradients", steps=3), monitor=quiet)
    assert not quiet.notices


def test_values_of_the_targets(scene):
    network, image, plan, targets = scene
    for batch in (1, 4):
        engine = StitchedGradient(network, plan, targets, CPU64, BatchSize(CPU64, Monitor(), batch), AIR)
        for target in targets:
            assert engine.values(image)[target.name] == pytest.approx(float(value(scene, target, image[None, None])), rel=1e-10)


@pytest.mark.parametrize(("rule", "theirs"), [("gauss-legendre", "gausslegendre"), ("midpoint", "riemann_middle"), ("right", None)])
def test_integrated_gradients_agree_with_captum(scene, rule, theirs):
    target = scene[3][0]
    maps = explain(scene, make_method("integrated_gradients", steps=6, rule=rule, baseline="mean"))
    image = scene[1]
    start = make_baseline("mean", image, AIR)
    points, weights = path_points(rule, 6)
    direct = sum(w * gradient_at(scene, target, start + a * (image - start)) for a, w in zip(points, weights, strict=True))
    close(maps[target.name], direct * (image - start))
    if theirs:
        captum = CaptumIntegratedGradients(lambda volume: value(scene, target, volume), multiply_by_inputs=True)
        expected = captum.attribute(image[None, None], start[None, None], n_steps=6, method=theirs)[0, 0]
        close(maps[target.name], expected, 1e-7)  # captum keeps the rule's weights in float32


def test_the_papers_rule():
    assert path_points("right", 4) == ([0.25, 0.5, 0.75, 1.0], [0.25] * 4)
    for rule in RULES:
        points, weights = path_points(rule, 7)
        assert sum(weights) == pytest.approx(1)
        assert all(0 < point <= 1 for point in points)


def test_rules_converge_to_the_same_map():
    scene = (smooth_network(), *make_scene()[1:])
    maps = {rule: explain(scene, make_method("integrated_gradients", steps=40, rule=rule))["one"] for rule in RULES}
    assert torch.linalg.norm(maps["midpoint"] - maps["gauss-legendre"]) < 0.02 * torch.linalg.norm(maps["midpoint"])
    assert torch.linalg.norm(maps["right"] - maps["midpoint"]) < 0.2 * torch.linalg.norm(maps["midpoint"])


@pytest.mark.parametrize("steps", [1, 3, 4, 7, 20, 33])
def test_groups_of_steps_hold_every_step_once(steps):
    groups = make_method("integrated_gradients", steps=steps).groups()
    assert sorted(step for group in groups for step in group) == list(range(steps))
    assert max(map(len, groups)) <= 4


def test_baselines(scene):
    image = scene[1]
    assert not make_baseline("zero", image, AIR).any()
    assert (make_baseline("air", image, AIR) == AIR).all()
    assert (make_baseline("mean", image, AIR) == image.mean()).all()
    assert float(make_baseline("blurred", image, AIR, 2.0).std()) < 0.2 * float(image.std())
    uniform = make_baseline("uniform", image, AIR, seed=1)
    assert torch.equal(uniform, make_baseline("uniform", image, AIR, seed=1))
    assert not torch.equal(uniform, make_baseline("uniform", image, AIR, seed=2))
    assert float(image.min()) <= float(uniform.min())
    assert float(uniform.max()) <= float(image.max())


def test_gradient_times_input(scene):
    maps = explain(scene, make_method("gradient_x_input"))
    for target in scene[3]:
        close(maps[target.name], gradient_at(scene, target, scene[1]) * scene[1])


def noisy_gradients(scene, target, method):
    return torch.stack([gradient_at(scene, target, method.copy(scene[1], sample)) for sample in range(method.samples)])


@pytest.mark.parametrize(("name", "samples"), [("smoothgrad_squared", 3), ("vargrad", 5), ("vargrad", 11), ("smoothgrad", 6)])
def test_noise_methods_by_their_definitions(scene, name, samples):
    method = picked(name, samples=samples, sigma=0.2, seed=3, antithetic=True)
    maps = explain(scene, method)
    for target in scene[3]:
        gradients = noisy_gradients(scene, target, method)
        statistics = {
            "smoothgrad_squared": lambda g: g.square().mean(0),
            "vargrad": lambda g: g.var(0),
            "smoothgrad": lambda g: g.mean(0),
        }
        close(maps[target.name], statistics[name](gradients))


@pytest.mark.parametrize(("name", "kind", "factor"), [("smoothgrad_squared", "smoothgrad_sq", 1.0), ("vargrad", "vargrad", 4 / 3)])
def test_squares_and_variances_agree_with_captum_for_the_same_noise(scene, name, kind, factor):
    """captum's statistics, fed with gradients at our copies: its variance divides by n, ours by n − 1."""
    from captum.attr import NoiseTunnel, Saliency

    method = make_method(name, samples=4, seed=1)
    target = scene[3][0]
    copies = iter([method.copy(scene[1], sample) for sample in range(4)])

    def at_next_copy(volume):
        return value(scene, target, volume - volume.detach() + next(copies)[None, None])

    tunnel = NoiseTunnel(Saliency(at_next_copy))
    options = {"nt_type": kind, "nt_samples": 4, "nt_samples_batch_size": 1, "stdevs": 0.1, "abs": False}
    theirs = tunnel.attribute(scene[1][None, None].clone().requires_grad_(True), **options)[0, 0]
    close(explain(scene, method)[target.name], factor * theirs)


def test_the_noise_of_a_pair_is_drawn_once(scene, monkeypatch):
    method = make_method("smoothgrad", samples=6, antithetic=True)
    drawn, noise = [], method.noise
    monkeypatch.setattr(method, "noise", lambda image, sample: drawn.append(sample) or noise(image, sample))
    explain(scene, method)
    assert drawn == [0, 1, 2]


def test_antithetic_noise_comes_in_pairs_that_no_group_splits():
    image = torch.rand(6, 7, 8, dtype=torch.float64)
    method = make_method("smoothgrad", samples=6, antithetic=True)
    torch.testing.assert_close(method.copy(image, 2) + method.copy(image, 3), 2 * image)
    assert not torch.equal(method.copy(image, 0), method.copy(image, 2))
    for samples in (2, 6, 10, 20, 34):
        groups = make_method("smoothgrad", samples=samples, antithetic=True).groups()
        assert all(len(group) % 2 == 0 for group in groups)
        assert sum(map(len, groups)) == samples


def test_antithetic_pairs_are_exact_for_a_quadratic_model():
    """The gradient of a quadratic model is linear, so that one pair gives the mean gradient without error."""

    class Quadratic(torch.nn.Module):
        def forward(self, x):
            return torch.cat([x, x**2], dim=1)

    _, image, plan, targets = make_scene()
    scene = (Quadratic().eval(), image, plan, [Target("one", 1, targets[0].mask)])
    maps = explain(scene, make_method("smoothgrad", samples=2, antithetic=True))
    close(maps["one"], 2 * image * torch.from_numpy(targets[0].mask))


def test_expected_gradients_by_their_definition(scene):
    method = make_method("expected_gradients", samples=7, seed=2)
    generator = torch.Generator().manual_seed(0)
    method.images = [torch.rand(SHAPE, generator=generator) for _ in range(3)]
    maps = explain(scene, method)
    drawn = [method.draw(sample) for sample in range(7)]
    assert len({number for number, _ in drawn}) > 1
    for target in scene[3]:
        expected = torch.zeros(SHAPE, dtype=torch.float64)
        for number, alpha in drawn:
            start = method.images[number].double()
            expected += gradient_at(scene, target, start + alpha * (scene[1] - start)) * (scene[1] - start) / 7
        close(maps[target.name], expected)


class _Squares(torch.nn.Module):
    """``x²`` as the only channel: the gradient at a point of the way tells which point it is."""

    def forward(self, x):
        return x**2


def places_taken(samples, seed):
    """Reference and ``α`` behind each copy, found from the map alone: ``e = 2 (x' + α (x − x')) (x − x')``."""
    generator = torch.Generator().manual_seed(3)
    image = torch.rand(4, 4, 4, generator=generator, dtype=torch.float64)
    everywhere = Target("all", 0, np.ones(image.shape, dtype=bool))
    scene = (_Squares().eval(), image, WindowPlan(image.shape, image.shape), [everywhere])
    method = make_method("expected_gradients", samples=samples, seed=seed)
    method.images = [torch.rand(4, 4, 4, generator=generator) + 2 * number for number in range(3)]
    groups = []
    explain(scene, method, on_estimate=lambda estimate: groups.append(estimate.group_mean("all")))
    assert len(groups) == samples, "one copy a group, for this test to see each"
    found = []
    for group in groups:
        ways = [image.numpy() - reference.double().numpy() for reference in method.images]
        starts = [image.numpy() - way for way in ways]
        alphas = [(group / (2 * way) - start) / way for way, start in zip(ways, starts, strict=True)]
        number = int(np.argmin([np.ptp(alpha) for alpha in alphas]))
        assert np.ptp(alphas[number]) < 1e-6
        found.append((number, float(alphas[number].mean())))
    return found


def test_places_on_the_way_are_uniform_and_references_take_turns():
    from scipy.stats import kstest

    found = [places_taken(9, seed) for seed in range(12)]
    for run in found:
        assert [[number for number, _ in run].count(reference) for reference in range(3)] == [3, 3, 3]
    assert len({run[0][0] for run in found}) > 1, "the order of the references depends on the seed"
    places = [alpha for run in found for _, alpha in run]
    assert len(set(np.round(places, 6))) == len(places)
    assert kstest(places, "uniform").pvalue > 0.01
    assert places_taken(9, 4) == found[4]


def test_expected_gradients_without_references(scene):
    with pytest.raises(InputError, match="references"):
        explain(scene, make_method("expected_gradients"))


@pytest.mark.parametrize(("name", "options"), [("integrated_gradients", {"steps": 7}), ("vargrad", {"samples": 7})])
def test_batch_estimates_and_scales(scene, name, options):
    method = make_method(name, **options)
    seen = []
    one = explain(scene, method, 1, on_estimate=lambda e: seen.append((e.samples, e.mean("two"), e.group_mean("two"))))
    assert seen[-1][0] == 7
    np.testing.assert_allclose(seen[-1][1], one["two"].numpy(), rtol=1e-12)
    assert all(np.isfinite(group).all() for _, _, group in seen)
    halved = explain(scene, method, 8, scales={"two": 0.5})
    close(halved["one"], one["one"])
    close(halved["two"], one["two"] * (0.25 if name == "vargrad" else 0.5))


@pytest.mark.parametrize("name", ["smoothgrad", "vargrad"])
def test_progress_is_told_in_equal_steps(scene, name):
    """Both loops: gradients summed in the engine, and collected one copy at a time; every window here costs the same."""

    class Listener(Monitor):
        def progress(self, stage, fraction, message="", eta_s=None):
            told.append(fraction)

    told = []
    network, image, plan, targets = scene
    explain((network, image, plan, targets[:1]), make_method(name, samples=6), batch=1, monitor=Listener())
    windows = len(told) // 6
    assert len(told) == 6 * windows > 6
    np.testing.assert_allclose(told, np.arange(1, len(told) + 1) / len(told), atol=1e-9)


@pytest.mark.parametrize("name", ["integrated_gradients", "smoothgrad_squared", "layer_cam"])
def test_a_stop_ends_every_kind_of_method(scene, name):
    monitor = Monitor()
    scene[0].register_forward_hook(lambda *_: monitor.stop())
    with pytest.raises(Cancelled):
        explain(scene, picked(name, layer="3"), monitor=monitor)


@pytest.mark.parametrize(
    ("name", "parameters", "word"),
    [
        ("integrated_gradients", {"steps": 0}, "steps"),
        ("integrated_gradients", {"rule": "simpson"}, "gauss-legendre"),
        ("integrated_gradients", {"baseline": "black"}, "blurred"),
        ("integrated_gradients", {"blur": 0.0}, "blur"),
        ("smoothgrad", {"tolerance": 0.0}, "above 0"),
        ("smoothgrad", {"tolerance": -1}, "above 0"),
        ("smoothgrad", {"tolerance": 0.5, "limit": False}, "leave out one"),
        ("vargrad", {"samples": 1}, "at least two"),
        ("expected_gradients", {"samples": 0}, "samples"),
        ("expected_gradients", {"seed": -1}, "seed"),
        ("layer_cam", {"cam": "scorecam"}, "gradcam"),
        ("integrated_gradient", {}, "did you mean 'integrated_gradients'"),
    ],
)
def test_bad_parameters(name, parameters, word):
    with pytest.raises(InputError, match=word) as caught:
        make_method(name, **parameters)
    assert str(caught.value).endswith((".", "?"))


def test_the_registry_has_words_for_people_and_one_meaning_a_parameter():
    everything = all_parameters()
    for name, method in METHODS.items():
        assert method.name == name
        assert method.title
        for sentence in (method.summary, method.when):
            assert sentence[0].isupper()
            assert sentence.endswith(".")
        for entry in method.parameters():
            assert entry.help
            assert entry == everything[entry.name], "one meaning and default, whatever the method"
        assert method().record().keys() == {entry.name for entry in method.parameters()}


def test_the_registry_is_read_without_anything_heavy():
    code = "import json, sys\nfrom Agg2ExpLib.attribution.methods import METHODS\n"
    code += "assert not {'torch', 'numpy', 'monai', 'scipy'} & set(sys.modules)\n"
    code += "print(json.dumps({n: [m.title, m.when, [p.name for p in m.parameters()]] for n, m in METHODS.items()}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == set(METHODS)


@pytest.mark.parametrize("name", ["gradient", "smoothgrad", "integrated_gradients", "vargrad", "layer_cam"])
def test_a_network_without_gradient_is_refused_and_kernel_shap_needs_none(name):
    class Steps(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = random_network(seed=4, width=4)

        def forward(self, x):
            return self.inner(x).detach().round(decimals=3)

    scene = (Steps().eval(), *make_scene()[1:])
    with pytest.raises(InputError, match=r"no gradient|does not depend"):
        explain(scene, picked(name, samples=2, steps=2, layer="inner.0"))
    maps = explain(scene, make_method("kernel_shap", supervoxels="cubes", regions=8, coalitions=20))
    assert all(bool(values.any()) for values in maps.values())
