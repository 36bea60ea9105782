"""Integrated gradients (equation 5 of the paper; Sundararajan et al. 2017, arXiv:1703.01365)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .baselines import BASELINES, check_blur, make_baseline
from .method import Method, Request, check_count, check_seed, parameter, summing_bytes
from .sums import mean_of_gradients

if TYPE_CHECKING:
    import torch

RULES = ("gauss-legendre", "midpoint", "right")
# Shares that miss the change of the output by more than this part of it are told of.
_LARGEST_GAP = 0.05
_LARGEST_GROUP = 4


def path_points(rule: str, steps: int) -> tuple[list[float], list[float]]:
    """Points ``α`` in [0, 1] and weights, which sum to 1, of a quadrature rule.

    ``gauss-legendre`` is exact for polynomials of degree ``2 · steps − 1``; ``midpoint`` takes ``(i − ½)/n`` and ``right`` the
    paper's ``i/n``, i = 1..n, with equal weights.
    """
    import numpy as np

    if rule == "gauss-legendre":
        points, weights = np.polynomial.legendre.leggauss(steps)
        return [float(value) for value in (points + 1) / 2], [float(value) for value in weights / 2]
    shift = 0.5 if rule == "midpoint" else 0.0
    return [(i - shift) / steps for i in range(1, steps + 1)], [1 / steps] * steps


@dataclass
class IntegratedGradients(Method):
    """``e_c = (x − x') ⊙ ∫₀¹ ∂f̂_c/∂x (x' + α (x − x')) dα`` by a quadrature rule.

    The map sums to ``f̂_c(x) − f̂_c(x')`` up to the rule's error (completeness); a notice tells when that error is large.

    Args:
        steps: points of the rule.
        rule: see :func:`path_points`.
        baseline: ``x'``, see :func:`~.baselines.make_baseline`.
        blur: of the baseline ``blurred``, in voxels.
        seed: of the baseline ``uniform``.

    Raises:
        InputError: a bad parameter.
    """

    name = "integrated_gradients"
    title = "Integrated gradients"
    summary = "Gradients along the way from a baseline to the CT: the voxels' shares sum to what the CT adds to the output."
    when = "When the shares must add up, or where the model is saturated and plain gradients vanish."

    steps: int = parameter(20, "points between baseline and image")
    rule: str = parameter("gauss-legendre", "how the integral is taken; right is the paper's", RULES)
    baseline: str = parameter("zero", "the image that stands for nothing; air is the lowest HU", BASELINES)
    blur: float = parameter(10.0, "standard deviation of the blurred baseline, in voxels")
    seed: int = parameter(0, "of the random numbers")

    def __post_init__(self) -> None:
        check_count(self.title, "steps", "step", self.steps)
        self._check_choices()
        check_blur(self.blur)
        check_seed(self.seed)

    @property
    def samples(self) -> int:
        """Copies of the image that the network sees."""
        return self.steps

    @property
    def random(self) -> bool:  # type: ignore[override]
        """Only a random baseline depends on the seed."""
        return self.baseline == "uniform"

    @property
    def spread_is_error(self) -> bool:
        """The groups are parts of one path, so the error of a random baseline cannot be told."""
        return False

    def groups(self) -> list[Sequence[int]]:
        """Steps that are computed together; each group runs along the whole path, so that early maps are not one-sided."""
        count = max(min(5, self.steps), math.ceil(self.steps / _LARGEST_GROUP))
        return [range(start, self.steps, count) for start in range(count)]

    def memory(self, labels: int) -> float:
        """Baseline, way and factor beside the copies of a group."""
        groups = self.groups()
        return summing_bytes(len(groups[0]), len(groups), labels, own=12)

    def explain(self, request: Request) -> dict[str, torch.Tensor]:
        """Signed maps, in logits."""
        engine, image = request.engine, request.image
        start = make_baseline(self.baseline, image, engine.air, self.blur, self.seed)
        way = image - start
        points, weights = path_points(self.rule, self.steps)
        factor = way.to(engine.buffer_device, engine.compute.dtype)
        maps = mean_of_gradients(
            request, self.groups(), lambda step: start + points[step] * way, lambda step: weights[step], factor.mul
        )
        self._tell_gap(request, maps, start)
        return maps

    def _tell_gap(self, request: Request, maps: dict[str, torch.Tensor], start: torch.Tensor) -> None:
        """Say when the maps do not add up to the change of the output: then the steps are too few for this model and baseline."""
        end, begin = request.engine.values(request.image), request.engine.values(start)
        gaps = {}
        for name, values in maps.items():
            change = (end[name] - begin[name]) * request.scale(name)
            if change:
                gaps[name] = abs(float(values.double().sum()) / change - 1)
        wrong = {name: gap for name, gap in gaps.items() if not gap <= _LARGEST_GAP}
        if wrong:
            worst = max(wrong, key=lambda name: wrong[name])
            request.stage.monitor.notice(
                f"The integrated gradients of {', '.join(wrong)} do not add up to the change of the output ({worst} is off by "
                f"{100 * wrong[worst]:.0f} %): raise ⟨steps⟩ or choose another ⟨baseline⟩, such as blurred."
            )
