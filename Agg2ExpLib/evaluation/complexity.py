"""Complexity (equation 10 of the paper; Nguyen & Martínez 2020, arXiv:2007.07584): how much of the scan a map points at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .normalise import ZERO_MAP, normalised
from .score import Score

if TYPE_CHECKING:
    import torch

UNIT = "share of voxels"


def complexity(attribution: torch.Tensor, threshold: float) -> Score:
    """Share of voxels with ``|e| / max |e| > θ``.

    Args:
        attribution: ``[x, y, z]``.
        threshold: θ, 0 <= θ < 1.

    Raises:
        FloatingPointError: the map holds a value that is not finite.
    """
    scaled = normalised(attribution)
    if scaled is None:
        return Score(None, ZERO_MAP)
    return Score(int((scaled.abs() > threshold).sum()) / scaled.numel())
