"""How far to go: λ grows until the model's output has changed enough, stops moving, or the CT has changed too much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .outputs import Measured

# The search of arXiv:2502.07156: steps grow by a tenth; below LEAST or above MOST a class is certain.
GROWTH, LEAST, MOST, ENOUGH, MOST_CHANGE = 1.1, 0.05, 0.95, 0.8, 0.05
# λ of 1 changes the CT by this share of its intensities; the paper's first step of 10 has the units of its own network.
FIRST_CHANGE = 0.001
_STILL = 1e-3  # of the largest step of f so far: less is no movement
_MOST_STEPS = 60
_HALVINGS = 3  # of a first step after which f moved the wrong way


@dataclass(frozen=True)
class Tried:
    """One λ of the search.

    Attributes:
        amount: λ.
        measured: what the model says.
        change: ``Σ|x_λ − x_0| / Σ|x_0|`` of the intensities.
    """

    amount: float
    measured: Measured
    change: float

    def to_json(self) -> dict[str, float]:
        """As JSON values."""
        return {
            "lambda": round(self.amount, 6),
            "output": round(self.measured.value, 6),
            "probability": round(self.measured.probability, 6),
            "change": round(self.change, 6),
        }


@dataclass
class Found:
    """Where a search ended.

    Attributes:
        end: λ of the last frame; 0 where the output does not move this way.
        reason: why it ended there, for people.
        tried: every λ.
    """

    end: float
    reason: str
    tried: list[Tried] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"end": round(self.end, 6), "stopped_because": self.reason, "tried": [tried.to_json() for tried in self.tried]}


def is_certain(sign: int, measured: Measured) -> bool:
    """Whether there is nothing left to gain in a direction: a probability below :data:`LEAST` or above :data:`MOST`."""
    return measured.probability < LEAST if sign < 0 else measured.probability > MOST


def search(sign: int, start: Measured, look: Callable[[float], Tried], told: Callable[[int], None]) -> Found:
    """The largest useful λ in one direction.

    Args:
        sign: -1 for less, 1 for more.
        start: at λ = 0.
        look: measures at a λ.
        told: is given the number of every step, from 1.

    Returns:
        The last λ at which f still moved the way it should and the CT had not changed by more than :data:`MOST_CHANGE`, or the
        first one at which the probability is certain or has changed by :data:`ENOUGH`.
    """
    tried: list[Tried] = []
    step, amount, before, largest, halvings = 1.0, 0.0, start, 0.0, 0
    reason = f"{_MOST_STEPS} steps were taken"
    while len(tried) < _MOST_STEPS:
        now = look(sign * (amount + step))
        tried.append(now)
        told(len(tried))
        moved = sign * (now.measured.value - before.value)
        if now.change > MOST_CHANGE:
            reason = f"the CT would change by more than {MOST_CHANGE:.0%}"
            break
        if not moved > _STILL * largest:
            if amount == 0 and halvings < _HALVINGS and moved != 0:  # a step too long for the gradient to foretell
                halvings, step = halvings + 1, step / 4
                continue
            reason = "the output stopped moving"
            break
        amount, before, largest = amount + step, now.measured, max(largest, moved)
        probability = now.measured.probability
        if is_certain(sign, now.measured):
            reason = f"the probability is below {LEAST:g}" if sign < 0 else f"the probability is above {MOST:g}"
            break
        if abs(probability - start.probability) >= ENOUGH:
            reason = f"the probability has changed by {ENOUGH:g}"
            break
        step *= GROWTH
    return Found(sign * amount, reason, tried)
