"""Attributions equal autograd through MONAI's sliding-window inference over the whole volume."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.inferers import sliding_window_inference

from Agg2ExpLib.attribution.methods import attribute, make_method
from Agg2ExpLib.attribution.stitched import StitchedGradient, Target
from Agg2ExpLib.errors import Cancelled, InputError, OutOfMemoryError
from Agg2ExpLib.inference.compute import BatchSize, Compute, choose_compute
from Agg2ExpLib.inference.sliding_window import WindowPlan
from Agg2ExpLib.monitor import Monitor, Stage
from support.networks import random_network
from support.scene import picked

CPU64 = choose_compute("cpu", "float64")


def explain(network, image, plan, targets, method, batch=1, compute=CPU64, monitor=None, **options):
    monitor = monitor or Monitor()
    engine = StitchedGradient(network, plan, targets, compute, BatchSize(compute, monitor, batch))
    return attribute(engine, image, method, Stage(monitor, "explain", 0, 1), **options)


def reference(network, image, plan, target, method):
    """The mean gradient over the method's copies, by autograd over the whole scan at once."""
    total = torch.zeros_like(image)
    for sample in range(method.samples):
        copy = method.copy(image, sample)[None, None].clone().requires_grad_(True)
        logits = sliding_window_inference(copy, plan.roi_size, 3, network, overlap=plan.overlap, mode=plan.blend)
        value = (logits[0, target.channel] * torch.from_numpy(target.mask)).sum()
        total += torch.autograd.grad(value, copy)[0][0, 0]
    return total / method.samples


def predicted_targets(network, image, plan, labels):
    with torch.no_grad():
        logits = sliding_window_inference(image[None, None], plan.roi_size, 3, network, overlap=plan.overlap, mode=plan.blend)
    segmentation = logits[0].argmax(0).numpy()
    return [Target(f"label_{c}", c, segmentation == c) for c in labels if (segmentation == c).any()]


def cases(most, windows):
    """Volumes of 9 voxels to so many along each side, seen through windows of these sides."""
    return given(
        shape=st.tuples(*[st.integers(9, most)] * 3),
        roi=st.tuples(*[st.sampled_from(windows)] * 3),
        overlap=st.sampled_from((0.0, 0.25, 0.5, 0.6)),
        blend=st.sampled_from(("constant", "gaussian")),
        batch=st.integers(1, 6),
        labels=st.sets(st.integers(0, 4), min_size=1),
        method=st.sampled_from((("gradient", 1), ("smoothgrad", 3))),
        seed=st.integers(0, 50),
    )


@settings(max_examples=6, deadline=None, derandomize=True)
@cases(16, (8, 12))
def test_exact(shape, roi, overlap, blend, batch, labels, method, seed):
    check_exact(shape, roi, overlap, blend, batch, labels, method, seed)


@pytest.mark.full
@settings(max_examples=100, deadline=None, derandomize=True)
@cases(24, (8, 12, 16))
def test_exact_in_many_cases(shape, roi, overlap, blend, batch, labels, method, seed):
    check_exact(shape, roi, overlap, blend, batch, labels, method, seed)


def check_exact(shape, roi, overlap, blend, batch, labels, method, seed):
    network = random_network(seed=seed)
    image = torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    plan = WindowPlan(shape, roi, overlap, blend)
    targets = predicted_targets(network, image, plan, labels)
    chosen = picked(method[0], samples=method[1], sigma=0.2, seed=seed)
    maps = explain(network, image, plan, targets, chosen, batch)
    assert set(maps) == {target.name for target in targets}
    for target in targets:
        expected = reference(network, image, plan, target, chosen)
        assert torch.linalg.norm(maps[target.name] - expected) < 1e-9 * torch.linalg.norm(expected)


