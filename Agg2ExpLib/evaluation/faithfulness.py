"""Faithfulness (equation 8 of the paper; Bhatt et al. 2020, arXiv:2005.00631): do voxels with more attribution matter more?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .normalise import ZERO_MAP, normalised
from .score import Score

if TYPE_CHECKING:
    import torch

UNIT = "correlation"
# Sums that differ by less than this part of themselves differ by rounding alone.
_ROUNDING = 1e-12


def subset_sums(attribution: torch.Tensor, subsets: Sequence[torch.Tensor]) -> np.ndarray:
    """``Σ_{i∈S} e_i`` of every subset, summed in float64 on the map's device.

    Args:
        attribution: ``[x, y, z]``.
        subsets: flat C-order indices, on the map's device.

    Returns:
        float64 ``[runs]``.
    """
    import torch

    flat = attribution.flatten()
    return torch.stack([flat[subset].double().sum() for subset in subsets]).cpu().numpy()


def faithfulness(attribution: torch.Tensor, subsets: Sequence[torch.Tensor], drops: np.ndarray) -> Score:
    """Pearson correlation over random subsets S between ``Σ_{i∈S} e_i`` and ``f̂_c(x) − f̂_c(x_S)``.

    ``ŷ_c`` stays that of the clean image, as equation 8 says; the published code takes the new segmentation of x_S. The division by
    max |e| does not change a correlation and is done all the same, so that the sums are those of the equation.

    Args:
        attribution: ``[x, y, z]``.
        subsets: flat C-order indices of the voxels set to 0, on the map's device.
        drops: ``f̂_c(x) − f̂_c(x_S)`` for each subset, float64 ``[runs]``.

    Raises:
        FloatingPointError: the map holds a value that is not finite.
    """
    scaled = normalised(attribution)
    if scaled is None:
        return Score(None, ZERO_MAP)
    if float(attribution.min()) == float(attribution.max()):
        return Score(None, "the map is constant, so its correlation is undefined")
    return correlation(subset_sums(scaled, subsets), drops)


def correlation(sums: np.ndarray, drops: np.ndarray) -> Score:
    """Pearson's correlation, in float64.

    Args:
        sums: of attribution, ``[runs]``.
        drops: of the output, ``[runs]``.
    """
    if np.ptp(sums) <= _ROUNDING * np.abs(sums).max():
        return Score(None, "all subsets hold the same attribution, so the correlation is undefined")
    if np.ptp(drops) == 0:
        return Score(None, "removing voxels changes the output by the same amount every time, so the correlation is undefined")
    return Score(float(np.corrcoef(sums, drops)[0, 1]))
