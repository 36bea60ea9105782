"""One CT as one model sees it, in memory: CT → grid → image → windows → segmentation → targets → engine.

Everything that asks a model about a CT starts here: runs, evaluations and benchmarks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..attribution.keep import KEEP
from ..attribution.stitched import StitchedGradient, Target
from ..errors import InputError
from ..inference.compute import BatchSize, Compute
from ..inference.segmentation import Segmented, segment
from ..inference.slice_memory import SliceMemory
from ..inference.sliding_window import BLEND, OVERLAP, WindowPlan
from ..inference.turned import turned
from ..inference.whole_volume import as_voxels
from ..inference.window_memory import WindowMemory
from ..models.classifiers import is_slice_classifier
from ..models.model import Model
from ..models.model_card import CLASSIFICATION
from ..monitor import Monitor, Stage
from ..preprocessing.preprocessing import Prepared
from ..preprocessing.ras_spacing import AIR_HU

if TYPE_CHECKING:
    import torch

    from ..io.grid import Grid
    from ..io.volume import Volume


@dataclass
class Case:
    """A CT on the grid of a model; the model's network must be at work (:func:`~Agg2ExpLib.inference.network.at_work`).

    Attributes:
        model: network and card.
        compute: device and precision.
        prepared: the CT on the model grid, as HU and as the network sees it.
        plan: windows over the image.
        monitor: is told when a batch is halved, and asked to stop.
        window_batch: windows per pass, or ``auto``.
    """

    model: Model
    compute: Compute
    prepared: Prepared
    plan: WindowPlan
    monitor: Monitor
    window_batch: int | str = "auto"

    @property
    def grid(self) -> Grid:
        """The model grid."""
        return self.prepared.grid

    @property
    def hu(self) -> np.ndarray:
        """The CT on the model grid, HU in float32 ``[x, y, z]``."""
        return self.prepared.hu

    @cached_property
    def image(self) -> torch.Tensor:
        """What the network sees, float32 ``[x, y, z]`` on the CPU."""
        import torch

        return torch.from_numpy(self.prepared.image)

    @cached_property
    def network(self) -> torch.nn.Module:
        """The network for windows in our order of axes; a classifier gives its logits in every voxel."""
        network = turned(self.model.network, self.prepared.turn)
        return as_voxels(network, self.model.card.channels) if self.classifies else network

    @property
    def classifies(self) -> bool:
        """Whether the model sorts the whole volume instead of its voxels."""
        return self.model.task == CLASSIFICATION

    @property
    def pad_value(self) -> float:
        """Intensity that fills windows beyond the image."""
        return self.model.card.preprocessing.pad_value

    @cached_property
    def air(self) -> float:
        """Intensity of air."""
        return float(self.prepared.intensity(np.array([AIR_HU]))[0])

    @property
    def intensity_range(self) -> tuple[float, float]:
        """Lowest and highest intensity of a CT: where HU are clipped, else of -1024 and 1024 HU."""
        far = self.prepared.intensity(np.array([-1e6, -1e5, AIR_HU, -AIR_HU, 1e5, 1e6]))
        low, high = (far[0], far[-1]) if far[0] == far[1] and far[-1] == far[-2] else far[2:4]
        return float(low), float(high)

    @property
    def windows(self) -> dict[str, Any]:
        """Overlap and blending for ``run.json``."""
        return {"overlap": self.plan.overlap, "blend": self.plan.blend}

    def batch(self, last_resort: Callable[[], bool] = lambda: False) -> BatchSize:
        """A batch size of its own for one piece of work; ``last_resort`` is called when one window does not fit."""
        return BatchSize(self.compute, self.monitor, self.window_batch, last_resort)

    def window_memory(self) -> WindowMemory | SliceMemory:
        """What a window needs, and the means to need less."""
        if self.classifies and is_slice_classifier(self.model.network):
            return SliceMemory(self.model.network, self.compute, self.monitor)
        return WindowMemory(self.network, self.plan.roi_size, self.compute, self.monitor)

    def segment(self, stage: Stage, image: torch.Tensor | None = None) -> Segmented:
        """What the network draws on the image, or on another one on the same grid."""
        card, seen = self.model.card, self.image if image is None else image
        return segment(self.network, seen, self.plan, self.compute, self.batch(), stage, self.pad_value, card.channels, card.output)

    def engine(
        self, targets: Sequence[Target], batch: BatchSize | None = None, exact: bool = True, keep: float = KEEP
    ) -> StitchedGradient:
        """The gradient of the stitched output for these targets, over the windows that hold this share of each one's weight."""
        batch = batch or self.batch()
        return StitchedGradient(self.network, self.plan, targets, self.compute, batch, self.pad_value, exact, self.air, keep)


def make_case(
    ct: Volume,
    model: Model,
    compute: Compute,
    monitor: Monitor,
    overlap: float | None = None,
    blend: str | None = None,
    window_batch: int | str = "auto",
) -> Case:
    """Bring a CT to the grid of a model.

    Args:
        ct: in HU.
        model: whose grid it is.
        compute: device and precision.
        monitor: is told progress and asked to stop.
        overlap, blend: of the windows; None for what the model was made for, else the paper's.
        window_batch: windows per pass, or ``auto``.

    Raises:
        InputError: overlap or blend out of range, nothing of the CT is left on the model grid, or it is smaller than a window and
            the model would fill it up by repeating parts of it.
    """
    card = model.card
    prepared = card.preprocessing.prepare(ct)
    if card.task == CLASSIFICATION:
        whole = WindowPlan(prepared.grid.shape, prepared.grid.shape, 0.0, "constant", turn=prepared.turn)
        return Case(model, compute.for_classifiers(), prepared, whole, monitor, window_batch)
    overlap = next(value for value in (overlap, card.overlap, OVERLAP) if value is not None)
    plan = WindowPlan(
        prepared.grid.shape,
        prepared.turn.sizes_back(card.roi_size),
        overlap,
        blend or card.blend or BLEND,
        card.windows,
        prepared.turn,
    )
    if card.padding != "constant" and plan.padded_shape != plan.shape:
        raise InputError(
            f"The CT has {'x'.join(map(str, plan.shape))} voxels as {model.name} sees it, fewer than a window of "
            f"{'x'.join(map(str, plan.roi_size))}, and the model would fill it up by '{card.padding}' padding, which is not "
            "followed: give a larger CT."
        )
    return Case(model, compute, prepared, plan, monitor, window_batch)
