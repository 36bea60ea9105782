"""The two loops of the gradient methods: gradients summed over copies in the engine, or collected one copy at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from .method import Estimate, Request

if TYPE_CHECKING:
    import torch

    from .stitched import StitchedGradient


def mean_of_gradients(
    request: Request,
    groups: list[Sequence[int]],
    copy: Callable[[int], torch.Tensor],
    weight: Callable[[int], float] | None = None,
    finish: Callable[[torch.Tensor], torch.Tensor] = lambda mean: mean,
) -> dict[str, torch.Tensor]:
    """``finish(Σ_s w_s · ∂f̂_c/∂x (x_s) / Σ_s w_s)`` of every target; the copies of a window share a batch.

    Args:
        request: what is explained.
        groups: numbers of the copies that are computed together.
        copy: the copy ``x_s``, ``[x, y, z]``.
        weight: ``w_s``; without it all are 1.
        finish: turns a mean gradient ``[x, y, z]``, on the device of the buffers, into a map.
    """
    engine, inside = request.engine, request.engine.plan.inside
    totals = engine.new_buffers()
    names = tuple(totals)
    sums = engine.new_buffers() if len(groups) > 1 else totals
    samples = sum(len(group) for group in groups)
    course = _Course(engine, names, samples)
    done = 0
    shares = dict.fromkeys(names, 0.0)
    for group in groups:
        active = course.active(done)
        if not active:
            break
        weights = [weight(sample) for sample in group] if weight else None
        copies = [copy(sample) for sample in group]
        engine.add(copies, sums, request.stage, *course.step(done, len(group)), weights, active)
        del copies
        done += len(group)
        part = sum(weights) if weights else len(group)
        for name in active:
            sums[name] *= request.scale(name)
            if len(groups) > 1:
                totals[name] += sums[name]
            shares[name] += part

        def so_far(name: str) -> torch.Tensor:
            return finish(totals[name][inside] / shares[name])

        def of_group(name: str, part: float = part) -> torch.Tensor:
            return finish(sums[name][inside] / part)

        course.needed.update(request.on_estimate(Estimate(done, active, len(group), so_far, of_group)) or {})
        if len(groups) > 1:
            for name in active:
                sums[name].zero_()
    return {name: finish(totals.pop(name)[inside].div_(shares[name])).cpu() for name in names}


class _Course:
    """How far a run has come whose end moves: each target has a number of samples that it is expected to need.

    Args:
        engine: tells what samples cost.
        names: of the targets.
        samples: the most.
    """

    def __init__(self, engine: StitchedGradient, names: tuple[str, ...], samples: int):
        self._engine, self._samples = engine, samples
        self._at = 0.0
        self._costs: dict[tuple[str, ...], int] = {}
        self.needed: dict[str, float] = dict.fromkeys(names, samples)

    def active(self, done: int) -> tuple[str, ...]:
        """The targets that need more than so many samples."""
        return tuple(name for name, needed in self.needed.items() if needed > done)

    def step(self, done: int, size: int) -> tuple[float, float]:
        """From where to where on the scale 0..1 the next samples lead: never back, to 1 with the last."""
        begin, left = self._at, self._cost_after(done)
        now = self._cost(self.active(done)) * size
        self._at += (1 - begin) * min(now / left, 1.0)
        return begin, self._at

    def _cost_after(self, done: int) -> float:
        """Passes from here to where every target has what it needs."""
        cost, at = 0.0, float(done)
        for needed in sorted({min(value, self._samples) for value in self.needed.values()}):
            if needed > at:
                cost += (needed - at) * self._cost(self.active(int(at)))
                at = needed
        return max(cost, 1.0)

    def _cost(self, names: tuple[str, ...]) -> int:
        if names not in self._costs:
            self._costs[names] = self._engine.cost_of(names)
        return self._costs[names]


class Collector(Protocol):
    """A statistic of maps that is fed one map at a time."""

    def add(self, values: torch.Tensor) -> None:
        """Take in a map ``[x, y, z]``, which the collector may keep and change."""

    def merge(self, other: Collector) -> None:
        """Take in everything that another collector of the same kind holds."""

    def value(self) -> torch.Tensor:
        """The statistic ``[x, y, z]``."""


class Mean:
    """The mean of maps."""

    def __init__(self) -> None:
        self.count = 0
        self.total: torch.Tensor | None = None

    def add(self, values: torch.Tensor) -> None:
        """Take in one map."""
        self.total = values if self.total is None else self.total.add_(values)
        self.count += 1

    def merge(self, other: Collector) -> None:
        """Take in another mean's maps."""
        assert isinstance(other, Mean)
        assert other.total is not None
        self.total = other.total.clone() if self.total is None else self.total.add_(other.total)
        self.count += other.count

    def value(self) -> torch.Tensor:
        """The mean."""
        assert self.total is not None
        return self.total / self.count


