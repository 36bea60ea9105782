"""The windows of a scan and how their outputs are stitched: the geometry of ``monai.inferers.sliding_window_inference``.

The plan is shared by segmentation and attribution, so that both mean the same stitched model ``f(x) = Σ_w w · f_w(x) / Σ_w w``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from ..errors import InputError
from ..io.turn import Turn

if TYPE_CHECKING:
    import numpy as np
    import torch

Window = tuple[slice, slice, slice]
BLENDS = ("constant", "gaussian")
# What windows do unless somebody says otherwise, as in the paper.
OVERLAP, BLEND = 0.25, "constant"


class WindowPlan:
    """Windows over a volume ``[x, y, z]``, which is padded evenly on both sides where it is smaller than a window.

    Args:
        shape: of the volume on the model grid.
        roi_size: of a window, in voxels.
        overlap: share of a window that its neighbour covers too, 0 <= overlap < 1.
        blend: ``constant`` or ``gaussian`` weight of a window's voxels.
        scheme: whose positions and Gaussian they are: ``monai`` or ``nnunet``.
        turn: the order of axes in which the network counts the windows, where that is not ours.

    Raises:
        InputError: overlap or blend out of range.
    """

    def __init__(
        self,
        shape: Sequence[int],
        roi_size: Sequence[int],
        overlap: float = OVERLAP,
        blend: str = BLEND,
        scheme: str = "monai",
        turn: Turn | None = None,
    ):
        if not 0 <= overlap < 1:
            raise InputError(f"The overlap of windows must be at least 0 and less than 1, not {overlap:g}.")
        if blend not in BLENDS:
            raise InputError(f"Unknown blending '{blend}': use constant or gaussian.")
        self._turn = turn = turn or Turn()
        self.shape = tuple(int(n) for n in shape)
        self.roi_size = tuple(int(n) for n in roi_size)
        self.overlap, self.blend, self.scheme = overlap, blend, scheme
        self.padded_shape = tuple(max(n, size) for n, size in zip(self.shape, self.roi_size, strict=True))
        # Positions and padding are counted in the network's own order of axes, as its training framework does.
        sides, roi = turn.sizes(self.padded_shape), turn.sizes(self.roi_size)
        spare = [side - n for side, n in zip(sides, turn.sizes(self.shape), strict=True)]
        before = [extra - extra // 2 if flip else extra // 2 for extra, flip in zip(spare, turn.flips, strict=True)]
        self.before = turn.sizes_back(before)
        self.windows: tuple[Window, ...] = tuple(
            turn.sizes_back(
                [
                    slice(side - end, side - start) if flip else slice(start, end)
                    for (start, end), side, flip in zip(places, sides, turn.flips, strict=True)
                ]
            )
            for places in _SCHEMES[scheme](sides, roi, overlap)
        )

    @property
    def inside(self) -> Window:
        """Where the volume lies in the padded volume."""
        x, y, z = (slice(start, start + n) for start, n in zip(self.before, self.shape, strict=True))
        return x, y, z

    @cached_property
    def weight(self) -> torch.Tensor:
        """``w``: weight of a window's voxels, float32 ``[rx, ry, rz]``, on the CPU."""
        if self.scheme == "nnunet" and self.blend == "gaussian":
            return self._turned_back(_nnunet_gaussian(self._turn.sizes(self.roi_size)))
        import torch
        from monai.data.utils import compute_importance_map

        return compute_importance_map(self.roi_size, mode=self.blend, sigma_scale=0.125, dtype=torch.float32)

    def _turned_back(self, weight: np.ndarray) -> torch.Tensor:
        import numpy as np
        import torch

        return torch.from_numpy(np.ascontiguousarray(self._turn.back(weight)))

    def weight_sum(self, dtype: torch.dtype) -> torch.Tensor:
        """``Σ w`` over all windows, ``[X, Y, Z]`` of the padded volume, on the CPU."""
        import torch

        total = torch.zeros(self.padded_shape, dtype=dtype)
        weight = self.weight.to(dtype)
        for window in self.windows:
            total[window] += weight
        return total

    def pad(self, volume: torch.Tensor, value: float = 0.0) -> torch.Tensor:
        """The volume ``[x, y, z]`` padded to ``padded_shape``; the same tensor where nothing needs padding."""
        import torch

        if self.shape == self.padded_shape:
            return volume
        padded = torch.full(self.padded_shape, value, dtype=volume.dtype, device=volume.device)
        padded[self.inside] = volume
        return padded


Places = tuple[tuple[int, int], ...]


def _monai_places(shape: Sequence[int], roi_size: Sequence[int], overlap: float) -> list[Places]:
    """Start and end of every window along each axis, as ``sliding_window_inference`` takes them."""
    from monai.data.utils import dense_patch_slices

    pairs = zip(shape, roi_size, strict=True)
    step = [size if size == n else max(int(size * (1 - overlap)), 1) for n, size in pairs]
    return [tuple((part.start, part.stop) for part in window) for window in dense_patch_slices(shape, roi_size, step)]


def _nnunet_places(shape: Sequence[int], roi_size: Sequence[int], overlap: float) -> list[Places]:
    """As nnU-Net takes them: spread evenly, neighbours at most ``(1 - overlap)`` of a window apart."""
    starts = []
    for side, size in zip(shape, roi_size, strict=True):
        count = math.ceil((side - size) / (size * (1 - overlap))) + 1
        step = (side - size) / (count - 1) if count > 1 else 0.0
        starts.append([round(step * number) for number in range(count)])
    return [
        tuple((start, start + size) for start, size in zip(corner, roi_size, strict=True)) for corner in itertools.product(*starts)
    ]


def _nnunet_gaussian(roi_size: Sequence[int]) -> np.ndarray:
    """nnU-Net's weights: a Gaussian of an eighth of the window's sides, at most 10, nowhere 0.

    They are those that it has, in half precision: towards a window's corners the small ones are rounded.
    """
    import numpy as np
    from scipy.ndimage import gaussian_filter

    spot = np.zeros(tuple(roi_size))
    spot[tuple(size // 2 for size in roi_size)] = 1
    weight = gaussian_filter(spot, [size / 8 for size in roi_size], mode="constant")
    weight = (weight / (weight.max() / 10)).astype(np.float16)
    weight[weight == 0] = weight[weight > 0].min()
    return weight.astype(np.float32)


_SCHEMES = {"monai": _monai_places, "nnunet": _nnunet_places}
SCHEMES = tuple(_SCHEMES)
