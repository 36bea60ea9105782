"""Leaving out the windows with the least of a label's weight: exact over those that stay, and nothing is left out at 1."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from Agg2ExpLib.attribution.keep import kept_windows
from Agg2ExpLib.attribution.methods import attribute, make_method
from Agg2ExpLib.attribution.stitched import StitchedGradient, Target
from Agg2ExpLib.errors import InputError
from Agg2ExpLib.inference.compute import BatchSize
from Agg2ExpLib.inference.sliding_window import WindowPlan
from Agg2ExpLib.monitor import Monitor, Stage
from support.networks import random_network
from support.scene import CPU64


def scene(seed, blend, overlap):
    rng = np.random.default_rng(seed)
    network = random_network(seed=seed)
    image = torch.from_numpy(rng.random((22, 19, 26)))
    plan = WindowPlan(image.shape, (12, 12, 12), overlap, blend)
    targets = []
    for channel in (1, 3):
        mask = np.zeros(tuple(image.shape), dtype=bool)
        low = [int(rng.integers(0, n - 6)) for n in mask.shape]
        mask[tuple(slice(start, start + int(rng.integers(2, 12))) for start in low)] = True
        targets.append(Target(f"label_{channel}", channel, mask))
    return network, image, plan, targets


def engine_of(network, plan, targets, keep):
    return StitchedGradient(network, plan, targets, CPU64, BatchSize(CPU64, Monitor(), 3), keep=keep)


def maps_of(engine, image):
    return attribute(engine, image, make_method("gradient"), Stage(Monitor(), "explain", 0, 1))


def cotangents(plan, target):
    """``ŷ · w / Σw`` of every window over the whole padded grid, from the definition."""
    total = plan.weight_sum(torch.float64)
    mask = plan.pad(torch.from_numpy(target.mask))
    return [mask[window] * plan.weight.double() / total[window] for window in plan.windows]


@settings(max_examples=4, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 50),
    blend=st.sampled_from(("constant", "gaussian")),
    overlap=st.sampled_from((0.25, 0.5)),
    keep=st.sampled_from((0.999, 0.95, 0.7, 0.2)),
)
def test_the_exact_sum_over_the_windows_that_stay(seed, blend, overlap, keep):
    network, image, plan, targets = scene(seed, blend, overlap)
    engine = engine_of(network, plan, targets, keep)
    maps = maps_of(engine, image)
    padded = plan.pad(image)
    for number, target in enumerate(targets):
        weights = [float(part.sum()) for part in cotangents(plan, target)]
        met = [index for index, weight in enumerate(weights) if weight > 0]
        stay = [plan.windows.index(window) for window, here in engine.visits if number in here]
        gone = [index for index in met if index not in stay]
        # The fewest windows: what is gone weighs no more than it may, and one more would.
        count, share = engine.left_out[target.name]
        assert count == len(gone)
        assert share == pytest.approx(sum(weights[index] for index in gone) / target.mask.sum(), abs=1e-12)
        assert share <= 1 - keep
        assert share + min(weights[index] for index in stay) / target.mask.sum() > 1 - keep or len(stay) == 1
        expected = torch.zeros_like(padded)
        for index in stay:
            window = plan.windows[index]
            part = padded[window][None, None].clone().requires_grad_(True)
            value = (network(part)[0, target.channel] * cotangents(plan, target)[index]).sum()
            expected[window] += torch.autograd.grad(value, part)[0][0, 0]
        ours = maps[target.name]
        assert torch.linalg.norm(ours - expected[plan.inside]) < 1e-9 * torch.linalg.norm(ours)


def test_nothing_is_left_out_at_1():
    network, image, plan, targets = scene(3, "gaussian", 0.5)
    whole = engine_of(network, plan, targets, 1.0)
    assert set(whole.left_out.values()) == {(0, 0.0)}
    for target, number in zip(targets, range(2), strict=True):
        met = [window for window in plan.windows if plan.pad(torch.from_numpy(target.mask))[window].any()]
        assert len([1 for _, here in whole.visits if number in here]) == len(met)
    fewer = engine_of(network, plan, targets, 0.9)
    assert fewer.cost < whole.cost
    exact, near = maps_of(whole, image), maps_of(fewer, image)
    for target in targets:
        error = torch.linalg.norm(near[target.name] - exact[target.name]) / torch.linalg.norm(exact[target.name])
        assert 0 < error < 0.5
    assert all(torch.equal(exact[name], again) for name, again in maps_of(engine_of(network, plan, targets, 1), image).items())


@pytest.mark.parametrize(
    ("weights", "keep", "stay", "share"),
    [
        ([4.0, 1.0, 5.0], 0.9, [0, 2], 0.1),
        ([4.0, 1.0, 5.0], 0.91, [0, 1, 2], 0.0),
        ([1.0, 1.0], 1e-9, [1], 0.5),
        ([1e-300, 1.0], 1, [0, 1], 0.0),
        ([2.0], 0.1, [0], 0.0),
        ([], 0.5, [], 0.0),
    ],
)
def test_the_fewest_windows(weights, keep, stay, share):
    assert kept_windows(weights, keep) == (stay, pytest.approx(share))


@pytest.mark.parametrize("keep", [0, -0.5, 1.01, float("nan"), float("inf")])
def test_no_share(keep):
    network, _, plan, targets = scene(1, "constant", 0.25)
    with pytest.raises(InputError, match="keep must be above 0 and at most 1"):
        engine_of(network, plan, targets, keep)
