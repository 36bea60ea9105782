"""3D kernels are laid out for the CPU while a network works, and as they were afterwards."""

import pytest
import torch

from Agg2ExpLib.inference.compute import choose_compute, is_out_of_memory
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


def test_a_device_that_takes_a_part_of_the_weights_only_gives_them_back(monkeypatch):
    network = random_network().float().requires_grad_(True)
    tight = choose_compute("cpu", "float64")
    monkeypatch.setattr(network[3], "_apply", _full_after_its_own(network[3]))
    with pytest.raises(RuntimeError, match="out of memory"), at_work(network, tight):
        raise AssertionError("nothing is computed")
    assert {weight.dtype for weight in network.parameters()} == {torch.float32}
    assert all(weight.requires_grad for weight in network.parameters())


def _full_after_its_own(module):
    """A module's ``_apply`` that does its work and then finds the memory full, the first time."""
    usual, calls = module._apply, []

    def apply(function, *args):
        usual(function, *args)
        calls.append(function)
        if len(calls) == 1:
            raise RuntimeError("CUDA out of memory.")
        return module

    return apply


@pytest.mark.parametrize(
    ("message", "is_memory"),
    [
        ("CUDA error: out of memory", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`", True),
        ("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED", True),
        ("CUDA error: an illegal memory access was encountered", False),
    ],
)
def test_what_libraries_say_of_a_full_card(message, is_memory):
    assert is_out_of_memory(RuntimeError(message)) is is_memory
