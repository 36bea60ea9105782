"""The matrix as CSV: tidy (one entry a line) and wide (the paper's layout, one patient a line)."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..system.files import replacing
from .matrix import LIMIT_OF, ImportanceMatrix

TIDY_COLUMNS = (
    "patient",
    "label",
    "roi",
    "mass",
    "mean",
    "enrichment",
    "positive_mass",
    "negative_mass",
    "standard_error",
    "roi_voxels",
)
_VALUES = TIDY_COLUMNS[3:9]
# Behind the others, and missing in files of older versions.
LIMIT_COLUMNS = tuple(LIMIT_OF.values())


def _text(value: float) -> str:
    return "" if np.isnan(value) else repr(float(value))


def write_tidy(path: Path, matrix: ImportanceMatrix, patient: str) -> None:
    """Write ``roi_importance.csv``: one line per explained label and region; undefined numbers are left empty."""
    with replacing(path) as temporary:
        temporary.write_text(tidy_text(matrix, patient), encoding="utf-8", newline="")


def tidy_text(matrix: ImportanceMatrix, patient: str) -> str:
    """What :func:`write_tidy` writes."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*TIDY_COLUMNS, *LIMIT_COLUMNS])
    for i, row in enumerate(matrix.rows):
        for j, column in enumerate(matrix.columns):
            values = [_text(getattr(matrix, name)[i, j]) for name in _VALUES]
            limits = [_text(getattr(matrix, name)[i, j]) for name in LIMIT_COLUMNS]
            writer.writerow([patient, row, column, *values, int(matrix.roi_voxels[j]), *limits])
    return file.getvalue()


def write_wide(path: Path, matrix: ImportanceMatrix, patient: str) -> None:
    """Write ``roi_importance_wide.csv``: ``<label>_explanation_in_<roi>_mass`` and ``…_mean`` for every entry, as the paper does,
    and behind them ``…_limit`` and ``…_limit_error``.
    """
    header, values = ["patient"], [patient]
    for i, row in enumerate(matrix.rows):
        for j, column in enumerate(matrix.columns):
            header += [f"{row}_explanation_in_{column}_mass", f"{row}_explanation_in_{column}_mean"]
            values += [_text(matrix.mass[i, j]), _text(matrix.mean[i, j])]
    for i, row in enumerate(matrix.rows):
        for j, column in enumerate(matrix.columns):
            header += [f"{row}_explanation_in_{column}_limit", f"{row}_explanation_in_{column}_limit_error"]
            values += [_text(matrix.limit[i, j]), _text(matrix.limit_error[i, j])]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerow(values)


def read_tidy(path: Path, model_labels: tuple[str, ...]) -> tuple[str, ImportanceMatrix]:
    """Read back what :func:`write_tidy` wrote.

    Args:
        path: of the CSV.
        model_labels: names of the model's own labels; all other columns are extra regions.

    Returns:
        The patient and the matrix.

    Raises:
        InputError: the file is missing or not such a table.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read the importance table {path}: {error}.") from None
    return matrix_from_text(text, model_labels, str(path))


def matrix_from_text(text: str, model_labels: tuple[str, ...], source: str = "The text") -> tuple[str, ImportanceMatrix]:
    """As :func:`read_tidy`, from the table's text; ``source`` names it in messages."""
    reader = csv.DictReader(io.StringIO(text, newline=""))
    lines = list(reader)
    header = tuple(reader.fieldnames or ())
    missing = [name for name in TIDY_COLUMNS if name not in header]
    if missing or not lines:
        what = f"it lacks the column '{missing[0]}'" if missing else "it has no rows"
        raise InputError(f"{source} is not an importance table of Agg2Exp: {what}.")
    names = (*_VALUES, *(name for name in LIMIT_COLUMNS if name in header))
    rows = tuple(dict.fromkeys(line["label"] for line in lines))
    columns = tuple(dict.fromkeys(line["roi"] for line in lines))
    arrays: dict[str, Any] = {name: np.full((len(rows), len(columns)), np.nan) for name in names}
    voxels = np.zeros(len(columns), dtype=np.int64)
    for line in lines:
        i, j = rows.index(line["label"]), columns.index(line["roi"])
        voxels[j] = int(line["roi_voxels"])
        for name in names:
            if line[name]:
                arrays[name][i, j] = float(line[name])
    extra = tuple(name for name in columns if name not in model_labels)
    return lines[0]["patient"], ImportanceMatrix(rows=rows, columns=columns, roi_voxels=voxels, extra=extra, **arrays)
