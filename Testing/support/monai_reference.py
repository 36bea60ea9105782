"""What MONAI itself makes of a CT: its transforms, its sliding windows, autograd over the whole volume; and the same by us."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from Agg2ExpLib.attribution.stitched import Target
from Agg2ExpLib.inference.compute import choose_compute
from Agg2ExpLib.inference.network import at_work
from Agg2ExpLib.io.read import read_ct
from Agg2ExpLib.io.volume import Volume
from Agg2ExpLib.models.model import Model
from Agg2ExpLib.monitor import Monitor, Stage
from Agg2ExpLib.runs.case import make_case
from support.geometry import make_grid, marker_place, paint, save_nifti

# Axes to the patient's posterior, superior and left, turned about all three: anisotropic, oblique, nothing of it RAS.
GRID = make_grid((22, 17, 26), (2.3, 4.1, 1.7), order=(1, 2, 0), signs=(-1, 1, -1), angles=(7.3, -12.1, 4.7))
PLACE = marker_place(GRID)


@dataclass(frozen=True, eq=False)
class Seen:
    """One way from a CT to labels and a gradient, in the patient.

    Attributes:
        image: what the network sees, in its own order of axes.
        affine: of that array.
        logits: ``[channel, ...]`` of the whole volume.
        labels: boolean ``[channel, ...]``: where each channel's label is.
        gradients: of every channel's logits summed over its label, by channel.
    """

    image: np.ndarray
    affine: np.ndarray
    logits: np.ndarray
    labels: np.ndarray
    gradients: np.ndarray


def write_ct(path: Path, seed: int = 3) -> Path:
    """A bright marker at :data:`PLACE` in air and soft noise, on :data:`GRID`."""
    noise = np.random.default_rng(seed).normal(0, 120, GRID.shape)
    array = np.clip(np.rint(paint(GRID, PLACE, 6.0) * 0.6 + 200 + noise), -1024, 1900).astype(np.int16)
    array[:3] = -1024  # air all along one side, so that there is something to crop
    return save_nifti(path, array, GRID.affine)


def by_monai(
    path: Path,
    prepare: Callable[[Any], Any],
    infer: Callable[..., Any],
    network: torch.nn.Module,
    sigmoid: bool = False,
    drop: int = 0,
) -> Seen:
    """MONAI's transforms on the file, its inferer over the whole volume, and autograd through all of it."""
    image = prepare({"image": str(path)})["image"]
    leaf = image.as_tensor().double().clone().requires_grad_(True)
    logits = infer(leaf[None], network)[0][drop:]
    masks = logits > 0 if sigmoid else torch.nn.functional.one_hot(logits.argmax(0), len(logits)).movedim(-1, 0).bool()
    gradients = []
    for channel, mask in enumerate(masks):
        (gradient,) = torch.autograd.grad(logits[channel][mask].sum(), leaf, retain_graph=True)
        gradients.append(gradient[0].numpy())
    return Seen(image.as_tensor()[0].numpy(), image.affine.numpy(), logits.detach().numpy(), masks.numpy(), np.stack(gradients))


def by_us(model: Model, ct: Volume | Path, infer: Callable[..., Any]) -> Seen:
    """The same by our engine; ``infer`` serves for the logits alone, of the image that our network sees."""
    volume = ct if isinstance(ct, Volume) else read_ct(ct)
    compute, monitor = choose_compute("cpu", "float64"), Monitor()
    stage = Stage(monitor, "segment", 0, 1)
    with at_work(model.network, compute):
        case = make_case(volume, model, compute, monitor, window_batch=3)
        turn, card = case.prepared.turn, model.card
        drawn = case.segment(stage)
        numbers = range(card.output == "sigmoid", len(card.labels))
        masks = [drawn.mask(number) for number in numbers]
        targets = [Target(str(at), at, mask) for at, mask in enumerate(masks) if mask.any()]
        engine = case.engine(targets)
        sums = engine.new_buffers()
        engine.add([case.image], sums, stage, 0, 1)
        zero = np.zeros(case.grid.shape)
        gradients = [sums[str(at)][case.plan.inside].numpy() if mask.any() else zero for at, mask in enumerate(masks)]
        own = torch.from_numpy(np.ascontiguousarray(turn.forth(case.prepared.image))).double()
        with torch.no_grad():
            logits = infer(own[None, None], model.network)[0].numpy()
    forth = np.stack([turn.forth(gradient) for gradient in gradients])
    affine = _affine_of(case.prepared)
    return Seen(own.numpy(), affine, logits, np.stack([turn.forth(mask) for mask in masks]), forth)


def _affine_of(prepared: Any) -> np.ndarray:
    """Of the array in the network's own order, from that of ours."""
    corner = np.zeros((4, 4))
    for axis, (ours, flip) in enumerate(zip(prepared.turn.order, prepared.turn.flips, strict=True)):
        corner[ours, axis] = -1 if flip else 1
        corner[ours, 3] = prepared.grid.shape[ours] - 1 if flip else 0
    corner[3, 3] = 1
    made: np.ndarray = prepared.grid.affine @ corner
    return made


def assert_same(ours: Seen, theirs: Seen, tolerance: float = 1e-5) -> None:
    """Image, place, logits to ``tolerance``, identical labels, gradients to ``tolerance`` of their largest value."""
    assert ours.image.shape == theirs.image.shape
    np.testing.assert_allclose(ours.affine, theirs.affine, rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours.image, theirs.image, rtol=0, atol=tolerance * max(1.0, float(np.abs(theirs.image).max())))
    np.testing.assert_allclose(ours.logits, theirs.logits, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    assert sum(mask.any() for mask in theirs.labels) >= 2, "too little is drawn to compare"
    np.testing.assert_allclose(ours.gradients, theirs.gradients, rtol=0, atol=tolerance * float(np.abs(theirs.gradients).max()))


def inferer(settings: Mapping[str, Any]) -> Callable[..., Any]:
    """MONAI's inferer of a bundle's configuration."""
    from monai.bundle import ConfigParser

    made: Callable[..., Any] = ConfigParser(dict(settings)).get_parsed_content()
    return made
