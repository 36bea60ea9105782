"""The DICOM series that a result is written beside: its images, what may be copied from their headers, and stand-ins for highdicom.

Tags of the patient are read only where the patient's identity is asked for.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..io.affines import LPS_TO_RAS
from ..io.ct_values import checked_hu
from ..io.dicom import Series, find_series
from ..io.dicom_files import one_for_all
from ..io.dicom_slice import Slice
from ..io.source_files import guarded, require_existing
from ..io.volume import Volume, stem_of
from ..system.regular_files import open_regular

if TYPE_CHECKING:
    from pydicom import Dataset

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
# What every derived object needs of its source, and nothing that tells who it is.
_COPIED = [
    "SOPClassUID", "SOPInstanceUID", "NumberOfFrames", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
    "PositionReferenceIndicator", "Modality", "SpecificCharacterSet", "Manufacturer", "ManufacturerModelName", "SliceThickness",
    "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod",
]  # fmt: skip
# Of the modules Patient, General Study and Patient Study; these are type 2 and stand empty without identity.
_EMPTY = [
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
    "ReferringPhysicianName",
]  # fmt: skip
_IDENTITY = [*_EMPTY, "IssuerOfPatientID", "StudyDescription", "PatientAge", "PatientSize", "PatientWeight"]


@dataclass(frozen=True)
class Image:
    """One image that a frame is derived from.

    Attributes:
        sop_class: UID of the kind of its file.
        instance: UID of its file.
        frame: its number in the file, from 1; None where the file holds no other.
    """

    sop_class: str
    instance: str
    frame: int | None


@dataclass(frozen=True, eq=False)
class Source:
    """A series.

    Attributes:
        folder: where it lies.
        series: its slices in order.
        header: what is copied; with the patient's and the study's tags where they were asked for, else with these empty.
        images: one for each slice.
        frames: how many frames each file holds in all, by its UID.
    """

    folder: Path
    series: Series
    header: Dataset
    images: tuple[Image, ...]
    frames: dict[str, int]

    def ct(self) -> Volume:
        """The CT with its values, as :func:`~Agg2ExpLib.io.read.read_ct` reads it.

        Raises:
            InputError: its pixels cannot be read.
        """
        array, _ = checked_hu(guarded(self.folder, self.series.volume), self.folder.name)
        return Volume(array, self.series.affine, stem_of(self.folder))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Columns, rows, slices."""
        columns, rows = self.series.slices[0].shape
        return columns, rows, len(self.series.slices)

    def stand_ins(self) -> list[Dataset]:
        """A plain CT header for each slice, which is what highdicom derives from.

        Frames of enhanced images stand there as images of their own, with passing UIDs that
        :func:`~.references.point_to_source` turns into references to the frames.
        """
        lps = LPS_TO_RAS @ self.series.affine
        directions = lps[:3, :2] / np.linalg.norm(lps[:3, :2], axis=0)
        return [self._stand_in(item, image, directions) for item, image in zip(self.series.slices, self.images, strict=True)]

    def _stand_in(self, item: Slice, image: Image, directions: np.ndarray) -> Dataset:
        from copy import deepcopy

        data = deepcopy(self.header)
        data.SOPClassUID, data.SOPInstanceUID = CT_IMAGE, passing_uid(image)
        data.Columns, data.Rows = item.shape
        data.PixelSpacing = decimals(self.series.slices[0].spacing[::-1])
        data.ImageOrientationPatient = decimals(directions.T.ravel())
        data.ImagePositionPatient = decimals(item.position)
        return data


def passing_uid(image: Image) -> str:
    """UID of a stand-in: the image's own, or for a frame one made from it."""
    from pydicom.uid import generate_uid

    if image.frame is None:
        return image.instance
    return str(generate_uid(entropy_srcs=[image.instance, str(image.frame)]))


def decimals(values: Any) -> list[str]:
    """DICOM decimal strings (16 characters at most)."""
    from pydicom.valuerep import format_number_as_ds

    return [format_number_as_ds(float(value)) for value in values]


