"""Tables of ours as CSV: every digit of a number is kept, and what is undefined is left empty."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..system.files import replacing
from ..system.names import FORMULA


def number_text(value: float) -> str:
    """A number with every digit that it has; empty for NaN."""
    return "" if math.isnan(value) else repr(float(value))


def cell(value: Any) -> Any:
    """A value as a cell: floats as :func:`number_text`, a text that spreadsheets take for a formula behind an apostrophe."""
    if isinstance(value, float):
        return number_text(value)
    return f"'{value}" if isinstance(value, str) and value.startswith((*FORMULA, "\t", "\r")) and not _is_number(value) else value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV in UTF-8; every value as :func:`cell` gives it.

    Raises:
        OSError: the file cannot be written; an older one stays.
    """
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([cell(value) for value in header])
        writer.writerows([cell(value) for value in row] for row in rows)
