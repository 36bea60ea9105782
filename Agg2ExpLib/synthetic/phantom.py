"""A synthetic thorax CT with its true labels, for the demo and for tests: no patient's data, another body for each seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from . import tissues as t
from .phantom_shapes import Body
from .scans import Anatomy, finish, paint

FIELD_OF_VIEW = (352.0, 288.0, 300.0)  # mm: side to side, front to back, feet to head
_FRONT_EDGE, _FOOT_EDGE = 136.0, 0.0  # coordinates of the field of view's front and lower faces in phantom_shapes


@dataclass(frozen=True)
class Phantom:
    """A synthetic CT.

    Attributes:
        ct: int16 HU [x, y, z].
        labels: uint8 [x, y, z], indices of labels.PAPER_LABELS; all 16 foreground labels are there.
        affine: float64 4x4, voxel index to patient RAS mm; as in most scans axis 0 runs to the left, axis 1 to the back.
    """

    ct: np.ndarray
    labels: np.ndarray
    affine: np.ndarray


def make_phantom(seed: int = 0, spacing: Sequence[float] = (2.0, 2.0, 2.0)) -> Phantom:
    """The phantom of a seed: size, shape, contrast phase, tissues and noise all follow from it.

    Args:
        seed: 0 or more.
        spacing: mm per voxel, 1 to 8 along each axis. The same seed at another spacing is a similar body, not the same.

    Raises:
        InputError: seed or spacing out of range.
    """
    rng = np.random.default_rng(_checked_seed(seed))
    ids, affine = _tissue_ids(rng, spacing)
    _add_table(ids, rng, spacing)
    scan = t.draw_scan(rng)
    hu = paint(ids, scan, rng, spacing, back_first=False)
    hu = finish(hu, rng, spacing, blur_mm=rng.uniform(0.7, 1.1), noise=rng.uniform(10, 25))
    return Phantom(np.rint(hu).astype(np.int16), t.CHANNEL_OF_ID[ids], affine)


def phantom_anatomy(seed: int, spacing: Sequence[float] = (3.0, 3.0, 3.0)) -> Anatomy:
    """The body of a phantom as an anatomy on RAS axes, to be deformed and painted for training."""
    ids, _ = _tissue_ids(np.random.default_rng(_checked_seed(seed)), spacing)
    depth = np.full(ids.shape, 1e4, np.float32)  # its wall is there already
    return Anatomy(np.ascontiguousarray(ids[::-1, ::-1]), depth, (spacing[0], spacing[1], spacing[2]), f"phantom-{seed}")


def _tissue_ids(rng: np.random.Generator, spacing: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Tissue ids [x, y, z] (axis 0 to the left, axis 1 to the back) and the affine."""
    if len(spacing) != 3 or not all(1 <= size <= 8 for size in spacing):
        raise InputError("The phantom's spacing must be three numbers from 1 to 8 mm.")
    shape = [round(extent / size) for extent, size in zip(FIELD_OF_VIEW, spacing, strict=True)]
    left = (np.arange(shape[0]) - (shape[0] - 1) / 2) * spacing[0]
    front = _FRONT_EDGE - np.arange(shape[1]) * spacing[1]
    up = _FOOT_EDGE + np.arange(shape[2]) * spacing[2]
    u, a, z = np.meshgrid(*(axis.astype(np.float32) for axis in (left, front, up)), indexing="ij")
    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0]).astype(float)
    affine[:3, 3] = -left[0], front[0], up[0]
    return Body(u, a, z, spacing, rng).build(), affine


def _add_table(ids: np.ndarray, rng: np.random.Generator, spacing: Sequence[float]) -> None:
    """The curved table the patient lies on; in place."""
    rows = np.flatnonzero((ids > 0).any((0, 2)))
    back = (rows[-1] + 1) * spacing[1]
    across = (np.arange(ids.shape[0]) - ids.shape[0] / 2) * spacing[0]
    surface = back + rng.uniform(2, 5) - (across / 55) ** 2
    below = (np.arange(ids.shape[1]) * spacing[1])[None] - surface[:, None]
    shell = np.abs(below - 2.5) <= max(2.0, spacing[1] / 2)
    ids[shell[:, :, None] & (ids == t.AIR)] = t.TABLE


def _checked_seed(seed: int) -> int:
    if seed < 0:
        raise InputError("The phantom's seed must be 0 or more.")
    return int(seed)
