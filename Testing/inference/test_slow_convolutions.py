"""Windows go in pairs on a CPU where torch would take its slow convolution for one, and the numbers stay the same."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from Agg2ExpLib.attribution.methods import attribute, make_method
from Agg2ExpLib.attribution.stitched import StitchedGradient, Target
from Agg2ExpLib.inference.compute import BatchSize, choose_compute
from Agg2ExpLib.inference.segmentation import segment
from Agg2ExpLib.inference.sliding_window import WindowPlan
from Agg2ExpLib.inference.slow_convolutions import convolution_watch
from Agg2ExpLib.inference.window_memory import WindowMemory
from Agg2ExpLib.monitor import Monitor, Stage
from support.networks import random_network

CPU = choose_compute("cpu", "float32")
pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch has one convolution here")


@pytest.mark.parametrize(
    ("layer", "shape", "count"),
    [
        (torch.nn.Conv3d(1, 8, 3), (16, 16, 16), 1),
        (torch.nn.Conv3d(1, 8, 3), (16, 16, 16), 2),
        (torch.nn.Conv3d(5, 2, 3), (64, 64, 4), 1),  # exactly 20480
        (torch.nn.Conv3d(5, 2, 3), (64, 65, 4), 1),
        (torch.nn.Conv3d(4, 4, 3, groups=2), (16, 16, 16), 1),
        (torch.nn.Conv3d(4, 4, 5), (16, 16, 16), 1),
        (torch.nn.Conv3d(4, 4, 1), (16, 16, 16), 1),
        (torch.nn.Conv3d(4, 4, 3).double(), (16, 16, 16), 2),
    ],
)
@pytest.mark.parametrize("mode", [torch.inference_mode, torch.enable_grad])
def test_told_as_torch_does(layer, shape, count, mode):
    image = torch.rand((count, layer.in_channels, *shape), dtype=layer.weight.dtype)
    with mode(), convolution_watch() as watch:
        layer(image)
    with mode(), profile(activities=[ProfilerActivity.CPU]) as told:
        layer(image)
    slow = any("slow_conv3d" in event.key for event in told.key_averages())
    assert watch.bytes > 0
    # In double precision there is no other way, for one window or two.
    assert watch.share == (1.0 if slow and image.dtype == torch.float32 else 0.0)


def test_operations_are_weighed():
    down, up = torch.nn.Conv3d(1, 8, 3, padding=1, stride=2), torch.nn.ConvTranspose3d(8, 4, 2, stride=2, groups=2)
    with convolution_watch() as watch, torch.no_grad():
        up(down(torch.rand(1, 1, 8, 8, 8)))
    slow, other = 8 * 4**3 * 27, 4 * 8**3 * 4  # the second makes each voxel of 4 channels from one of 4
    assert watch.share == pytest.approx(slow / (slow + other))


def test_pairs_by_itself_and_the_same_numbers():
    network = random_network(seed=2).float()
    image = torch.rand((20, 16, 24), generator=torch.Generator().manual_seed(1))
    plan = WindowPlan(image.shape, (16, 16, 16), 0.5)
    one, auto = BatchSize(CPU, Monitor(), 1), BatchSize(CPU, Monitor(), "auto")
    stage = Stage(Monitor(), "segment", 0, 1)
    drawn = [segment(network, image, plan, CPU, batch, stage).labels for batch in (one, auto)]
    assert (one.current, auto.current) == (1, 2)
    assert (drawn[0] != drawn[1]).mean() < 1e-3, "where two logits are the same but for rounding"

    target = Target("a", 1, drawn[0] == 1)
    maps = []
    for batch in (BatchSize(CPU, Monitor(), 1), BatchSize(CPU, Monitor(), "auto")):
        engine = StitchedGradient(network, plan, [target], CPU, batch)
        maps.append(attribute(engine, image, make_method("smoothgrad", samples=3), Stage(Monitor(), "explain", 0, 1))["a"])
    assert batch.current == 2
    assert torch.linalg.norm(maps[1] - maps[0]) < 1e-5 * torch.linalg.norm(maps[0])
    double = BatchSize(choose_compute("cpu", "float64"), Monitor(), "auto")
    segment(network.double(), image, plan, choose_compute("cpu", "float64"), double, stage)
    assert double.current == 1


def test_wide_networks_go_alone_and_the_memory_of_pairs_is_told():
    few = torch.nn.Sequential(torch.nn.Conv3d(1, 4, 3, padding=1), torch.nn.Conv3d(4, 2, 3, padding=1))
    many = torch.nn.Sequential(torch.nn.Conv3d(1, 48, 1), torch.nn.Conv3d(48, 48, 3, padding=1), torch.nn.Conv3d(48, 2, 1))
    for network, pairs in ((few, True), (many, False)):
        network.eval().requires_grad_(False)
        assert WindowMemory(network, (48, 48, 48), CPU, Monitor()).in_pairs is pairs
        batch = BatchSize(CPU, Monitor(), "auto")
        image = torch.rand((1, 1, 48, 48, 48))
        with torch.inference_mode():
            batch.choose(lambda: None)
            batch.attempt(lambda network=network, image=image: network(image))
        assert batch.current == (2 if pairs else 1)
