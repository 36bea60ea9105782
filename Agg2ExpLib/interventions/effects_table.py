"""The table of what removing each region did, read back from the disk."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from ..errors import InputError
from ..roi_importance.sentences import Effect

RECORD, TABLE, PLACE = "causal.json", "causal_matrix.csv", "all"


def read_effects(folder: Path) -> dict[str, dict[str, Effect]]:
    """What each label did when a region was removed, by label and by removed region; nothing where that was never asked.

    Args:
        folder: ``RESULT/what_if/all``.

    Raises:
        InputError: the table cannot be read.
    """
    found: dict[str, dict[str, Effect]] = {}
    if (folder / TABLE).is_file():
        for row in read_rows(folder / TABLE, ("label", "removed", "dice", "volume_change_percent")):
            effect = Effect(number_of(row["volume_change_percent"]), number_of(row["dice"]))
            found.setdefault(row["label"], {})[row["removed"]] = effect
    return found


def read_rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The lines of a table that ``agg2exp whatif`` wrote.

    Args:
        path: of the table.
        columns: that every line must have.

    Raises:
        InputError: it cannot be read, or lacks a column.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error}): ask agg2exp whatif again.") from error
    if any(row.get(column) is None for row in rows for column in columns):
        raise InputError(f"{path} is not as agg2exp whatif wrote it: ask again.")
    return rows


def number_of(text: str) -> float:
    """A number of a table; NaN where there is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan
