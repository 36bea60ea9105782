"""The affine of a DICOM series from the tags of every slice, so that a tilted gantry gives its exact sheared grid."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np

from ..errors import InputError
from .affines import LPS_TO_RAS
from .dicom_choice import GAP
from .dicom_slice import Slice

# How far slices may lie from an even grid, in parts of the step (along) or of a pixel (across), before it is said or refused.
JITTER_TOLD = 0.1
JITTER_REFUSED = 0.5


def affine_of(folder: Path, stack: Sequence[Slice], notes: list[str]) -> np.ndarray:
    """Voxel (column, row, slice) → RAS mm, after checking that the slices lie evenly.

    Raises:
        InputError: slices are missing, unevenly spaced, or turned against each other.
    """
    positions = np.array([item.position for item in stack])
    row, column = _mean([item.row for item in stack]), _mean([item.column for item in stack])
    normal = np.cross(row, column)
    spacing = np.array(stack[0].spacing)
    if any(item.spacing != stack[0].spacing for item in stack):
        spacing = np.mean([item.spacing for item in stack], axis=0)
    _check_gaps(folder, stack, positions @ normal)
    usual = float(np.median(np.diff(positions @ normal)))
    step = (positions[-1] - positions[0]) / (len(stack) - 1)
    off = positions - (positions[0] + np.arange(len(stack))[:, None] * step)
    worst = _parts(off, normal, usual, spacing)
    furthest = float(np.linalg.norm(off, axis=1).max())
    if worst > JITTER_REFUSED:
        raise InputError(
            f"The slices in {folder.name} are not evenly spaced (off by up to {furthest:.2f} mm): export one reconstruction with "
            "even spacing."
        )
    if worst > JITTER_TOLD:
        notes.append(f"The slices in {folder.name} are slightly uneven (off by up to {furthest:.2f} mm); even spacing is assumed.")
    _check_turns(folder, stack, row, column, spacing, usual, notes)
    affine = np.eye(4)
    affine[:3, 0] = row * spacing[0]
    affine[:3, 1] = column * spacing[1]
    affine[:3, 2] = step
    affine[:3, 3] = positions[0]
    return LPS_TO_RAS @ affine


def _check_gaps(folder: Path, stack: Sequence[Slice], heights: np.ndarray) -> None:
    steps = np.diff(heights)
    usual = float(np.median(steps))
    gaps = np.flatnonzero(steps > GAP * usual)
    if len(gaps):
        gap = int(gaps[0])
        raise InputError(
            f"The series in {folder.name} lacks slices: {stack[gap].title} and {stack[gap + 1].title} are {steps[gap]:.2f} mm "
            f"apart instead of {usual:.2f} mm ({len(gaps)} such gap{'s' if len(gaps) > 1 else ''}); export the whole series."
        )


def _check_turns(
    folder: Path,
    stack: Sequence[Slice],
    row: np.ndarray,
    column: np.ndarray,
    spacing: np.ndarray,
    usual: float,
    notes: list[str],
) -> None:
    """Measure at the slices' corners how much directions and pixel spacings differ."""
    columns, rows = stack[0].shape
    off = [
        i * (item.row * item.spacing[0] - row * spacing[0]) + j * (item.column * item.spacing[1] - column * spacing[1])
        for item in stack
        for i, j in product((0, columns - 1), (0, rows - 1))
    ]
    worst = _parts(np.array(off), np.cross(row, column), usual, spacing)
    furthest = float(np.linalg.norm(off, axis=1).max())
    if worst > JITTER_REFUSED:
        raise InputError(
            f"The slices in {folder.name} differ in direction or pixel spacing (their corners by up to {furthest:.2f} mm): export "
            "one reconstruction."
        )
    if worst > JITTER_TOLD:
        notes.append(
            f"The slices in {folder.name} differ slightly in direction or pixel spacing (their corners by up to {furthest:.2f} "
            "mm); the mean is used."
        )


def _parts(off: np.ndarray, normal: np.ndarray, step: float, spacing: np.ndarray) -> float:
    """The furthest shift of points, along in parts of a step, across in parts of a pixel."""
    along = off @ normal
    across = np.linalg.norm(off - np.outer(along, normal), axis=1)
    return float(max(np.abs(along).max() / step, across.max() / spacing.min()))


def _mean(vectors: Sequence[np.ndarray]) -> np.ndarray:
    """The mean direction; bit for bit the first one where all are equal."""
    if all(np.array_equal(vector, vectors[0]) for vector in vectors[1:]):
        return vectors[0]
    mean: np.ndarray = np.mean(vectors, axis=0)
    return mean / np.linalg.norm(mean)
