"""Attributions of any scale made comparable: divided by their largest absolute value."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

ZERO_MAP = "the map is zero everywhere, so it cannot be normalised"


def normalised(attribution: torch.Tensor) -> torch.Tensor | None:
    """``e / max |e|``, with values in [-1, 1]; None where the map is zero everywhere.

    The paper's text says [0, 1]; its published code divides as here, which keeps the signs.

    Raises:
        FloatingPointError: the map holds a value that is not finite.
    """
    largest = float(attribution.abs().max())
    if not math.isfinite(largest):
        raise FloatingPointError
    return attribution / largest if largest > 0 else None


def largest_value(attribution: torch.Tensor) -> float:
    """``max |e|``, what :func:`normalised` divides by."""
    return float(attribution.abs().max())
