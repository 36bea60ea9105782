"""Which windows of a label are worth a pass: those with the least of its weight can be left out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..errors import InputError

KEEP = 1.0  # exact


def check_keep(keep: float) -> None:
    """Refuse what is no share of the weight.

    Raises:
        InputError: not above 0 and at most 1.
    """
    if not 0 < keep <= 1:
        raise InputError(
            f"⟨keep⟩ must be above 0 and at most 1, not {keep:g}: 1 passes every window that a label meets, 0.99 leaves out those "
            "that hold the last hundredth of its weight."
        )


def kept_windows(weights: Sequence[float], keep: float) -> tuple[list[int], float]:
    """The fewest windows that hold a share of the weight.

    Args:
        weights: ``Σ ŷ_c · w / Σw`` of the label in each window, all positive.
        keep: share of their sum that is to stay, above 0 and at most 1.

    Returns:
        Numbers of the windows that stay, in order, and the share of the weight that lies in the others, at most ``1 - keep``.
    """
    total, lost = math.fsum(weights), 0.0
    most = (1 - keep) * total * (1 + 1e-9)  # 1 - 0.9 is a little less than 0.1
    left: set[int] = set()
    for number in sorted(range(len(weights)), key=lambda number: weights[number])[:-1]:
        if keep == 1 or lost + weights[number] > most:
            break
        left.add(number)
        lost += weights[number]
    return [number for number in range(len(weights)) if number not in left], lost / total if left else 0.0
