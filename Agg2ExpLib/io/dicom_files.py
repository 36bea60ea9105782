"""Finds the DICOM images in a folder, and remembers what was left out and why."""

from __future__ import annotations

import warnings
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..system.memory import MOST_INFLATION, free_memory
from ..system.regular_files import is_regular, open_regular
from .dicom_slice import IMAGE_CLASSES, TAGS, Slice, UnusableError, series_of, slices_of
from .source_files import files_in

# Old files lack the mark of DICOM; only those that look like it by name are tried.
HEADER_SUFFIXES = (".dcm", ".dicom", ".ima", "")
DEFLATED = b"1.2.840.10008.1.2.1.99"
READ_BYTES = 1 << 20


@dataclass(frozen=True)
class LeftOut:
    """A file that is no slice, why, and its series and frame of reference (empty where these are not known)."""

    path: Path
    reason: str
    series: tuple[str, str] = ("", "")


@dataclass
class Found:
    """What a folder holds."""

    slices: list[Slice] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    def told(self, series: tuple[str, str] | None = None) -> str:
        """Which files were left out and why, for the end of a sentence; of one series, and those whose series is not known.

        Returns:
            Such as ``2 files (1 empty, 1 in colour, first 0003.dcm)``, or nothing.
        """
        mine = [one for one in self.left_out if series is None or not one.series[0] or one.series[0] == series[0]]
        if not mine:
            return ""
        reasons = Counter(one.reason for one in mine)
        listed = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        return f"{len(mine)} file{'s' if len(mine) > 1 else ''} ({listed}; first {mine[0].path.name})"


def find_slices(folder: Path) -> Found:
    """Every image with a place in the patient, in the order of the paths; links are followed, hidden files left out."""
    found = Found()
    for path in files_in(folder):
        try:
            header = _read_tags(path)
        except UnusableError as error:
            found.left_out.append(LeftOut(path, str(error)))
            continue
        if header is None:
            continue
        try:
            # A reader of damaged data raises whatever its inner layers raise.
            found.slices += list(slices_of(path, header))
        except UnusableError as error:
            found.left_out.append(LeftOut(path, str(error), _series(header)))
        except Exception:
            found.left_out.append(LeftOut(path, "cut or damaged", _series(header)))
    return found


def _series(header: Any) -> tuple[str, str]:
    try:
        return series_of(header)
    except Exception:
        return "", ""


def _read_tags(path: Path) -> Any:
    """The header's few tags we need (a pydicom ``Dataset``), or None for a file that holds no DICOM image.

    Raises:
        UnusableError: a file that looks like DICOM and cannot be used.
    """
    import pydicom

    by_name = path.suffix.lower() in HEADER_SUFFIXES
    if not is_regular(path):
        if by_name:
            raise UnusableError("link that leads nowhere" if path.is_symlink() else "pipe or device")
        return None
    with open_regular(path) as stream:
        start = stream.read(1024)
        marked = start[128:132] == b"DICM"
        if not marked and not by_name:
            return None
        if not start:
            raise UnusableError("empty")
        if marked and DEFLATED in start:
            _check_deflated(path)
        stream.seek(0)
        try:
            with warnings.catch_warnings():
                # Guessing at an unmarked file is noisy; what matters is checked from the tags.
                warnings.simplefilter("ignore")
                header = pydicom.dcmread(stream, stop_before_pixels=True, force=not marked, specific_tags=TAGS)
                kind = str(header.get("SOPClassUID", ""))
                stored = str(getattr(header, "file_meta", {}).get("MediaStorageSOPClassUID", ""))
                image = "Rows" in header or "PerFrameFunctionalGroupsSequence" in header
        except OSError:
            raise
        except Exception:  # damaged data makes pydicom raise whatever its inner layers raise
            if marked:
                raise UnusableError("cut or damaged") from None
            return None
    if not image:
        if marked and (not kind or kind in IMAGE_CLASSES or stored in IMAGE_CLASSES):
            raise UnusableError("cut or damaged")
        return None
    return header if marked or kind else None


def _check_deflated(path: Path) -> None:
    """Refuse a file of the deflated transfer syntax whose stream is not whole or too large, before pydicom inflates it at once."""
    with open_regular(path) as stream:
        stream.seek(132)
        group = stream.read(12)
        if group[:4] != b"\x02\x00\x00\x00" or group[4:6] != b"UL":
            raise UnusableError("cut or damaged")
        stream.seek(144 + int.from_bytes(group[8:12], "little"))
        size = path.stat().st_size * MOST_INFLATION
        most = min(free_memory() / 4, 2**31) if size > 2**26 else size
        decoder = zlib.decompressobj(-zlib.MAX_WBITS)
        length, data = 0, b""
        try:
            while not decoder.eof:
                data = decoder.unconsumed_tail or stream.read(READ_BYTES)
                if not data:
                    raise UnusableError("cut or damaged")
                length += len(decoder.decompress(data, READ_BYTES))
                if length > most:
                    raise UnusableError("too large when it is inflated")
        except zlib.error:
            raise UnusableError("cut or damaged") from None


def one_for_all(slices: Sequence[Slice]) -> bool:
    """Whether many files carry one SOP Instance UID, as some exports write them."""
    files = {item.path for item in slices}
    return len(files) > 2 and len({item.instance for item in slices}) == 1
