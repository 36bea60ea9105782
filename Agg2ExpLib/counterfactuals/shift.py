"""The latent shift ``x_λ = D(z + λ ∂f(D(z))/∂z)`` of one CT, ``z = E(x)`` slice by slice (arXiv:2502.07156, arXiv:2102.09475)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..monitor import Stage
from .canvas import Canvas
from .latents import Latents, share_of_change
from .outputs import Measured, Output
from .search import FIRST_CHANGE, Found, Tried, is_certain, search

if TYPE_CHECKING:
    import torch

_TRIALS = 6  # to find the length of the first step


@dataclass(frozen=True, eq=False)
class Frame:
    """One CT on the way.

    Attributes:
        amount: λ; 0 is what comes back of the CT itself.
        hu: HU ``[x, y, z]``, float.
        measured: what the model says of it.
        change: ``Σ|x_λ − x_0| / Σ|x_0|`` of the intensities.
    """

    amount: float
    hu: np.ndarray
    measured: Measured
    change: float


class Shift:
    """A CT that can be moved along the gradient of an output.

    Args:
        canvas: where the CT lies; the network of its case is at work.
        latents: of the CT there.
        output: f.
        low: HU that are intensity 0 of the autoencoder.
        chosen: slices whose latents may change.
        stage: is told progress.
        smooth: standard deviation in slices of a Gaussian across them, through which the direction goes; 0 for none.

    Attributes:
        start: ``x_0 = D(E(x))``.
        before: f there.
        scale: length of the gradient's multiple that λ = 1 stands for, so that ``λ · scale`` is the λ of the paper.

    Raises:
        InputError: the output does not depend on the CT, or not on the chosen slices.
    """

    def __init__(
        self, canvas: Canvas, latents: Latents, output: Output, low: float, chosen: slice, stage: Stage, smooth: float = 0.0
    ):
        self._canvas, self._latents, self._output, self._low = canvas, latents, output, low
        self._first = latents.decode(latents.start)
        self.before, gradient = output.gradient(canvas.image(self._first), stage)
        by_hu = canvas.pull_back(self._first, gradient)
        self._direction = across_slices(latents.pull_back(latents.start, by_hu, chosen), chosen, smooth)
        self.scale = self._scale()
        self._known: dict[float, Tried] = {}
        self.start = Frame(0.0, self._first, self.before, 0.0)

    def _scale(self) -> float:
        """The multiple of the gradient that changes the CT by :data:`FIRST_CHANGE`, found by secant steps."""
        largest = float(self._direction.abs().max())
        if not np.isfinite(largest):
            raise InputError("The gradient of the output is not finite: choose ⟨precision⟩ float32.")
        if largest == 0:
            raise InputError(
                "The model's output does not depend on the CT here, so nothing would change it: choose another label, class or "
                "⟨slices⟩."
            )
        scale = 1e-3 * float(self._latents.start.abs().mean()) / float(self._direction.abs().mean())
        for _ in range(_TRIALS):
            change = share_of_change(self._first, self._latents.decode(self._moved(scale)), self._low)
            if change == 0:
                scale *= 10
            elif abs(change / FIRST_CHANGE - 1) < 0.05:
                break
            else:
                scale *= min(max(FIRST_CHANGE / change, 0.01), 100.0)
        return scale

    def _moved(self, length: float) -> Any:
        return self._latents.start + length * self._direction

    def frame(self, amount: float, stage: Stage) -> Frame:
        """The CT at a λ."""
        if amount == 0:
            return self.start
        hu = self._latents.decode(self._moved(amount * self.scale))
        if amount not in self._known:
            measured = self._output.measure(self._canvas.image(hu), stage)
            self._known[amount] = Tried(amount, measured, share_of_change(self._first, hu, self._low))
        known = self._known[amount]
        return Frame(amount, hu, known.measured, known.change)

    def find_end(self, sign: int, stage: Stage) -> Found:
        """How far to go in a direction, see :func:`~.search.search`."""

        def look(amount: float) -> Tried:
            frame = self.frame(amount, Stage(stage.monitor, stage.name, stage.start, stage.start))
            return Tried(amount, frame.measured, frame.change)

        return search(sign, self.before, look, lambda number: stage.update(min(number / 30, 1.0), f"step {number}"))

    def is_certain(self, sign: int) -> bool:
        """Whether the model is certain already that way."""
        return is_certain(sign, self.before)


def across_slices(direction: torch.Tensor, chosen: slice, smooth: float) -> torch.Tensor:
    """A direction through a Gaussian across the slices (the first axis), those that may not change left at 0.

    The autoencoder knows single slices, so the plain gradient differs from slice to slice and leaves stripes. A Gaussian is
    symmetric and positive, so what comes out is still a direction in which f rises.

    Args:
        direction: ``[slices, …]``.
        chosen: slices that may change.
        smooth: standard deviation in slices.
    """
    if not smooth:
        return direction
    import torch
    from scipy import ndimage

    smoothed = torch.zeros_like(direction)
    values = ndimage.gaussian_filter1d(direction[chosen].cpu().numpy(), smooth, axis=0, mode="constant")
    smoothed[chosen] = torch.from_numpy(values).to(direction.device)
    return smoothed


def amounts_of(found: Found, frames: int) -> list[float]:
    """The λ of the frames in one direction without 0: those of the search nearest to even steps; even ones where it took few."""
    if not found.end:
        return []
    even = [found.end * number / frames for number in range(1, frames + 1)]
    usable = [tried.amount for tried in found.tried if abs(tried.amount) <= abs(found.end)]
    if len(usable) < frames:
        return even
    return sorted({min(usable, key=lambda amount: abs(amount - wanted)) for wanted in even}, key=abs)
