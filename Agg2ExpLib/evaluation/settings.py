"""What an evaluation measures, with what, and where."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..attribution.method import check_seed
from ..errors import InputError
from ..inference.compute import check_window_batch
from .sensitivity import NOISES

METRICS = ("faithfulness", "sensitivity", "complexity")


@dataclass(frozen=True)
class Settings:
    """Settings of an evaluation; the defaults are the paper's (docs/method.md#measuring-methods).

    The noise of the sensitivity is uniform by default, although the paper's text says Gaussian: it gives a radius, which
    only bounded noise has (as in Yeh et al.'s definition), the published code draws it so, and Quantus does so.

    Attributes:
        weights: of the model.
        methods: see :func:`~.method_specs.parse_methods`.
        card: model card, when it does not lie beside the weights.
        folds, mirror: of an nnU-Net, see :class:`~Agg2ExpLib.models.variant.Variant`.
        labels: to explain; empty for all of the model.
        metrics: some of ``METRICS``; efficiency is always measured.
        runs: random subsets n of the faithfulness.
        subset_voxels: size m of a subset; 224² by default.
        copies: noisy copies of the sensitivity.
        radius: of their noise, relative to the model's intensity range (to 1 for the usual range of [0, 1]).
        noise: ``uniform`` in ±radius, or ``gaussian`` with standard deviation ``radius``.
        threshold: θ of the complexity.
        seed: of subsets, noise, and methods that are given none of their own.
        overlap, blend: of the sliding windows; None for those the model was made for, else 0.25 and ``constant``.
        device, precision, window_batch: see compute.py.

    Raises:
        InputError: a value that makes no sense.
    """

    weights: str
    methods: tuple[str, ...]
    card: str | None = None
    folds: str | None = None
    mirror: bool = False
    labels: tuple[str, ...] = ()
    metrics: tuple[str, ...] = METRICS
    runs: int = 100
    subset_voxels: int = 224 * 224
    copies: int = 3
    radius: float = 0.1
    noise: str = "uniform"
    threshold: float = 0.1
    seed: int = 0
    overlap: float | None = None
    blend: str | None = None
    device: str = "auto"
    precision: str = "auto"
    window_batch: int | str = "auto"

    def __post_init__(self) -> None:
        for name in self.metrics:
            if name not in METRICS:
                raise InputError(f"Unknown metric '{name}': choose from {', '.join(METRICS)}; efficiency is always measured.")
        if self.runs < 3:
            # Of two pairs of numbers the correlation is 1 or -1, whatever they are.
            raise InputError(f"A correlation needs at least three random subsets, not {self.runs}: set ⟨runs⟩ to 100, say.")
        if self.subset_voxels < 1:
            raise InputError(f"A random subset needs at least one voxel, not {self.subset_voxels}: correct ⟨subset_voxels⟩.")
        if self.copies < 1:
            raise InputError(f"The sensitivity needs at least one noisy copy, not {self.copies}: set ⟨copies⟩ to 3, say.")
        if not (self.radius > 0 and math.isfinite(self.radius)):
            raise InputError(f"The radius of the noise must be a positive number, not {self.radius:g}: set ⟨radius⟩ to 0.1, say.")
        if self.noise not in NOISES:
            raise InputError(f"Unknown noise '{self.noise}': choose one of {', '.join(NOISES)}.")
        if not 0 <= self.threshold < 1:
            raise InputError(
                f"The threshold must be at least 0 and less than 1, not {self.threshold:g}: set ⟨threshold⟩ to 0.1, say."
            )
        check_window_batch(self.window_batch)
        check_seed(self.seed)

    def fixed(self) -> dict[str, Any]:
        """What must stay the same in a folder from one run to the next, apart from model and device."""
        names = (
            "runs",
            "subset_voxels",
            "copies",
            "radius",
            "noise",
            "threshold",
            "seed",
            "overlap",
            "blend",
            "window_batch",
        )
        return {"metrics": sorted(set(self.metrics)), **{name: getattr(self, name) for name in names}}
