"""Tables of what is trained on: one CT a line, checked before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ..io.csv_lines import read_lines
from ..system.names import existing


def read_cases(table: Path, files: Sequence[str], layout: str) -> tuple[tuple[str, ...], list[dict[str, str]]]:
    """Header and lines of a CSV that names files; relative paths count from the table's folder.

    Args:
        files: columns that every line must fill with the path of a file or folder, the CT first; they come back as whole paths.
        layout: what to give instead, for messages.

    Raises:
        InputError: no such table, a column that is missing or there twice, a line of another length, or a file that does not exist.
    """
    header, rows = read_lines(table)
    if missing := next((name for name in files if name not in header), None):
        raise InputError(f"{table.name} lacks the column {missing}: {layout}.")
    for number, row in enumerate(rows, start=2):
        for name in files:
            if not row[name]:
                raise InputError(
                    f"{table.name}, line {number}, has nothing in the column {name}: give a path, or leave the line out."
                )
            path = existing(table.parent / row[name])
            if not path.exists():
                raise InputError(f"{table.name} names {path}, which does not exist: correct the path.")
            row[name] = str(path)
    return header, rows
