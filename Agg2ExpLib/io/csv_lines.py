"""Lines of a CSV, checked, and the sentences about a column that is missing or no number."""

from __future__ import annotations

import csv
import difflib
import math
from collections.abc import Iterable
from pathlib import Path

from ..errors import InputError


def read_lines(path: Path) -> tuple[tuple[str, ...], list[dict[str, str]]]:
    """Header and lines of a CSV in UTF-8, every line as long as the header.

    Raises:
        InputError: it cannot be read, has no lines, a column twice or a line of another length.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"Cannot read the table {path}: {error}.") from None
    if len(rows) < 2:
        raise InputError(f"{path} has no patients: it is {'empty' if not rows else 'a header without lines'}.")
    header = tuple(name.strip() for name in rows[0])
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InputError(f"{path} has the column '{twice[0]}' twice: rename one.")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise InputError(f"{path}, line {number}: {len(row)} values for {len(header)} columns.")
    return header, [dict(zip(header, (cell.strip() for cell in row), strict=True)) for row in rows[1:]]


def require_columns(path: Path, header: Iterable[str], wanted: Iterable[str]) -> None:
    """Refuse a table that lacks a column, naming the one that may be meant.

    Raises:
        InputError: a column is missing.
    """
    header = tuple(header)
    for name in wanted:
        if name not in header:
            raise InputError(f"{path} has no column '{name}'{nearest(name, header)}.")


def nearest(name: str, header: Iterable[str]) -> str:
    """A hint at a column with a similar name, or nothing."""
    folded = {other.casefold(): other for other in header}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.75)
    return f": is it '{folded[near[0]]}'? Then rename that column" if near else ""


def number(path: Path, line: int, column: str, text: str) -> float:
    """A number of a table; NaN for an empty cell, ``nan`` or ``NA``.

    Raises:
        InputError: it is no number, or infinite.
    """
    if text.casefold() in ("", "nan", "na", "none", "null"):
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if math.isinf(value):
        raise InputError(f"{path}, line {line}, column '{column}': '{text}' is not a finite number.")
    return value
