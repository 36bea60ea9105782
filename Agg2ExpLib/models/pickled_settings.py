"""The plain values in a file that ``torch.save`` wrote, without its tensors and without PyTorch: for lists of many models.

Numbers, texts, lists and dictionaries are read; a stand-in that does nothing takes the place of everything else, so that no class
is imported and nothing is run.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..system.regular_files import open_regular
from .pickled_data import MAPPINGS, PlainDict, Unread

_MAX_BYTES = 16 * 2**20
_PROBLEMS = (
    OSError, zipfile.BadZipFile, pickle.UnpicklingError, StopIteration, ValueError, TypeError, LookupError, EOFError,
    AttributeError, RuntimeError, NotImplementedError, ImportError, AssertionError, MemoryError, RecursionError, InputError,
)  # fmt: skip


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return PlainDict if f"{module}.{name}" in ("collections.OrderedDict", *MAPPINGS) else Unread

    def persistent_load(self, pid: Any) -> Any:
        return Unread()


def read_settings(file: Path) -> Any:
    """What the file holds, tensors left out; None where it is not whole or not of that kind."""
    try:
        with open_regular(file) as stream, zipfile.ZipFile(stream) as archive:
            table = next(entry for entry in archive.infolist() if entry.filename.endswith("data.pkl"))
            if table.file_size > _MAX_BYTES or table.compress_type != zipfile.ZIP_STORED:
                return None
            return _Reader(io.BytesIO(archive.read(table))).load()
    except _PROBLEMS:
        return None


def is_whole(file: Path) -> bool:
    """Whether a file that ``torch.save`` wrote has the end that a cut one lacks; those of PyTorch before 1.6 cannot be told."""
    try:
        with open_regular(file) as stream:
            if stream.read(2) != b"PK":
                return file.stat().st_size > 0
            return zipfile.is_zipfile(stream)
    except (OSError, InputError):
        return False
