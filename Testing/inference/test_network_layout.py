"""3D kernels are laid out for the CPU while a network works, and as they were afterwards."""

import pytest
import torch

from Agg2ExpLib.inference.compute import choose_compute
from Agg2ExpLib.inference.network import at_work
from support.networks import random_network

CPU = choose_compute("cpu", "float32")


def test_channels_are_last_only_while_it_works():
    network = random_network().float()
    windows = torch.rand(2, 1, 12, 10, 11)
    before = network(windows)
    with at_work(network, CPU):
        assert network[3].weight.is_contiguous(memory_format=torch.channels_last_3d)
        assert not network[3].weight.is_contiguous()
        torch.testing.assert_close(network(windows), before, rtol=1e-4, atol=1e-4)
    assert network[3].weight.is_contiguous()
    torch.testing.assert_close(network(windows), before, rtol=0, atol=0)


def test_networks_with_flat_kernels_are_left_alone():
    network = random_network().float()
    network.append(torch.nn.Conv2d(1, 1, 3).eval().requires_grad_(False))
    with at_work(network, CPU):
        assert network[3].weight.is_contiguous()


def test_the_layout_is_put_back_after_an_error():
    network = random_network().float()
    with pytest.raises(RuntimeError, match="stop"), at_work(network, CPU):
        raise RuntimeError("stop")
    assert network[3].weight.is_contiguous()
