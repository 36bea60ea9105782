"""Reference scans on the model grid of the patient who is explained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from ..io.grid import Grid
    from ..models.model_card import ModelCard

_AIR_HU = -1024.0


def read_reference(path: Path, card: ModelCard, grid: Grid) -> torch.Tensor:
    """A scan as the network sees it, float32 ``[x, y, z]`` on ``grid``, with the middles of both volumes on each other.

    Scans of different patients share no coordinates, so the middle is what can be matched without registration; beyond the scan
    there is air. A scan on the very grid of the patient's CT stays in place.

    Raises:
        InputError: the scan cannot be read.
    """
    import numpy as np
    import torch

    from ..io.grid import Grid
    from ..io.read import read_ct
    from ..io.resample import resample

    ct = read_ct(path)
    affine = grid.affine.copy()
    middle = [ct.grid.to_ras((np.array(ct.grid.shape) - 1) / 2), grid.to_ras((np.array(grid.shape) - 1) / 2)]
    affine[:3, 3] += middle[0] - middle[1]
    hu = resample(ct, Grid(grid.shape, affine), "linear", outside=_AIR_HU)
    return torch.from_numpy(card.preprocessing.intensities(hu))
