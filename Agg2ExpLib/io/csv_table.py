"""Tables of ours as CSV: every digit of a number is kept, and what is undefined is left empty."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..system.files import replacing


def number_text(value: float) -> str:
    """A number with every digit that it has; empty for NaN."""
    return "" if math.isnan(value) else repr(float(value))


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV in UTF-8; floats as :func:`number_text` gives them, anything else as it is.

    Raises:
        OSError: the file cannot be written; an older one stays.
    """
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([number_text(value) if isinstance(value, float) else value for value in row] for row in rows)