class Variance:
    """The unbiased variance of maps, by Welford's update and Chan's merging: exact where the mean is large beside the spread."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: torch.Tensor | None = None
        self.squares: torch.Tensor | None = None  # sum of squared deviations from the mean

    def add(self, values: torch.Tensor) -> None:
        """Take in one map."""
        self.count += 1
        if self.mean is None or self.squares is None:
            self.mean, self.squares = values, values.new_zeros(values.shape)
            return
        before = values - self.mean
        self.mean.add_(before, alpha=1 / self.count)
        self.squares.addcmul_(before, values - self.mean)

    def merge(self, other: Collector) -> None:
        """Take in another variance's maps."""
        assert isinstance(other, Variance)
        assert other.mean is not None
        assert other.squares is not None
        if self.mean is None or self.squares is None:
            self.count, self.mean, self.squares = other.count, other.mean.clone(), other.squares.clone()
            return
        count = self.count + other.count
        apart = other.mean - self.mean
        self.squares.add_(other.squares).addcmul_(apart, apart, value=self.count * other.count / count)
        self.mean.add_(apart, alpha=other.count / count)
        self.count = count

    def value(self) -> torch.Tensor:
        """The variance; zero for a single map."""
        assert self.squares is not None
        return self.squares / max(self.count - 1, 1)


def collect_gradients(
    request: Request,
    groups: list[Sequence[int]],
    copy: Callable[[int], torch.Tensor],
    contribution: Callable[[torch.Tensor, int], torch.Tensor],
    statistic: Callable[[], Collector] = Mean,
) -> dict[str, torch.Tensor]:
    """A statistic over copies of what each copy's gradient contributes, for methods that are not linear in the gradients.

    Args:
        request: what is explained.
        groups: numbers of the copies between two estimates.
        copy: the copy ``x_s``, ``[x, y, z]``.
        contribution: a new map ``[x, y, z]`` from the gradient ``[x, y, z]`` at copy ``s``, on the device of the buffers.
        statistic: makes an empty collector.
    """
    engine, inside = request.engine, request.engine.plan.inside
    gradients = engine.new_buffers()
    names = tuple(gradients)
    totals = {name: statistic() for name in names}
    samples = sum(len(group) for group in groups)
    done = 0
    for group in groups:
        parts = {name: statistic() for name in names}
        for sample in group:
            engine.add([copy(sample)], gradients, request.stage, done / samples, (done + 1) / samples)
            done += 1
            for name in names:
                parts[name].add(contribution(gradients[name][inside] * request.scale(name), sample))
                gradients[name].zero_()
        for name in names:
            totals[name].merge(parts[name])

        def of_group(name: str, parts: dict[str, Collector] = parts) -> torch.Tensor:
            return parts[name].value()

        request.on_estimate(Estimate(done, names, len(group), lambda name: totals[name].value(), of_group))
    return {name: totals.pop(name).value().cpu() for name in names}
