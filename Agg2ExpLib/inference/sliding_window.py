"""The windows of a scan and how their outputs are stitched: the geometry of ``monai.inferers.sliding_window_inference``.

The plan is shared by segmentation and attribution, so that both mean the same stitched model ``f(x) = Σ_w w · f_w(x) / Σ_w w``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
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

    Raises:
        InputError: overlap or blend out of range.
    """

    def __init__(self, shape: Sequence[int], roi_size: Sequence[int], overlap: float = OVERLAP, blend: str = BLEND):
        from monai.data.utils import dense_patch_slices

        if not 0 <= overlap < 1:
            raise InputError(f"The overlap of windows must be at least 0 and less than 1, not {overlap:g}.")
        if blend not in BLENDS:
            raise InputError(f"Unknown blending '{blend}': use constant or gaussian.")
        self.shape = tuple(int(n) for n in shape)
        self.roi_size = tuple(int(n) for n in roi_size)
        self.overlap = overlap
        self.blend = blend
        pairs = list(zip(self.shape, self.roi_size, strict=True))
        self.padded_shape = tuple(max(n, size) for n, size in pairs)
        self.before = tuple(max(size - n, 0) // 2 for n, size in pairs)
        step = [
            size if size == n else max(int(size * (1 - overlap)), 1)
            for n, size in zip(self.padded_shape, self.roi_size, strict=True)
        ]
        self.windows: tuple[Window, ...] = tuple(
            (x, y, z) for x, y, z in dense_patch_slices(self.padded_shape, self.roi_size, step)
        )

    @property
    def inside(self) -> Window:
        """Where the volume lies in the padded volume."""
        x, y, z = (slice(start, start + n) for start, n in zip(self.before, self.shape, strict=True))
        return x, y, z

    @cached_property
    def weight(self) -> torch.Tensor:
        """``w``: weight of a window's voxels, float32 ``[rx, ry, rz]``, on the CPU."""
        import torch
        from monai.data.utils import compute_importance_map

        return compute_importance_map(self.roi_size, mode=self.blend, sigma_scale=0.125, dtype=torch.float32)

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
