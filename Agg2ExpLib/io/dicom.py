"""Reading a CT from a folder of DICOM files: pydicom reads the headers, GDCM (in SimpleITK) decodes the pixels.

The affine is built from the tags of every slice (DICOM PS3.3, C.7.6.2.1.1), so a tilted gantry gives its exact sheared grid. No
patient tag is ever read.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .nifti import fits_int16

TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "ImageType",
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "InstanceNumber",
    "NumberOfFrames",
    "SamplesPerPixel",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
]
HEADER_SUFFIXES = (".dcm", ".dicom", ".ima", "")
# Direction cosines this close belong to the same stack.
SAME_DIRECTION = 1e-3
# A step between slices this many times the usual one means that slices are missing.
GAP = 1.5
# How far slices may lie from even spacing, in parts of the step (along) or of a pixel (across), before it is said or refused.
JITTER_TOLD = 0.1
JITTER_REFUSED = 0.5


class _NonsenseError(InputError):
    """An image whose place in the patient cannot be meant; it matters only where nothing better is found."""


@dataclass(frozen=True, eq=False)
class Slice:
    """One image file's place and kind.

    Attributes:
        path: the file.
        instance: SOP Instance UID, to find copies.
        series: Series Instance UID.
        modality: "CT", "PT", …
        shape: columns, rows.
        spacing: mm between columns, mm between rows.
        position: patient LPS mm of the centre of the first pixel.
        row, column: LPS unit vectors along a row (columns increase) and down a column (rows increase).
        phase: acquisition and temporal position numbers, which tell repeated scans of one place apart.
    """

    path: Path
    instance: str
    series: str
    modality: str
    shape: tuple[int, int]
    spacing: tuple[float, float]
    position: np.ndarray
    row: np.ndarray
    column: np.ndarray
    phase: tuple[str, str]

    @property
    def normal(self) -> np.ndarray:
        """LPS unit vector across the slice, right-handed with row and column."""
        return np.cross(self.row, self.column)

    @property
    def height(self) -> float:
        """Position along the normal in mm."""
        return float(self.position @ self.normal)

    def stacks_with(self, other: Slice) -> bool:
        """Whether both can be slices of one volume."""
        return (
            self.series == other.series
            and self.shape == other.shape
            and np.allclose(self.spacing, other.spacing, rtol=1e-4)
            and np.allclose(self.row, other.row, atol=SAME_DIRECTION)
            and np.allclose(self.column, other.column, atol=SAME_DIRECTION)
        )


def read_series(folder: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The CT series with the most slices in a folder (searched with its subfolders).

    Returns:
        HU ``[x, y, z]`` (x along rows, y down columns, z across slices; int16 where the values are whole numbers, else float32),
        the 4×4 affine voxel → patient RAS mm, and sentences for the user.

    Raises:
        InputError: no DICOM images, slices missing or unevenly spaced, or pixels that cannot be decoded.
    """
    stacks = _stacks(_find_slices(folder))
    if not stacks:
        raise InputError(f"The folder {folder.name} holds no DICOM image slices: give the folder with the CT series.")
    notes: list[str] = []
    stack = _choose(folder, stacks, notes)
    stack = _one_phase(folder, stack, notes)
    if len(stack) < 2:
        raise InputError(f"The DICOM series in {folder.name} has a single slice: give the folder with the whole series.")
    affine = _affine(folder, stack, notes)
    return _read_pixels(stack), affine, notes


def _find_slices(folder: Path) -> list[Slice]:
    """Every 2D image slice with a place in the patient, in the order of the paths."""
    paths = sorted(Path(root) / name for root, _, names in os.walk(folder) for name in names)
    slices: dict[str, Slice] = {}
    multi_frame: Path | None = None
    nonsense: _NonsenseError | None = None
    for path in paths:
        header = _read_tags(path)
        if header is None:
            continue
        if int(header.get("NumberOfFrames") or 1) > 1:
            multi_frame = multi_frame or path
            continue
        try:
            found = _slice(path, header)
        except _NonsenseError as error:
            nonsense = nonsense or error
            continue
        # A copy of a file has the same instance.
        if found is not None:
            slices.setdefault(found.instance or str(path), found)
    if multi_frame is not None and not slices:
        raise InputError(
            f"{multi_frame.name} is a multi-frame (enhanced) DICOM file, which is not supported: convert it to NIfTI, for example "
            "with dcm2niix or 3D Slicer."
        )
    if nonsense is not None and not slices:
        raise nonsense
    return list(slices.values())