def read_source(folder: Path, with_identity: bool) -> Source:
    """Find the series in a folder and read of its headers what may be copied.

    Args:
        folder: with the CT's series.
        with_identity: whether the patient's and the study's tags are read.

    Raises:
        InputError: no DICOM folder, or a series that nothing can refer to.
    """
    require_existing(folder)
    if not folder.is_dir():
        raise InputError(
            f"{folder.name} is no folder: give the one with the DICOM series that was explained (a result of a CT in another "
            "format cannot be written as DICOM, since there is nothing to refer to)."
        )
    series = guarded(folder, lambda: find_series(folder))
    if one_for_all(series.slices):
        raise _unusable(folder, "all its images have one SOP Instance UID")
    headers = {path: guarded(path, lambda path=path: _read(path, _COPIED)) for path in dict.fromkeys(s.path for s in series.slices)}  # type: ignore[misc]
    first = headers[series.slices[0].path]
    for keyword, words in (
        ("StudyInstanceUID", "study"),
        ("SeriesInstanceUID", "series"),
        ("FrameOfReferenceUID", "frame of reference"),
    ):
        values = {str(header.get(keyword) or "") for header in headers.values()}
        if values == {""}:
            raise _unusable(folder, f"it has no {words} ({keyword})")
        if len(values) > 1:
            raise _unusable(folder, f"its images belong to more than one {words} ({keyword})")
    if not all(header.get("SOPInstanceUID") and header.get("SOPClassUID") for header in headers.values()):
        raise _unusable(folder, "an image has no SOP Instance UID")
    together = Counter(item.path for item in series.slices)
    frames = {str(header.SOPInstanceUID): int(header.get("NumberOfFrames") or 1) for header in headers.values()}
    images = []
    for item in series.slices:
        header = headers[item.path]
        many = together[item.path] > 1 or frames[str(header.SOPInstanceUID)] > 1
        images.append(Image(str(header.SOPClassUID), str(header.SOPInstanceUID), item.frame + 1 if many else None))
    return Source(folder, series, _header(first, series, with_identity), tuple(images), frames)


def _header(first: Dataset, series: Series, with_identity: bool) -> Dataset:
    from pydicom import Dataset

    header = Dataset()
    for keyword in _COPIED:
        if keyword in first and keyword not in ("SOPClassUID", "SOPInstanceUID", "NumberOfFrames", "SpecificCharacterSet"):
            header.add(first[keyword])
    if not header.get("SliceThickness"):
        header.SliceThickness = decimals([np.linalg.norm(series.affine[:3, 2])])[0]
    for keyword in _EMPTY:
        setattr(header, keyword, "")
    if with_identity:
        path = series.slices[0].path
        theirs = guarded(path, lambda: _read(path, [*_IDENTITY, "SpecificCharacterSet"]))
        for keyword in _IDENTITY:
            if theirs.get(keyword) not in (None, ""):
                setattr(header, keyword, _value(keyword, theirs[keyword].value))
    return header


def _value(keyword: str, value: Any) -> Any:
    """A tag of the patient or study for an object that is written anew in UTF-8; nothing where the standard forbids what it is."""
    text = str(value)
    if keyword in ("PatientName", "ReferringPhysicianName"):
        return text
    if keyword == "PatientSex":
        return text if text in ("M", "F", "O") else ""
    if keyword in ("PatientBirthDate", "StudyDate"):
        return text if re.fullmatch(r"\d{8}", text) else ""
    if keyword == "StudyTime":
        return text if re.fullmatch(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?", text) else ""
    return value


def _read(path: Path, keywords: list[str]) -> Any:
    import pydicom

    with open_regular(path) as stream:
        marked = stream.read(132)[128:] == b"DICM"
        stream.seek(0)
        return pydicom.dcmread(stream, force=not marked, stop_before_pixels=True, specific_tags=list(keywords))


def _unusable(folder: Path, why: str) -> InputError:
    return InputError(f"Nothing can refer to the series in {folder.name}, since {why}: export it again, without such changes.")
