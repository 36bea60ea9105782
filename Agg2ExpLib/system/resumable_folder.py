"""A folder that a long run fills piece by piece, and goes on with when its command is repeated."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..errors import InputError
from .files import write_json
from .json_files import read_json


class FolderError(InputError):
    """The folder cannot be written, so that going on is of no use."""


class ResumableFolder:
    """A folder whose record says what its pieces were made with; other settings must not go on in it.

    Args:
        path: of the folder; it need not exist.
        record: name of the record's file.
        what: the folder in words, e.g. ``a cohort``.
        free: what may change from one run to the next, for the sentence that refuses other settings.

    Raises:
        InputError: there is something else, or a record that cannot be read.

    Attributes:
        before: the record of an earlier run; None in a new folder.
    """

    def __init__(self, path: Path, record: str, what: str, free: str = ""):
        self.path = path
        self._record, self._what, self._free = path / record, what, free
        self.before = self._read()

    def _read(self) -> dict[str, Any] | None:
        no = f"{self.path} is no {self._what.partition(' ')[2]} of Agg2Exp"
        if not self._record.exists():
            if self.path.exists() and (not self.path.is_dir() or any(os.scandir(self.path))):
                raise InputError(f"{no} and not empty: choose another ⟨output⟩.")
            return None
        content = read_json(self._record, "The record")
        if not isinstance(content, dict):
            raise InputError(f"{no} ({self._record.name} is no record): choose another ⟨output⟩.")
        return content

    def refuse(self, changed: str) -> InputError:
        """What to raise where the folder was made otherwise, e.g. ``changed`` = "other weights"."""
        free = f" ({self._free} may change)" if self._free else ""
        return InputError(
            f"{self.path} holds {self._what} with {changed}: repeat the command as it was to go on{free}, or choose "
            "another ⟨output⟩."
        )

    def begin(self, inside: str) -> Path:
        """Make the folder ``inside`` it for the pieces, where there is none.

        Raises:
            InputError: it cannot be made.
        """
        folder = self.path / inside
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"Cannot write to {self.path} ({error.strerror or error}): choose another ⟨output⟩.") from None
        return folder

    def write_record(self, record: dict[str, Any]) -> None:
        """Write the record.

        Raises:
            FolderError: it cannot be written.
        """
        try:
            write_json(self._record, record)
        except OSError as error:
            raise self.full(error) from None

    def full(self, error: OSError) -> FolderError:
        """What to raise where a piece cannot be written."""
        return FolderError(
            f"Cannot write to {self.path} ({error.strerror or error}): make room and repeat the command; what is finished is kept."
        )
