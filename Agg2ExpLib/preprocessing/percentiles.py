"""An image's percentiles, computed as MONAI computes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from .step import check_numbers

if TYPE_CHECKING:
    from .step import Step


def percentile(values: np.ndarray, share: float) -> float:
    """The value below which ``share`` % of the values lie."""
    import torch
    from monai.transforms.utils_pytorch_numpy_unification import percentile as of

    return float(of(torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)), share))


def check_percentiles(step: Step, lower: Any, upper: Any) -> None:
    """Refuse what are no two percentiles.

    Raises:
        InputError: the sentence names the step.
    """
    low = 0.0 if lower is None else check_numbers(step, "lower", lower, 1)[0]
    high = 100.0 if upper is None else check_numbers(step, "upper", upper, 1)[0]
    if not 0 <= low < high <= 100:
        raise InputError(f"'lower' and 'upper' of the preprocessing step '{step.name}' must be percentiles that rise.")
