"""The registry of attribution methods and the loop that runs any of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..errors import InputError
from ..monitor import Stage
from ..sliding_window import Window
from .gradient import Gradient
from .smoothgrad import SmoothGrad
from .stitched import StitchedGradient

if TYPE_CHECKING:
    import numpy as np
    import torch


class Method(Protocol):
    """An attribution that is a mean of gradients at copies of the image.

    Attributes:
        name: on the command line.
        summary: one sentence on when to use it.
        samples: number of copies.
        random: whether the copies are drawn at random, so that the result has a Monte-Carlo error.
    """

    name: str
    summary: str
    samples: int
    random: bool

    def groups(self) -> list[Sequence[int]]:
        """Samples that are computed together; a preliminary map exists after each group."""
        ...

    def copy(self, image: torch.Tensor, sample: int) -> torch.Tensor:
        """The perturbed copy ``[x, y, z]`` number ``sample``."""
        ...


METHODS: dict[str, Callable[..., Method]] = {"smoothgrad": SmoothGrad, "gradient": Gradient}


def make_method(name: str, samples: int = 20, sigma: float = 0.1, seed: int = 0) -> Method:
    """The method of that name with its parameters; those a method does not have are ignored.

    Raises:
        InputError: unknown name or bad parameter.
    """
    if name == "gradient":
        return Gradient()
    if name == "smoothgrad":
        return SmoothGrad(samples, sigma, seed)
    raise InputError(f"Unknown attribution method '{name}': choose one of {', '.join(METHODS)}.")


@dataclass(frozen=True)
class Estimate:
    """Where the attribution stands after a group of samples; maps are made one at a time, when asked for, and only until the next
    group begins, whose sums take the place of these.

    Attributes:
        samples: copies taken so far.
        names: the targets.
        group_samples: copies in the last group.
    """

    samples: int
    names: tuple[str, ...]
    group_samples: int
    _total: dict[str, torch.Tensor]
    _group: dict[str, torch.Tensor]
    _inside: Window

    def mean(self, name: str) -> np.ndarray:
        """The attribution so far: mean over all copies taken, ``[x, y, z]``."""
        return (self._total[name][self._inside] / self.samples).cpu().numpy()

    def group_mean(self, name: str) -> np.ndarray:
        """Mean over the copies of the last group alone, ``[x, y, z]``."""
        return (self._group[name][self._inside] / self.group_samples).cpu().numpy()


def attribute(
    engine: StitchedGradient,
    image: torch.Tensor,
    method: Method,
    stage: Stage,
    scales: dict[str, float] | None = None,
    on_estimate: Callable[[Estimate], None] = lambda estimate: None,
) -> dict[str, torch.Tensor]:
    """Attribution maps of all targets of ``engine`` in one go.

    Args:
        engine: gradient of the stitched output.
        image: model-grid image ``[x, y, z]``.
        method: which copies of the image are taken.
        stage: is told the progress.
        scales: factor per target, 1 where missing (``1 / |ŷ_c|`` for the ``mean`` target of METHOD section 1).
        on_estimate: is given the estimate after each group of samples.

    Returns:
        Signed map per target, ``[x, y, z]`` on the CPU, in the compute's dtype.
    """
    totals = engine.new_buffers()
    groups = method.groups()
    names = tuple(totals)
    sums = engine.new_buffers() if len(groups) > 1 else totals
    inside, done = engine.plan.inside, 0
    for group in groups:
        copies = [method.copy(image, sample) for sample in group]
        engine.add(copies, sums, stage, done / method.samples, (done + len(group)) / method.samples)
        del copies
        for name in names:
            sums[name] *= (scales or {}).get(name, 1.0)
            if len(groups) > 1:
                totals[name] += sums[name]
        done += len(group)
        on_estimate(Estimate(done, names, len(group), totals, sums, inside))
        if len(groups) > 1:
            for name in names:
                sums[name].zero_()
    return {name: totals.pop(name)[inside].div_(done).cpu() for name in names}