@pytest.fixture
def scene():
    network = random_network(seed=4)
    image = torch.rand((22, 18, 24), dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    plan = WindowPlan(image.shape, (16, 16, 16), 0.25, "gaussian")
    return network, image, plan, predicted_targets(network, image, plan, range(5))


def test_drawn_mask_in_place_of_the_segment(scene):
    network, image, plan, _ = scene
    mask = np.zeros(tuple(image.shape), dtype=bool)
    mask[3:9, 10:14, 14:23] = True
    target = Target("blob", 2, mask)
    method = make_method("gradient")
    ours = explain(network, image, plan, [target], method)["blob"]
    expected = reference(network, image, plan, target, method)
    assert torch.linalg.norm(ours - expected) < 1e-9 * torch.linalg.norm(expected)


def test_the_papers_plain_sum_is_there_to_compare(scene):
    """Without ``w / Σw`` each window's own gradient is added (docs/method.md#where-the-published-code-differs)."""
    network, image, plan, targets = scene
    target = targets[0]
    engine = StitchedGradient(network, plan, [target], CPU64, BatchSize(CPU64, Monitor()), exact=False)
    ours = attribute(engine, image, make_method("gradient"), Stage(Monitor(), "explain", 0, 1))[target.name]
    expected = torch.zeros_like(image)
    for window in plan.windows:
        crop = image[window][None, None].clone().requires_grad_(True)
        value = (network(crop)[0, target.channel] * torch.from_numpy(target.mask[window])).sum()
        expected[window] += torch.autograd.grad(value, crop)[0][0, 0]
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-12)


def test_mean_target_is_the_sum_divided_by_the_voxels(scene):
    network, image, plan, targets = scene
    method = make_method("smoothgrad", samples=2)
    scales = {target.name: 1 / target.mask.sum() for target in targets}
    mean = explain(network, image, plan, targets, method, scales=scales)
    total = explain(network, image, plan, targets, method)
    for target in targets:
        torch.testing.assert_close(mean[target.name], total[target.name] * scales[target.name])


def test_windows_without_a_label_are_not_visited(scene):
    network, image, plan, _ = scene
    mask = np.zeros(tuple(image.shape), dtype=bool)
    mask[1, 1, 1] = True
    calls = []
    network.register_forward_hook(lambda module, inputs, output: calls.append(inputs[0].shape[0]))
    ours = explain(network, image, plan, [Target("corner", 1, mask)], make_method("smoothgrad", samples=20), batch=4)["corner"]
    assert calls == [2] * 10, "one pass per group of copies, in the only window that holds the voxel"
    assert ours[:16, :16, :16].abs().sum() > 0
    assert ours[16:].abs().sum() == 0


def test_one_forward_pass_serves_all_labels(scene):
    network, image, plan, targets = scene
    calls = []
    network.register_forward_hook(lambda *_: calls.append(1))
    explain(network, image, plan, targets, make_method("gradient"))
    assert len(targets) > 2
    assert len(calls) == len(plan.windows)


def test_same_maps_whatever_the_window_batch(scene):
    network, image, plan, targets = scene
    method = make_method("smoothgrad", samples=4, seed=11)
    one = explain(network, image, plan, targets, method, 1)
    for batch in (3, 16):  # copies of one window in parts; several windows together
        many = explain(network, image, plan, targets, method, batch)
        for name, expected in one.items():
            torch.testing.assert_close(many[name], expected, rtol=1e-11, atol=1e-13)


def test_noise_depends_on_seed_and_sample_alone():
    image = torch.rand(8, 9, 10)
    first = make_method("smoothgrad", seed=3).copy(image, 2)
    assert torch.equal(first, make_method("smoothgrad", seed=3, samples=50).copy(image, 2))
    assert not torch.equal(first, make_method("smoothgrad", seed=4).copy(image, 2))
    assert not torch.equal(first, make_method("smoothgrad", seed=3).copy(image, 1))


def test_noise_level_follows_the_range_of_the_image():
    image = torch.rand(40, 40, 40, dtype=torch.float64) * 7 - 2
    noise = make_method("smoothgrad", sigma=0.1).copy(image, 0) - image
    assert float(noise.std()) == pytest.approx(0.1 * float(image.max() - image.min()), rel=0.02)
    assert abs(float(noise.mean())) < 0.01


@pytest.mark.parametrize("samples", [1, 2, 4, 5, 7, 20, 23, 100])
def test_groups_hold_every_sample_once(samples):
    groups = make_method("smoothgrad", samples=samples, antithetic=False).groups()
    assert [sample for group in groups for sample in group] == list(range(samples))
    assert len({len(group) for group in groups[:-1]} | {len(groups[0])}) == 1
    assert 1 <= len(groups[-1]) <= len(groups[0]) <= 4
    assert len(groups) >= min(samples, 8)


