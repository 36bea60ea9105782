"""What divides the volume into regions: the labels of the model that is explained, or those that another model draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..inference.compute import Compute
from ..inference.network import at_work
from ..inference.segmentation import Segmented
from ..io.resample import resample
from ..io.volume import Volume
from ..models.labels import BACKGROUND, Label, make_labels
from ..models.model import Model
from ..models.model_card import SEGMENTATION
from ..monitor import Monitor, Stage
from ..system.names import folded
from .case import make_case

if TYPE_CHECKING:
    from ..io.grid import Grid


@dataclass(frozen=True)
class Partition:
    """Labels and where they lie on the model grid.

    Attributes:
        labels: the background first.
        drawn: what the network of :attr:`source` draws.
        source: name of the model that drew them; None where nothing was drawn.
        sha256: of its weights.
    """

    labels: tuple[Label, ...]
    drawn: Segmented
    source: str | None = None
    sha256: str | None = None


def nothing_drawn(grid: Grid) -> Partition:
    """A volume that nobody divided: all of it is background."""
    return Partition(make_labels([BACKGROUND]), Segmented(np.zeros(grid.shape, dtype=np.uint8)))


def check_segmenter(segmenter: Model, classes: tuple[str, ...]) -> None:
    """Refuse a model that cannot draw the regions of a classifier.

    Raises:
        InputError: it is no segmentation network, or has a label with the name of a class.
    """
    segmenter.require(SEGMENTATION, "⟨segmenter⟩")
    named = {folded(name) for name in classes}
    if shared := [name for name in segmenter.labels if folded(name) in named]:
        raise InputError(
            f"'{shared[0]}' is both a class of the classifier and a label of {segmenter.name}: rename one of them in a model card."
        )


def draw_partition(ct: Volume, segmenter: Model, grid: Grid, compute: Compute, monitor: Monitor, stage: Stage) -> Partition:
    """Let a segmentation network draw on its own grid, and bring the labels to another grid (nearest voxel).

    Args:
        ct: in HU.
        segmenter: that draws.
        grid: that the labels are wanted on.
        compute: device and precision.
        monitor: is told notices and asked to stop.
        stage: is told the progress.

    Raises:
        InputError: the CT cannot be brought to the segmenter's grid.
    """
    case = make_case(ct, segmenter, compute, monitor)
    with at_work(segmenter.network, compute):
        drawn = case.segment(stage)

    def moved(values: np.ndarray) -> np.ndarray:
        volume = Volume(values.astype(np.uint8), case.grid.affine, "labels")
        return np.asarray(resample(volume, grid, "nearest", outside=0))

    whole = None if drawn.overlapping is None else np.stack([moved(mask) > 0 for mask in drawn.overlapping])
    found = Segmented(moved(drawn.labels).astype(np.uint8), whole)
    return Partition(segmenter.card.labels, found, segmenter.name, segmenter.sha256)
