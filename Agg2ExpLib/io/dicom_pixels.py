"""The pixels of DICOM images: as stored, then rescaled to HU by slope and intercept and by nothing else.

Uncompressed pixels are taken from the file's bytes, run lengths by pydicom, and JPEG of all kinds by GDCM (in SimpleITK), which
gets each image by itself in a file without a rescale: ITK inverts MONOCHROME1, which is a matter of display (PS3.3, C.7.6.3.1.2).
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..system.memory import require_memory
from ..system.regular_files import open_regular
from .dicom_slice import Slice
from .rescale import fits_int16, rescaled

TAGS = [
    "SOPClassUID", "SOPInstanceUID", "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData",
]  # fmt: skip
NATIVE = {
    "1.2.840.10008.1.2": "<",
    "1.2.840.10008.1.2.1": "<",
    "1.2.840.10008.1.2.1.99": "<",
    "1.2.840.10008.1.2.2": ">",
}
RUN_LENGTHS = "1.2.840.10008.1.2.5"


class Pixels:
    """Reads images; keeps the last file at hand, since all frames of an enhanced image lie in one."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._data: Any = None
        self._frames: list[bytes] | None = None
        self._decoded: np.ndarray | None = None

    def volume(self, stack: Sequence[Slice]) -> np.ndarray:
        """HU ``[x, y, z]`` in Fortran order: int16 where the values are whole numbers, else float32; each slice by its own rescale.

        Raises:
            InputError: pixels that cannot be decoded, or memory that does not suffice.
        """
        columns, rows = stack[0].shape
        require_memory(columns * rows * (2 * len(stack) + 8), f"The DICOM series ({columns} × {rows} × {len(stack)} voxels)")
        volume = np.empty((columns, rows, len(stack)), dtype=np.int16, order="F")
        for position, item in enumerate(stack):
            slope, intercept = item.rescale or (1.0, 0.0)
            pixels = rescaled(self.stored(item), slope, intercept)
            if volume.dtype == np.int16 and not _is_int16(pixels):
                volume = volume.astype(np.float32, order="F")
            volume[:, :, position] = pixels.T
        return volume

    def same(self, one: Slice, other: Slice) -> bool:
        """Whether two images are alike, pixel by pixel, once rescaled."""
        first = rescaled(self.stored(one), *(one.rescale or (1.0, 0.0)))
        return np.array_equal(first, rescaled(self.stored(other), *(other.rescale or (1.0, 0.0))))

    def stored(self, item: Slice) -> np.ndarray:
        """One image's stored values ``[row, column]``, a new array.

        Raises:
            InputError: they cannot be decoded.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if self._path != item.path:
                    self._open(item)
                pixels = self._decode(item)
        except (InputError, MemoryError, OSError):
            raise
        except Exception as error:  # damaged data makes the decoders raise whatever their inner layers raise
            raise _undecodable(item) from error
        if pixels.size != item.shape[0] * item.shape[1]:
            raise InputError(f"{item.path.name} has other pixels than its header says: export the series again.")
        return _meant(pixels.reshape(item.shape[1], item.shape[0]), self._data, item)

    def _open(self, item: Slice) -> None:
        import pydicom

        self._path, self._frames, self._decoded = None, None, None
        with open_regular(item.path) as stream:
            marked = stream.read(132)[128:] == b"DICM"
            stream.seek(0)
            self._data = pydicom.dcmread(stream, force=not marked, specific_tags=TAGS)
        if "PixelData" not in self._data:
            raise _undecodable(item)
        if not hasattr(self._data, "file_meta") or "TransferSyntaxUID" not in self._data.file_meta:
            self._data.file_meta = pydicom.dataset.FileMetaDataset()
            self._data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
        self._path = item.path

    def _decode(self, item: Slice) -> np.ndarray:
        data = self._data
        syntax = str(data.file_meta.TransferSyntaxUID)
        frames = int(data.get("NumberOfFrames") or 1)
        if syntax in NATIVE:
            return _native(item, data, frames, NATIVE[syntax])
        if syntax == RUN_LENGTHS:
            if self._decoded is None:
                self._decoded = np.asarray(data.pixel_array).reshape(frames, -1)
            return self._decoded[item.frame].copy()
        if self._frames is None:
            self._frames = _encapsulated(data.PixelData, frames)
        if len(self._frames) != frames:
            raise _undecodable(item)
        return _by_gdcm(item, data, self._frames[item.frame])


def _native(item: Slice, data: Any, frames: int, order: str) -> np.ndarray:
    columns, rows = item.shape
    bits = int(data.BitsAllocated)
    if bits not in (8, 16, 32):
        raise _undecodable(item)
    size = rows * columns * bits // 8
    content = data.PixelData
    if len(content) < size * frames:
        raise InputError(f"{item.path.name} is cut: some of its pixels are missing, so copy or export the series again.")
    if any(content[size * frames :]):
        raise InputError(f"{item.path.name} has other pixels than its header says: export the series again.")
    kind = np.dtype(f"{order}{'i' if data.PixelRepresentation else 'u'}{bits // 8}")
    pixels = np.frombuffer(content, dtype=kind, count=rows * columns, offset=item.frame * size)
    return pixels.astype(kind.newbyteorder("="))


def _encapsulated(content: bytes, frames: int) -> list[bytes]:
    """The compressed bytes of every frame."""
    from pydicom import encaps

    if hasattr(encaps, "generate_frames"):
        return list(encaps.generate_frames(content, number_of_frames=frames))
    return list(encaps.generate_pixel_data_frame(content, frames))


def _by_gdcm(item: Slice, data: Any, frame: bytes) -> np.ndarray:
    import pydicom
    import SimpleITK
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    # Each kind of JPEG ends with its end marker; decoders fill up what is missing.
    if not frame.rstrip(b"\0").endswith(b"\xff\xd9"):
        raise InputError(f"{item.path.name} is cut: some of its pixels are missing, so copy or export the series again.")
    single = pydicom.Dataset()
    single.file_meta = pydicom.dataset.FileMetaDataset()
    single.file_meta.TransferSyntaxUID = data.file_meta.TransferSyntaxUID
    # The plain CT class: GDCM wants the functional groups of an enhanced one.
    single.file_meta.MediaStorageSOPClassUID = single.SOPClassUID = UID("1.2.840.10008.5.1.4.1.1.2")
    single.file_meta.MediaStorageSOPInstanceUID = single.SOPInstanceUID = UID("1.2.3")
    single.SamplesPerPixel, single.PhotometricInterpretation = 1, "MONOCHROME2"
    for tag in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"):
        setattr(single, tag, data[tag].value)
    single.RescaleSlope, single.RescaleIntercept = 1, 0
    single.PixelData = encapsulate([frame])
    single["PixelData"].VR = "OB"
    with tempfile.TemporaryDirectory(prefix="agg2exp-") as folder:
        path = Path(folder) / "image.dcm"
        if pydicom.__version__.startswith("2."):
            single.is_little_endian, single.is_implicit_VR = True, False
            single.save_as(path, write_like_original=False)
        else:
            single.save_as(path, enforce_file_format=True)
        SimpleITK.ProcessObject.GlobalWarningDisplayOff()  # what is wrong is said in a sentence
        image = SimpleITK.ReadImage(str(path))
    return np.array(SimpleITK.GetArrayFromImage(image))


def _meant(pixels: np.ndarray, data: Any, item: Slice) -> np.ndarray:
    """The bits that count: other uses of the bits beside them (old overlays) are cut off, and the sign is carried up."""
    allocated, stored, high = int(data.BitsAllocated), int(data.BitsStored), int(data.HighBit)
    if not 1 <= stored <= allocated or high != stored - 1:
        raise _undecodable(item)
    if stored == allocated or pixels.dtype.itemsize * 8 != allocated or pixels.dtype.kind not in "iu":
        return pixels
    shift = allocated - stored
    return np.right_shift(np.left_shift(pixels, shift), shift)


def _is_int16(pixels: np.ndarray) -> bool:
    whole = pixels.dtype.kind in "iu" or bool((pixels == np.rint(pixels)).all())
    return whole and fits_int16(pixels.min(), pixels.max())


def _undecodable(item: Slice) -> InputError:
    return InputError(
        f"The pixels of {item.path.name} cannot be decoded (damaged, or an unknown compression): export the series again, "
        "uncompressed."
    )
