"""Reading a CT from a folder of DICOM files: plain slices, one a file, and enhanced images with many frames or one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from .dicom_choice import choose_stack, one_scan
from .dicom_files import find_slices, one_for_all
from .dicom_pixels import Pixels
from .dicom_place import affine_of
from .dicom_slice import Slice


@dataclass(frozen=True, eq=False)
class Series:
    """The slices that form the volume of a folder.

    Attributes:
        slices: in order along their normal, each place once.
        affine: 4×4, voxel (column, row, slice) → patient RAS mm.
        notes: sentences for the user.
        pixels: reads their pixels.
    """

    slices: tuple[Slice, ...]
    affine: np.ndarray
    notes: tuple[str, ...]
    pixels: Pixels

    def volume(self) -> np.ndarray:
        """HU ``[x, y, z]``: x along rows, y down columns, z across slices; see :meth:`.dicom_pixels.Pixels.volume`."""
        return self.pixels.volume(self.slices)


def read_series(folder: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The CT series that covers the most places in a folder (searched with its subfolders, links followed).

    Returns:
        HU ``[x, y, z]`` (x along rows, y down columns, z across slices; int16 where the values are whole numbers, else float32),
        the 4×4 affine voxel → patient RAS mm, and sentences for the user.

    Raises:
        InputError: no DICOM images, slices missing or unevenly spaced, or pixels that cannot be decoded.
    """
    series = find_series(folder)
    return series.volume(), series.affine, list(series.notes)


def find_series(folder: Path) -> Series:
    """The slices that :func:`read_series` reads, without their pixels.

    Raises:
        InputError: as :func:`read_series`.
    """
    found = find_slices(folder)
    if not found.slices:
        if told := found.told():
            raise InputError(
                f"The folder {folder.name} holds no DICOM image slices that can be used, only {told}: export it again."
            )
        raise InputError(f"The folder {folder.name} holds no DICOM image slices: give the folder with the CT series.")
    notes: list[str] = []
    stack = choose_stack(folder, found.slices, notes)
    told = found.told(stack[0].series)
    if one_for_all(stack):
        notes.append(f"All files in {folder.name} have the same SOP Instance UID; they were told apart by their places.")
    _check_rescale(folder, stack, notes)
    pixels = Pixels()
    stack = one_scan(folder, stack, pixels.same, notes)
    if len(stack) < 2:
        more = f" beside {told}" if told else ""
        raise InputError(f"The DICOM series in {folder.name} has a single slice{more}: give the folder with the whole series.")
    if told:
        notes.append(f"Left out of {folder.name}: {told}; check that no slice of the series is missing.")
    affine = affine_of(folder, stack, notes)
    return Series(tuple(stack), affine, tuple(notes), pixels)


def _check_rescale(folder: Path, stack: Sequence[Slice], notes: list[str]) -> None:
    """Refuse slices whose values would be shifted against the others'."""
    for item in stack:
        if item.rescale is not None and np.isnan(item.rescale[0]):
            raise InputError(f"{item.title} has a rescale to HU that cannot be read: export the series again.")
    lacking = [item for item in stack if item.rescale is None]
    if lacking and len(lacking) < len(stack):
        raise InputError(
            f"{lacking[0].title} has no rescale to HU (RescaleIntercept), which other slices of {folder.name} have "
            f"({len(lacking)} of {len(stack)} lack it): export the series again."
        )
    if lacking and stack[0].modality == "CT":
        notes.append(f"The slices in {folder.name} have no rescale to HU: their values are taken as stored.")
