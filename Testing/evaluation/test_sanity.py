"""Methods on networks with a known answer, and what shuffled weights do to their maps."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from Agg2ExpLib.attribution.methods import METHODS
from Agg2ExpLib.evaluation.ground_truth import NAMES, NETWORKS, make_image, make_network, run_benchmark, try_method
from Agg2ExpLib.evaluation.sanity import parameter_randomisation, shuffled_cascade, spearman
from support.networks import random_network

pytestmark = pytest.mark.usefixtures("one_thread")

# What each method is known to get wrong; everything else must pass.
FAILURES = {
    ("saturated", "gradient"),
    ("saturated", "gradient_x_input"),
    ("saturated", "layer_cam"),
    ("dormant", "smoothgrad"),
    ("dormant", "smoothgrad_squared"),
    ("dormant", "vargrad"),
    ("linear", "vargrad"),
    ("moved", "vargrad"),
    ("moved", "layer_cam"),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_networks_are_what_they_claim(kind):
    """Label a is predicted one step from b, and changes of c or the background do not touch its logits."""
    network, image = make_network(kind), make_image()
    logits = network(image[None, None])[0]
    labels = logits.argmax(0)
    assert set(labels.unique().tolist()) == set(range(len(NAMES)))
    torch.testing.assert_close(image[labels == 2], torch.full((int((labels == 2).sum()),), 0.9, dtype=torch.float64))
    assert torch.equal(labels == 1, torch.roll(labels == 2, -9, dims=2))
    for region, matters in (((labels == 2), True), ((labels == 3), False), ((labels == 0), False)):
        changed = image.clone()
        changed[region] -= 0.25 if matters else 0.04
        same = torch.equal(network(changed[None, None])[0, 1][labels == 1], logits[1][labels == 1])
        assert same != matters


def test_every_method_passes_or_is_known_to_fail():
    outcomes = run_benchmark(METHODS)
    assert len(outcomes) == len(METHODS) * len(NETWORKS)
    assert {(one.network, one.method) for one in outcomes if not one.passed} == FAILURES
    assert all(one.remark for one in outcomes if one.share is None)


def test_antithetic_noise_passes_too():
    assert try_method("curved", "smoothgrad", antithetic=True).share == pytest.approx(1)


def test_spearman():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(4, 5, 6)), rng.normal(size=(4, 5, 6)).round(1)
    assert spearman(one, other) == pytest.approx(spearmanr(np.abs(one).ravel(), np.abs(other).ravel()).statistic)
    assert spearman(one, -one) == pytest.approx(1)
    assert spearman(one, np.zeros_like(one)) is None


def test_layers_are_shuffled_from_output_to_input():
    network = random_network(width=3)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    shuffled = []
    for layer, changed in shuffled_cascade(network, seed=1):
        shuffled.append(layer)
        for name, tensor in changed.state_dict().items():
            torch.testing.assert_close(tensor.flatten().sort().values, before[name].flatten().sort().values)
            if tensor.numel() > 10:  # a few numbers may fall into their old order
                assert torch.equal(tensor, before[name]) == (name.split(".")[0] not in shuffled)
    assert shuffled == ["5", "3", "0"]
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_map_that_shows_the_image_alone_is_found_out():
    network = random_network(width=4)
    image = torch.rand(6, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def gradient(changed):
        volume = image[None, None].clone().requires_grad_(True)
        return torch.autograd.grad(changed(volume)[0, 1, 2:4].sum(), volume)[0][0, 0].numpy()

    honest = parameter_randomisation(network, gradient)
    assert [one.layer for one in honest] == ["5", "3", "0"]
    assert all(abs(one.correlation) < 0.9 for one in honest)
    edges = parameter_randomisation(network, lambda changed: np.abs(np.gradient(image.numpy(), axis=0)))
    assert all(one.correlation == pytest.approx(1) for one in edges)