def test_estimates_are_refined_to_the_result(scene):
    network, image, plan, targets = scene
    seen = []
    method = make_method("smoothgrad", samples=19, antithetic=False)
    name = targets[0].name
    maps = explain(
        network, image, plan, targets, method, on_estimate=lambda e: seen.append((e.samples, e.mean(name), e.group_mean(name)))
    )
    assert [samples for samples, _, _ in seen] == [*range(2, 19, 2), 19]
    np.testing.assert_allclose(seen[-1][1], maps[name].numpy())
    weighted = sum(group * size for (_, _, group), size in zip(seen, (*[2] * 9, 1), strict=True)) / 19
    np.testing.assert_allclose(weighted, maps[name].numpy())


def test_agrees_with_captum(scene):
    """captum's NoiseTunnel draws its own noise, so the plain gradient is compared: Saliency over the stitched output."""
    from captum.attr import Saliency

    network, image, plan, targets = scene
    target = targets[0]

    def summed(volume):
        logits = sliding_window_inference(volume, plan.roi_size, 2, network, overlap=plan.overlap, mode=plan.blend)
        return (logits[:, target.channel] * torch.from_numpy(target.mask)).sum(dim=(1, 2, 3))

    theirs = Saliency(summed).attribute(image[None, None].clone().requires_grad_(True), abs=False)[0, 0]
    ours = explain(network, image, plan, [target], make_method("gradient"))[target.name]
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_mixed_precision_stays_close(scene):
    network, image, plan, targets = scene
    exact = explain(network, image, plan, targets, make_method("gradient"))
    half = Compute(torch.device("cpu"), torch.float32, torch.bfloat16)
    rough = explain(network.float(), image, plan, targets, make_method("gradient"), compute=half)
    for name, expected in exact.items():
        assert torch.linalg.norm(rough[name] - expected) < 0.05 * torch.linalg.norm(expected)
        assert rough[name].dtype == torch.float32


class _SmallMemory(torch.nn.Module):
    """Refuses batches of more than ``most`` items as a full GPU would."""

    def __init__(self, network, most):
        super().__init__()
        self.network, self.most = network, most

    def forward(self, x):
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.network(x)


def test_out_of_memory_halves_the_batch_and_says_so(scene):
    network, image, plan, targets = scene
    monitor = Monitor()
    method = make_method("smoothgrad", samples=3)
    ours = explain(_SmallMemory(network, 2).eval(), image, plan, targets, method, 8, monitor=monitor)
    expected = explain(network, image, plan, targets, method)
    for name, value in expected.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-11, atol=1e-13)
    assert [notice.split()[-1] for notice in monitor.notices] == ["4.", "2."]


def test_too_little_memory_for_one_window(scene):
    network, image, plan, targets = scene
    with pytest.raises(OutOfMemoryError) as caught:
        explain(_SmallMemory(network, 0).eval(), image, plan, targets, make_method("gradient"))
    assert "⟨device⟩ cpu" in caught.value.hint


def test_a_stop_ends_it(scene):
    network, image, plan, targets = scene
    monitor = Monitor()
    network.register_forward_hook(lambda *_: monitor.stop())
    with pytest.raises(Cancelled):
        explain(network, image, plan, targets, make_method("smoothgrad"), monitor=monitor)


@pytest.mark.parametrize(
    ("name", "parameters", "word"),
    [
        ("smothgrad", {}, "smoothgrad"),
        ("smoothgrad", {"samples": 0}, "samples"),
        ("smoothgrad", {"sigma": 0.0}, "sigma"),
        ("smoothgrad", {"sigma": float("nan")}, "sigma"),
        ("smoothgrad", {"sigma": float("inf")}, "sigma"),
        ("smoothgrad", {"seed": -1}, "seed"),
    ],
)
def test_bad_parameters(name, parameters, word):
    with pytest.raises(InputError, match=word):
        make_method(name, **parameters)


@pytest.mark.parametrize(("device", "precision"), [("gpu", "auto"), ("cuda:99", "auto"), ("meta", "auto"), ("cpu", "float8")])
def test_bad_device(device, precision):
    with pytest.raises(InputError):
        choose_compute(device, precision)
