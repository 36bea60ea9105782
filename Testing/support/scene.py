"""A small float64 scene for attribution methods, and its gradients by autograd over the whole volume at once."""

from __future__ import annotations

import torch
from monai.inferers import sliding_window_inference

from Agg2ExpLib.attribution.methods import attribute
from Agg2ExpLib.attribution.spec import MethodSpec
from Agg2ExpLib.attribution.stitched import StitchedGradient, Target
from Agg2ExpLib.inference.compute import BatchSize, choose_compute
from Agg2ExpLib.inference.sliding_window import WindowPlan
from Agg2ExpLib.monitor import Monitor, Stage
from support.networks import random_network

CPU64 = choose_compute("cpu", "float64")
SHAPE = (13, 10, 12)
AIR = -0.25


def make_scene(networks_seed=4):
    generator = torch.Generator().manual_seed(9)
    image = torch.rand(SHAPE, dtype=torch.float64, generator=generator)
    masks = torch.rand(2, *SHAPE, generator=generator) < 0.3
    masks[1, 5:] = False
    targets = [Target("one", 1, masks[0].numpy()), Target("two", 3, masks[1].numpy())]
    return random_network(seed=networks_seed, width=4), image, WindowPlan(SHAPE, (8, 8, 8), 0.25, "gaussian"), targets


def explain(scene, method, batch=3, monitor=None, **options):
    network, image, plan, targets = scene
    monitor = monitor or Monitor()
    engine = StitchedGradient(network, plan, targets, CPU64, BatchSize(CPU64, monitor, batch), AIR)
    return attribute(engine, image, method, Stage(monitor, "explain", 0, 1), **options)


def picked(name, **entries):
    """The method with those of the entries that are parameters of it."""
    return MethodSpec.picked(name, entries).make()


def value(scene, target, volume):
    """``f̂_c`` of volumes ``[b, 1, x, y, z]``, ``[b]``."""
    network, _, plan, _ = scene
    logits = sliding_window_inference(volume, plan.roi_size, 3, network, overlap=plan.overlap, mode=plan.blend)
    assert isinstance(logits, torch.Tensor)
    return (logits[:, target.channel] * torch.from_numpy(target.mask)).sum(dim=(1, 2, 3))


def gradient_at(scene, target, volume):
    volume = volume[None, None].clone().requires_grad_(True)
    return torch.autograd.grad(value(scene, target, volume).sum(), volume)[0][0, 0]


def close(ours, expected, tolerance=1e-10):
    assert torch.linalg.norm(ours - expected) < tolerance * torch.linalg.norm(expected)


def smooth_network():
    """Without normalisation, which makes the way from a constant baseline nearly singular at its start."""
    torch.manual_seed(2)
    layers = [torch.nn.Conv3d(1, 4, 3, padding=1), torch.nn.Softplus(), torch.nn.Conv3d(4, 5, 3, padding=1), torch.nn.GELU()]
    return torch.nn.Sequential(*layers).double().eval().requires_grad_(False)
