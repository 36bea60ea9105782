"""The folder of an evaluation: finished pieces of work, so that a run that was ended goes on where it was."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ..system.files import replacing, write_json
from ..system.json_files import read_json
from ..system.regular_files import sha256_of_text
from ..system.resumable_folder import ResumableFolder
from .score import Row

RECORD = "evaluation.json"
WORK = "work"
# What must stay the same from one run to the next in a folder.
_FIXED = ("kind", "model", "settings")


class Store:
    """Pieces are keyed by what they depend on: scan, model, method, labels and settings.

    Args:
        folder: of the evaluation, made or continued.
        record: of this run, for ``evaluation.json``.

    Raises:
        InputError: the folder holds something else, or an evaluation with other settings.
    """

    def __init__(self, folder: Path, record: dict[str, Any]):
        self._home = ResumableFolder(folder, RECORD, "an evaluation", free="methods, labels and patients")
        if self._home.before is not None and (changed := _difference(self._home.before, record)):
            raise self._home.refuse(f"another {changed}")
        self._work = self._home.begin(WORK)
        self.write_record(record)

    def write_record(self, record: dict[str, Any]) -> None:
        """Write ``evaluation.json``.

        Raises:
            FolderError: the folder cannot be written.
        """
        self._home.write_record(record)

    def rows(self, key: dict[str, Any], patient: str, method: str) -> list[Row] | None:
        """The rows of a finished piece under the names that patient and method have in this run; None where it is not finished."""
        try:
            content: Any = read_json(self._path(key, ".json"), "The piece")
            return [Row(patient, label, method, metric, value, unit, note) for label, metric, value, unit, note in content["rows"]]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write_rows(self, key: dict[str, Any], rows: list[Row], method: dict[str, Any]) -> None:
        """Keep a finished piece.

        Args:
            key: what the numbers depend on.
            rows: of one method and patient.
            method: its parameters.

        Raises:
            FolderError: the folder cannot be written.
        """
        lines = [[row.label, row.metric, row.value, row.unit, row.note] for row in rows]
        try:
            write_json(self._path(key, ".json"), {"key": key, "method": method, "rows": lines})
        except OSError as error:
            raise self._home.full(error) from None

    def arrays(self, key: dict[str, Any]) -> dict[str, np.ndarray]:
        """Arrays kept under a key; empty where there are none."""
        try:
            with np.load(self._path(key, ".npz")) as content:
                return {name: content[name] for name in content.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return {}

    def write_arrays(self, key: dict[str, Any], **arrays: np.ndarray) -> None:
        """Keep arrays.

        Raises:
            FolderError: the folder cannot be written.
        """
        try:
            with replacing(self._path(key, ".npz")) as temporary:
                np.savez(temporary, **arrays)  # type: ignore[arg-type]
        except OSError as error:
            raise self._home.full(error) from None

    def _path(self, key: dict[str, Any], suffix: str) -> Path:
        digest = sha256_of_text(json.dumps(key, sort_keys=True))
        return self._work / f"{digest[:32]}{suffix}"


def _difference(before: dict[str, Any], record: dict[str, Any]) -> str | None:
    """The first thing that must not change and did, as a person would call it."""
    for part in _FIXED:
        old, new = before.get(part), record[part]
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            name = next(key for key in {**old, **new} if old.get(key) != new.get(key))
            return f"{name.replace('_', ' ')} ({_short(old.get(name))} there, {_short(new.get(name))} now)"
        return part
    return None


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"
