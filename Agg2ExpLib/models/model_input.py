"""A CT as a network sees it: on the model grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..io.grid import Grid, model_grid
from ..io.resample import resample

if TYPE_CHECKING:
    import numpy as np

    from ..io.volume import Volume
    from .model_card import ModelCard

AIR_HU = -1024.0


def on_model_grid(ct: Volume, card: ModelCard) -> tuple[Grid, np.ndarray]:
    """The grid that a model wants for a CT, and the CT's HU there, float32 ``[x, y, z]``.

    A straight scan's border is extended as in training; beside a tilted one there is nothing but air.
    """
    grid = model_grid(ct.grid, card.spacing)
    return grid, resample(ct, grid, "linear", outside=AIR_HU if ct.grid.sheared else None)