def _read_tags(path: Path) -> Any:
    """The header's few tags we need (a pydicom ``Dataset``), or None for a file that is not DICOM."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        with path.open("rb") as stream:
            marked = stream.read(132)[128:] == b"DICM"
        # Old files lack the mark; only those that look like DICOM by name are tried.
        if not marked and path.suffix.lower() not in HEADER_SUFFIXES:
            return None
        with warnings.catch_warnings():
            # Guessing at an unmarked file is noisy; what matters is checked from the tags.
            warnings.simplefilter("ignore")
            return pydicom.dcmread(path, stop_before_pixels=True, force=not marked, specific_tags=TAGS)
    except PermissionError:
        raise
    except (InvalidDicomError, OSError, EOFError, ValueError, KeyError, NotImplementedError, AttributeError, TypeError):
        return None


def _slice(path: Path, header: Any) -> Slice | None:
    """The header as a Slice; None for localizers and for what is no image in patient space."""
    try:
        kinds = [str(part).upper() for part in header.get("ImageType") or ()]
        if "LOCALIZER" in kinds or int(header.get("SamplesPerPixel", 1)) != 1:
            return None
        position = np.array([float(value) for value in header.ImagePositionPatient])
        cosines = np.array([float(value) for value in header.ImageOrientationPatient])
        between_rows, between_columns = (float(value) for value in header.PixelSpacing)
        shape = (int(header.Columns), int(header.Rows))
        row, column = cosines[:3] / np.linalg.norm(cosines[:3]), cosines[3:] / np.linalg.norm(cosines[3:])
    except (AttributeError, TypeError, ValueError):
        return None
    usable = position.shape == (3,) and cosines.shape == (6,) and np.isfinite([*position, *row, *column]).all()
    if not usable or between_rows <= 0 or between_columns <= 0 or min(shape) < 1 or abs(row @ column) > 0.01:
        raise _NonsenseError(f"{path.name} has a pixel spacing, position or orientation that makes no sense: export it again.")
    return Slice(
        path=path,
        instance=str(header.get("SOPInstanceUID", "")),
        series=str(header.get("SeriesInstanceUID", "")),
        modality=str(header.get("Modality", "")),
        shape=shape,
        spacing=(between_columns, between_rows),
        position=position,
        row=row,
        column=column,
        phase=(str(header.get("AcquisitionNumber", "")), str(header.get("TemporalPositionIdentifier", ""))),
    )


def _stacks(slices: list[Slice]) -> list[list[Slice]]:
    """Slices that can form one volume together."""
    stacks: list[list[Slice]] = []
    for item in slices:
        for stack in stacks:
            if stack[0].stacks_with(item):
                stack.append(item)
                break
        else:
            stacks.append([item])
    return stacks


def _choose(folder: Path, stacks: list[list[Slice]], notes: list[str]) -> list[Slice]:
    """The CT stack with the most slices, or the largest of another modality where there is no CT."""
    ranked = sorted(stacks, key=lambda stack: (stack[0].modality != "CT", -len(stack)))
    chosen = ranked[0]
    if len(ranked) > 1:
        notes.append(
            f"{folder.name} holds {len(ranked)} DICOM series or parts of series; the CT with the most slices ({len(chosen)}) is "
            "used: to use another, give a folder with it alone."
        )
    if chosen[0].modality != "CT":
        modality = chosen[0].modality or "unknown"
        notes.append(f"The DICOM series in {folder.name} is of modality {modality}, not CT: its values are not in HU.")
    return chosen


def _one_phase(folder: Path, stack: list[Slice], notes: list[str]) -> list[Slice]:
    """The slices in order along their normal, one at each place."""
    ordered = _by_height(stack)
    if not _repeats(ordered):
        return ordered
    # Several scans of the same place in one series: acquisitions or time points.
    for key in (lambda item: item.phase[:1], lambda item: item.phase[1:], lambda item: item.phase):
        best = _largest_phase(ordered, key)
        if best is not None:
            notes.append(
                f"The series in {folder.name} holds more than one scan of the same place; the one with the most slices "
                f"({len(best)} of {len(stack)}) is used."
            )
            return best
    raise InputError(f"Several different slices in {folder.name} lie at the same place: export one phase of the scan only.")


def _largest_phase(ordered: list[Slice], key: Callable[[Slice], tuple[str, ...]]) -> list[Slice] | None:
    """The largest group by ``key``; None where the groups still repeat places."""
    largest = Counter(key(item) for item in ordered).most_common(1)[0][0]
    group = [item for item in ordered if key(item) == largest]
    return group if len(group) < len(ordered) and not _repeats(group) else None


def _by_height(stack: list[Slice]) -> list[Slice]:
    normal = stack[0].normal
    return sorted(stack, key=lambda item: float(item.position @ normal))


def _repeats(ordered: list[Slice]) -> bool:
    """Whether neighbouring slices lie at the same place."""
    steps = np.diff([item.position @ ordered[0].normal for item in ordered])
    return bool(len(steps) and (steps <= 1e-3).any())


def _affine(folder: Path, stack: list[Slice], notes: list[str]) -> np.ndarray:
    """Voxel (column, row, slice) → RAS mm, after checking that the slices are evenly spaced."""
    first = stack[0]
    positions = np.array([item.position for item in stack])
    heights = positions @ first.normal
    steps = np.diff(heights)
    usual = float(np.median(steps))
    gaps = np.flatnonzero(steps > GAP * usual)
    if len(gaps):
        gap = int(gaps[0])
        raise InputError(
            f"The series in {folder.name} lacks slices: {stack[gap].path.name} and {stack[gap + 1].path.name} are "
            f"{steps[gap]:.2f} mm apart instead of {usual:.2f} mm ({len(gaps)} such gap{'s' if len(gaps) > 1 else ''}); export the "
            "whole series."
        )
    step = (positions[-1] - positions[0]) / (len(stack) - 1)
    off = positions - (positions[0] + np.arange(len(stack))[:, None] * step)
    along = np.abs(off @ first.normal) / usual
    across = np.linalg.norm(off - np.outer(off @ first.normal, first.normal), axis=1) / min(first.spacing)
    worst = float(max(along.max(), across.max()))
    furthest = float(np.linalg.norm(off, axis=1).max())
    if worst > JITTER_REFUSED:
        raise InputError(
            f"The slices in {folder.name} are not evenly spaced (off by up to {furthest:.2f} mm): export one reconstruction with "
            "even spacing."
        )
    if worst > JITTER_TOLD:
        notes.append(f"The slices in {folder.name} are slightly uneven (off by up to {furthest:.2f} mm); even spacing is assumed.")
    affine = np.eye(4)
    affine[:3, 0] = first.row * first.spacing[0]
    affine[:3, 1] = first.column * first.spacing[1]
    affine[:3, 2] = step
    affine[:3, 3] = first.position
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def _read_pixels(stack: list[Slice]) -> np.ndarray:
    """HU ``[x, y, z]`` in Fortran order; every slice with its own rescale."""
    columns, rows = stack[0].shape
    volume = np.empty((columns, rows, len(stack)), dtype=np.int16, order="F")
    for position, item in enumerate(stack):
        pixels = _decode(item)
        if volume.dtype == np.int16 and not _is_int16(pixels):
            volume = volume.astype(np.float32, order="F")
        volume[:, :, position] = pixels.T
    return volume


def _is_int16(pixels: np.ndarray) -> bool:
    whole = pixels.dtype.kind in "iu" or bool((pixels == np.rint(pixels)).all())
    return whole and fits_int16(pixels.min(), pixels.max())


def _decode(item: Slice) -> np.ndarray:
    """One slice's values ``[row, column]``, rescaled by its own slope and intercept."""
    import SimpleITK

    try:
        pixels = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(item.path)))
    except RuntimeError as error:
        raise InputError(
            f"The pixels of {item.path.name} cannot be decoded (damaged, or an unknown compression): export the series again, "
            "uncompressed."
        ) from error
    if pixels.size != item.shape[0] * item.shape[1]:
        raise InputError(f"{item.path.name} has other pixels than its header says: export the series again.")
    return pixels.reshape(item.shape[1], item.shape[0])
