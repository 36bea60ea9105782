"""One CT as one model sees it, in memory: CT → grid → image → windows → segmentation → targets → engine.

Everything that asks a model about a CT starts here: runs, evaluations and benchmarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..attribution.stitched import StitchedGradient, Target
from ..inference.compute import BatchSize, Compute
from ..inference.segmentation import segment
from ..inference.sliding_window import BLEND, OVERLAP, WindowPlan
from ..io.ct_values import scale_intensity
from ..io.grid import Grid
from ..models.model import Model
from ..models.model_input import on_model_grid
from ..monitor import Monitor, Stage

if TYPE_CHECKING:
    import torch

    from ..io.volume import Volume


@dataclass
class Case:
    """A CT on the grid of a model; the model's network must be at work (:func:`~Agg2ExpLib.inference.network.at_work`).

    Attributes:
        model: network and card.
        compute: device and precision.
        grid: the model grid.
        image: what the network sees, float32 ``[x, y, z]`` on the CPU.
        plan: windows over the image.
        monitor: is told when a batch is halved, and asked to stop.
        window_batch: windows per pass, or ``auto``.
    """

    model: Model
    compute: Compute
    grid: Grid
    image: torch.Tensor
    plan: WindowPlan
    monitor: Monitor
    window_batch: int | str = "auto"

    @property
    def air(self) -> float:
        """Intensity of the lowest HU, which fills windows beyond the image."""
        return self.model.card.intensity_range[0]

    def batch(self) -> BatchSize:
        """A batch size of its own for one piece of work."""
        return BatchSize(self.compute, self.monitor, self.window_batch)

    def segment(self, stage: Stage, image: torch.Tensor | None = None) -> np.ndarray:
        """Predicted labels of the image, or of another one on the same grid; uint8 ``[x, y, z]``."""
        network, channels = self.model.network, len(self.model.card.labels)
        return segment(
            network, self.image if image is None else image, self.plan, self.compute, self.batch(), stage, self.air, channels
        )

    def engine(self, targets: Sequence[Target], batch: BatchSize | None = None, exact: bool = True) -> StitchedGradient:
        """The gradient of the stitched output for these targets."""
        return StitchedGradient(self.model.network, self.plan, targets, self.compute, batch or self.batch(), self.air, exact)


def make_case(
    ct: Volume,
    model: Model,
    compute: Compute,
    monitor: Monitor,
    overlap: float = OVERLAP,
    blend: str = BLEND,
    window_batch: int | str = "auto",
) -> tuple[Case, np.ndarray]:
    """Bring a CT to the grid of a model.

    Args:
        ct: in HU.
        model: whose grid it is.
        compute: device and precision.
        monitor: is told progress and asked to stop.
        overlap, blend: of the windows.
        window_batch: windows per pass, or ``auto``.

    Returns:
        The case, and the HU on its grid, float32 ``[x, y, z]``.

    Raises:
        InputError: overlap or blend out of range.
    """
    import torch

    card = model.card
    grid, hu = on_model_grid(ct, card)
    image = torch.from_numpy(scale_intensity(hu, card.hu_window, card.intensity_range))
    plan = WindowPlan(grid.shape, card.roi_size, overlap, blend)
    return Case(model, compute, grid, image, plan, monitor, window_batch), hu
