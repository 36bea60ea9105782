"""The limit from a few passes of a network against the map of many: what equation 7 would give if one could wait for ever."""

import numpy as np
import pytest
import torch

from Agg2ExpLib.roi_importance.groups import GroupMaps
from Agg2ExpLib.roi_importance.limit import group_sums, limit_row
from Agg2ExpLib.roi_importance.matrix import Regions

SHAPE = (14, 12, 13)
LABEL, MANY = 2, 480
NAMES = ("background", "lung", "heart", "bone", "vessel")


def steep_network():
    """A network whose gradient turns with small changes of a bright image, as trained ones do, and hardly of a dark one."""
    torch.manual_seed(3)
    network = torch.nn.Sequential(
        torch.nn.Conv3d(1, 6, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv3d(6, 6, 3, padding=1), torch.nn.Softplus(beta=20)
    )
    network.append(torch.nn.Conv3d(6, len(NAMES), 1)).append(torch.nn.InstanceNorm3d(len(NAMES)))
    for layer in (network[0], network[2]):
        layer.weight.data *= 3
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def passes():
    """Gradients of one label's logits at ``x + ε`` and ``x - ε`` for many ``ε``, ``[pairs, 2, x, y, z]``, and the regions."""
    network = steep_network()
    random = torch.Generator().manual_seed(5)
    image = torch.rand(SHAPE, generator=random)
    image[7:] *= 0.2
    with torch.no_grad():
        segmentation = network(image[None, None])[0].argmax(0)
    noise = 0.3 * torch.randn(MANY, *SHAPE, generator=random)
    mask = (segmentation == LABEL).float()
    found = []
    for part in noise.split(50):
        copies = torch.cat([image + part, image - part])[:, None].requires_grad_(True)
        (gradient,) = torch.autograd.grad((network(copies)[:, LABEL] * mask).sum(), copies)
        found.append(gradient[:, 0].unflatten(0, (2, -1)).transpose(0, 1).numpy())
    return np.concatenate(found), Regions(segmentation.numpy(), NAMES)


def limit_of(parts, regions):
    maps = GroupMaps()
    for part in parts:
        maps.add(part, 1)
    groups = [maps.map(number) for number in range(len(maps.maps))]
    return limit_row(group_sums(regions, groups, maps.samples), len(regions.names))


@pytest.mark.parametrize("scheme", ["pairs", "independent"])
def test_few_passes_tell_what_many_give(passes, scheme):
    """Sixteen passes a run, thirty runs: the limit is several times nearer than equation 7, and its interval holds."""
    gradients, regions = passes
    every = gradients.mean(axis=1) if scheme == "pairs" else gradients[:, 0]
    reference = limit_of([part.mean(axis=0) for part in np.split(every, 8)], regions)
    assert reference.error.max() < 0.004
    count = 8 if scheme == "pairs" else 16
    plain, ours, covered = [], [], []
    for run in range(30):
        parts = every[run * count : (run + 1) * count]
        row = limit_of(parts, regions)
        mass = regions.sums(parts.mean(axis=0)).mass
        plain.append(mass - reference.limit)
        ours.append(row.limit - reference.limit)
        covered.append(np.abs(row.limit - reference.limit) <= 1.96 * np.hypot(row.error, reference.error))
    assert np.abs(np.mean(ours, axis=0)).max() < 0.2 * np.abs(np.mean(plain, axis=0)).max()
    assert np.sqrt(np.mean(np.square(ours))) < np.sqrt(np.mean(np.square(plain)))
    assert 0.9 <= np.mean(covered) <= 0.995
