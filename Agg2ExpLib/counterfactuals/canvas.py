"""The grid on which a CT is moved, and the way from there to what the model sees.

That is the model's own grid where the autoencoder knows pixels of about that size. A model on a coarser grid sees the CT on the
autoencoder's grid through linear sampling, as it sees any CT, and gradients go back through its transpose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..inference.segmentation import Segmented
from ..io.grid import Grid, model_grid
from ..io.resample import resample
from ..io.volume import Volume
from ..models.model import Model
from ..models.model_card import AUTOENCODER
from ..preprocessing.ras_spacing import AIR_HU
from ..runs.case import Case
from .intensities import slope

if TYPE_CHECKING:
    import torch

# The pixels of a slice may be so much larger or smaller than those that the autoencoder was made for: training sees 0.75 to 1.25.
TOLERANCE = 1.34


class Canvas:
    """Where a CT is moved.

    Args:
        case: of the explained model.
        autoencoder: of slices.
        ct: in HU, on its own grid.

    Attributes:
        grid: of the CTs that are made.
        hu: the CT there, float32 ``[x, y, z]``.
        own: whether it is the model's grid.

    Raises:
        InputError: the model is no autoencoder, or it knows only larger pixels than the explained model has.
    """

    def __init__(self, case: Case, autoencoder: Model, ct: Volume):
        autoencoder.require(AUTOENCODER, "A counterfactual")
        self._case = case
        axis = int(getattr(autoencoder.network, "axis", 2))
        within = [k for k in range(3) if k != axis]
        theirs, ours = autoencoder.card.spacing, case.grid.spacing
        ratios = [ours[k] / theirs[k] for k in within]
        if min(ratios) < 1 / TOLERANCE:
            raise InputError(
                f"The autoencoder {autoencoder.name} was made for slices of {_words(theirs, within)} mm a pixel, but those of the "
                f"explained model have {_words(ours, within)} mm, which it cannot show: give an autoencoder for that size, such as "
                "agg2exp train --task autoencoder makes."
            )
        self.own = max(ratios) <= TOLERANCE
        self.grid: Grid = case.grid if self.own else model_grid(ct.grid, theirs)
        self.hu: np.ndarray = case.hu
        if not self.own:
            self.hu = np.asarray(resample(ct, self.grid, "linear", outside=AIR_HU if ct.grid.sheared else None), np.float32)
            case.monitor.notice(
                f"{case.model.name} sees voxels of {_words(ours, within)} mm, but the autoencoder was made for "
                f"{_words(theirs, within)} mm: the CT is moved on the finer grid."
            )

    def image(self, hu: np.ndarray) -> np.ndarray:
        """What the model sees of HU on the canvas, float32 on the model's grid."""
        return self._case.prepared.intensity(self._seen(hu))

    def pull_back(self, hu: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """``∂f/∂HU`` on the canvas from ``∂f/∂image`` on the model's grid.

        Args:
            hu: where the derivative is taken.
            gradient: with respect to what the model sees.
        """
        by_hu = gradient * slope(self._case.prepared.intensities, self._seen(hu))
        if self.own:
            return np.asarray(by_hu)
        import torch

        point = torch.zeros(self.grid.shape, dtype=torch.from_numpy(by_hu[:1]).dtype, requires_grad=True)
        with torch.enable_grad():
            (found,) = torch.autograd.grad(self._sampled(point), point, torch.from_numpy(np.ascontiguousarray(by_hu)))
        return np.asarray(found.numpy())

    def shown(self, drawn: Segmented) -> Segmented:
        """Labels on the model's grid, brought to the canvas (nearest voxel)."""
        if self.own:
            return drawn
        source = self._case.grid
        labels = self._moved(drawn.labels, source, self.grid)
        if drawn.overlapping is None:
            return Segmented(labels)
        return Segmented(labels, np.stack([self._moved(mask, source, self.grid) > 0 for mask in drawn.overlapping]))

    def on_model_grid(self, mask: np.ndarray) -> np.ndarray:
        """A mask on the canvas, brought to the model's grid (nearest voxel)."""
        return mask if self.own else self._moved(mask, self.grid, self._case.grid) > 0

    def _moved(self, values: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
        volume = Volume(values.astype(np.uint8), source.affine, "labels")
        return np.asarray(resample(volume, target, "nearest", outside=0)).astype(np.uint8)

    def _seen(self, hu: np.ndarray) -> np.ndarray:
        """HU on the model's grid."""
        if self.own:
            return hu
        import torch

        with torch.no_grad():
            return np.asarray(self._sampled(torch.from_numpy(np.ascontiguousarray(hu))).numpy())

    def _sampled(self, values: torch.Tensor) -> torch.Tensor:
        """Linear samples ``[x, y, z]`` of the canvas at the centres of the model's voxels; beyond its border the border."""
        import torch

        to_canvas = np.linalg.inv(self.grid.affine) @ self._case.grid.affine
        axes = [np.arange(size, dtype=np.float64) for size in self._case.grid.shape]
        index = np.stack([*np.meshgrid(*axes, indexing="ij")])
        places = np.tensordot(to_canvas[:3, :3], index, axes=1) + to_canvas[:3, 3, None, None, None]
        scaled = [2 * place / max(size - 1, 1) - 1 for place, size in zip(places, self.grid.shape, strict=True)]
        where = torch.from_numpy(np.stack(scaled[::-1], axis=-1)).to(values.dtype)[None]
        found: torch.Tensor = torch.nn.functional.grid_sample(
            values[None, None], where, mode="bilinear", padding_mode="border", align_corners=True
        )
        return found[0, 0]


def _words(spacing: tuple[float, float, float], axes: list[int]) -> str:
    return " x ".join(f"{spacing[k]:.3g}" for k in axes)
