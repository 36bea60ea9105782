"""Three ways to the SmoothGrad maps of a stitched model, with the same weights, image, masks and number of noisy copies.

``ours``: the library. ``paper``: the scheme of the paper's scripts, written anew: one window a batch, every class's gradient,
asked for or not, maps on the CPU, float32, no division by the sum of window weights. ``captum``: ``NoiseTunnel(Saliency)`` over
``sliding_window_inference``, the whole scan's graph in memory, one class a run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from monai.inferers import sliding_window_inference

from Agg2ExpLib.attribution.methods import attribute, make_method
from Agg2ExpLib.attribution.stitched import StitchedGradient, Target
from Agg2ExpLib.inference.compute import BatchSize, Compute
from Agg2ExpLib.inference.sliding_window import WindowPlan
from Agg2ExpLib.monitor import Monitor, Stage

Maps = dict[str, torch.Tensor]


def ours(
    network: torch.nn.Module,
    image: torch.Tensor,
    targets: list[Target],
    plan: WindowPlan,
    compute: Compute,
    samples: int,
    sigma: float,
) -> Maps:
    """The library's maps."""
    monitor = Monitor()
    engine = StitchedGradient(network, plan, targets, compute, BatchSize(compute, monitor))
    return attribute(engine, image, make_method("smoothgrad", samples=samples, sigma=sigma), Stage(monitor, "explain", 0, 1))


def paper(
    network: torch.nn.Module,
    image: torch.Tensor,
    targets: list[Target],
    plan: WindowPlan,
    compute: Compute,
    samples: int,
    sigma: float,
) -> Maps:
    """The paper's scheme; its 17 classes are the network's channels, of which those in ``targets`` are returned."""
    channels = network(torch.zeros(1, 1, *plan.roi_size, device=compute.device)).shape[1]
    masks = {target.channel: torch.from_numpy(target.mask).float() for target in targets}
    maps = {channel: torch.zeros(tuple(image.shape)) for channel in range(channels)}
    scale = sigma * float(image.max() - image.min())
    nothing = torch.zeros(tuple(image.shape))
    for _ in range(samples):
        noisy = image + scale * torch.randn(tuple(image.shape))
        for window in plan.windows:
            crop = noisy[window][None, None].to(compute.device).requires_grad_(True)
            logits = network(crop)[0]
            for channel in range(channels):
                mask = masks.get(channel, nothing)[window].to(compute.device)
                (gradient,) = torch.autograd.grad((logits[channel] * mask).sum(), crop, retain_graph=channel < channels - 1)
                maps[channel][window] += gradient[0, 0].cpu() / samples
    return {target.name: maps[target.channel] for target in targets}


def captum(
    network: torch.nn.Module,
    image: torch.Tensor,
    targets: list[Target],
    plan: WindowPlan,
    compute: Compute,
    samples: int,
    sigma: float,
) -> Maps:
    """captum over the stitched output, one class a run, one noisy copy at a time."""
    from captum.attr import NoiseTunnel, Saliency

    maps = {}
    for target in targets:
        mask = torch.from_numpy(target.mask).to(compute.device)

        def summed(volume: torch.Tensor, target: Target = target, mask: torch.Tensor = mask) -> torch.Tensor:
            logits = sliding_window_inference(volume, plan.roi_size, 1, network, overlap=plan.overlap, mode=plan.blend)
            assert isinstance(logits, torch.Tensor)
            return (logits[:, target.channel] * mask).sum(dim=(1, 2, 3))

        tunnel = NoiseTunnel(Saliency(summed))
        volume = image[None, None].to(compute.device).requires_grad_(True)
        scale = sigma * float(image.max() - image.min())
        result = tunnel.attribute(
            volume, nt_type="smoothgrad", nt_samples=samples, nt_samples_batch_size=1, stdevs=scale, abs=False
        )
        maps[target.name] = result[0, 0].detach().cpu()
    return maps


SCHEMES: dict[str, Callable[..., Maps]] = {"ours": ours, "paper": paper, "captum": captum}


def make_case(shape: Sequence[int], count: int, spacing: float | None = None) -> tuple[torch.Tensor, list[Target]]:
    """A synthetic thorax squeezed onto a grid of ``shape``: scaled image and the true masks of its first ``count`` labels.

    Args:
        shape: of the grid.
        count: of labels, up to 17.
        spacing: mm of the thorax before it is squeezed; coarse ones are made sooner.
    """
    from scipy.ndimage import zoom

    from Agg2ExpLib.io.ct_values import scale_intensity
    from Agg2ExpLib.synthetic.phantom import make_phantom

    # Squeezed onto so few voxels, a coarse one is as good, with a 64th of the voxels to make.
    spacing = spacing or (8.0 if np.prod(shape) < 30_000 else 2.0)
    phantom = make_phantom(0, (spacing,) * 3)
    factors = [new / old for new, old in zip(shape, phantom.ct.shape, strict=True)]
    hu = zoom(phantom.ct.astype(np.float32), factors, order=1)
    labels = zoom(phantom.labels, factors, order=0)
    image = torch.from_numpy(scale_intensity(hu, (-1024, 1024), (0.0, 1.0)))
    order = [1, 8, 7, 11, 0, *(c for c in range(17) if c not in (0, 1, 7, 8, 11))]
    return image, [Target(f"channel_{c}", c, labels == c) for c in order[:count]]
