"""One image of a DICOM series: its place, its kind, and what tells it apart from others of the same place.

Position, orientation and spacing are those of DICOM PS3.3, C.7.6.2.1.1; of enhanced images, which keep them in functional groups
for every frame, those of C.7.6.16. No patient tag is ever read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

# What must agree in one volume, unless its values follow one another along it: tag and words. The first of them is told.
TRAITS = {
    "TemporalPositionIdentifier": "temporal position",
    "TemporalPositionIndex": "temporal position",
    "AcquisitionNumber": "acquisition number",
    "FrameAcquisitionNumber": "acquisition number",
    "ContrastBolusAgent": "contrast agent",
    "ContrastBolusAgentAdministered": "contrast agent",
    "ContrastBolusAgentPhase": "contrast phase",
    "ConvolutionKernel": "kernel",
    "SliceThickness": "slice thickness",
    "NominalPercentageOfCardiacPhase": "cardiac phase",
    "NominalCardiacTriggerDelayTime": "cardiac phase",
    "TriggerTime": "trigger time",
    "KVP": "tube voltage",
    "MonoenergeticEnergyEquivalent": "energy",
    "ImageType": "image type",
    "FrameType": "image type",
    "FilterType": "filter",
    "ScanOptions": "scan options",
    "ReconstructionAlgorithm": "reconstruction",
    "ReconstructionDiameter": "reconstruction diameter",
    "StackID": "stack",
    "EchoTime": "echo time",
    "AcquisitionTime": "acquisition time",
}
# Read of every file; of an enhanced one the functional groups hold the rest.
TAGS = [
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality", "InstanceNumber", "NumberOfFrames",
    "SamplesPerPixel", "Rows", "Columns", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient",
    "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", *TRAITS,
]  # fmt: skip
MOST_FRAMES = 100_000
# Classes whose images are slices: a file of such a class without an image is cut.
IMAGE_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.2.2",
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.4.1",
    "1.2.840.10008.5.1.4.1.1.128",
    "1.2.840.10008.5.1.4.1.1.130",
)


class UnusableError(Exception):
    """An image that cannot be a slice; the text completes "1 file …"."""


@dataclass(frozen=True, eq=False)
class Slice:
    """One image's place and kind.

    Attributes:
        path: the file.
        frame: number of the image in the file, from 0.
        instance: SOP Instance UID.
        series: Series Instance UID, with the frame of reference.
        modality: "CT", "PT", …
        shape: columns, rows.
        spacing: mm between columns, mm between rows.
        position: patient LPS mm of the centre of the first pixel.
        row, column: LPS unit vectors along a row (columns increase) and down a column (rows increase).
        rescale: slope and intercept from stored values to HU; None where there are none, NaN where they cannot be read.
        traits: values of :data:`TRAITS`.
    """

    path: Path
    frame: int
    instance: str
    series: tuple[str, str]
    modality: str
    shape: tuple[int, int]
    spacing: tuple[float, float]
    position: np.ndarray
    row: np.ndarray
    column: np.ndarray
    rescale: tuple[float, float] | None
    traits: Mapping[str, str] = field(default_factory=dict)

    @property
    def normal(self) -> np.ndarray:
        """LPS unit vector across the slice, right-handed with row and column."""
        return np.cross(self.row, self.column)

    @property
    def title(self) -> str:
        """The file, and the frame where it is not the first."""
        return f"{self.path.name}, frame {self.frame + 1}" if self.frame else self.path.name


def slices_of(path: Path, header: Any) -> Iterator[Slice]:
    """The images of a file.

    Raises:
        UnusableError: why it has none.
    """
    frames = _number(header.get("NumberOfFrames")) or 1
    groups = header.get("PerFrameFunctionalGroupsSequence")
    if frames < 1 or frames > MOST_FRAMES:
        raise UnusableError("cut or damaged")
    if groups is None and frames > 1:
        raise UnusableError("with several frames whose places are not given")
    if groups is not None and len(groups) != frames:
        raise UnusableError("cut or damaged")
    shared = _flat(header.get("SharedFunctionalGroupsSequence") or [])
    for frame in range(int(frames)):
        own = _flat([groups[frame]]) if groups is not None else {}
        yield _slice(path, frame, _Values([own, shared, _top(header)]), header)


def _top(header: Any) -> dict[str, Any]:
    return {element.keyword: element for element in header if element.VR != "SQ"}


def _flat(items: Any) -> dict[str, Any]:
    """The elements of functional groups (sequences of one item each) by keyword."""
    found = {}
    for item in items:
        for element in item:
            if element.VR != "SQ":
                found[element.keyword] = element
            elif element.value:
                found |= {inner.keyword: inner for inner in element.value[0] if inner.VR != "SQ"}
    return found


class _Values:
    """Elements of a frame: its own, those of all frames, those of the file."""

    def __init__(self, places: list[dict[str, Any]]):
        self._places = places

    def get(self, keyword: str) -> Any:
        """The value, or None where it is missing or empty."""
        for place in self._places:
            if keyword in place:
                value = place[keyword].value
                return None if value == "" else value
        return None

    def numbers(self, keyword: str, count: int) -> np.ndarray:
        """``count`` finite numbers.

        Raises:
            UnusableError: others, or none.
        """
        words = {"ImagePositionPatient": "position", "ImageOrientationPatient": "orientation", "PixelSpacing": "pixel spacing"}
        try:
            value = self.get(keyword)
            if value is None:
                raise UnusableError(f"without a {words[keyword]} in the patient".replace("a orientation", "an orientation"))
            values = np.array([float(part) for part in value], dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            values = np.empty(0)
        if values.shape != (count,) or not np.isfinite(values).all() or np.abs(values).max() > 1e6:
            raise UnusableError(f"with a {words[keyword]} that makes no sense".replace("a orientation", "an orientation"))
        return values


def _slice(path: Path, frame: int, values: _Values, header: Any) -> Slice:
    kinds = {str(part).upper() for key in ("ImageType", "FrameType") for part in _parts(values.get(key))}
    if "LOCALIZER" in kinds:
        raise UnusableError("localizer")
    if (_number(values.get("SamplesPerPixel")) or 1) != 1:
        raise UnusableError("in colour")
    position = values.numbers("ImagePositionPatient", 3)
    cosines = values.numbers("ImageOrientationPatient", 6)
    between_rows, between_columns = values.numbers("PixelSpacing", 2)
    columns, rows = _number(values.get("Columns")), _number(values.get("Rows"))
    lengths = np.linalg.norm(cosines.reshape(2, 3), axis=1)
    if not (np.abs(lengths - 1) < 0.1).all():
        raise UnusableError("with an orientation that makes no sense")
    row, column = cosines[:3] / lengths[0], cosines[3:] / lengths[1]
    if abs(row @ column) > 0.01:
        raise UnusableError("with an orientation that makes no sense")
    if between_rows <= 0 or between_columns <= 0:
        raise UnusableError("with a pixel spacing that makes no sense")
    if columns < 1 or rows < 1:
        raise UnusableError("cut or damaged")
    return Slice(
        path=path,
        frame=frame,
        instance=str(header.get("SOPInstanceUID", "")),
        series=series_of(header),
        modality=str(header.get("Modality", "")),
        shape=(int(columns), int(rows)),
        spacing=(float(between_columns), float(between_rows)),
        position=position,
        row=row,
        column=column,
        rescale=_rescale(values, header),
        traits={key: text for key in TRAITS if (text := _text(values, key))},
    )


def series_of(header: Any) -> tuple[str, str]:
    """Series and frame of reference of a header."""
    return str(header.get("SeriesInstanceUID", "")), str(header.get("FrameOfReferenceUID", ""))


def _rescale(values: _Values, header: Any) -> tuple[float, float] | None:
    try:
        slope, intercept = values.get("RescaleSlope"), values.get("RescaleIntercept")
        if slope is None and intercept is None:
            return (float("nan"), 0.0) if header.get("ModalityLUTSequence") else None
        found = float(slope), float(intercept)
    except (TypeError, ValueError, OverflowError):
        return float("nan"), 0.0
    return found if np.isfinite(found).all() and found[0] != 0 else (float("nan"), 0.0)


def _text(values: _Values, keyword: str) -> str:
    """A trait's value as a text that compares, or nothing."""
    try:
        value = values.get(keyword)
        parts = [str(part) for part in _parts(value)]
    except (TypeError, ValueError):
        return "unreadable"
    texts = []
    for part in parts:
        try:
            texts.append(f"{float(part):.6g}")
        except ValueError:
            texts.append(part.strip())
    return "\\".join(texts)


def _parts(value: Any) -> list[Any]:
    if value is None:
        return []
    return [value] if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__") else list(value)


def _number(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return 0
