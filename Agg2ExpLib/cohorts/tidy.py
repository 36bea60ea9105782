"""Our own layout: one entry a line, one patient or many in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import InputError
from ..io.csv_lines import nearest, number, require_columns
from ..roi_importance.tables import LIMIT_COLUMNS, TIDY_COLUMNS
from .matrices import VALUES, PatientMatrix, with_best

_NEEDED = ("patient", "label", "roi", "mass")


def read_tidy_patients(path: Path, header: tuple[str, ...], lines: list[dict[str, str]]) -> list[PatientMatrix]:
    """The patients of a tidy table ; of the columns only ``patient,label,roi,mass`` must be there.

    Raises:
        InputError: a column is missing or misspelt, an entry is missing, twice, or no number.
    """
    require_columns(path, header, _NEEDED)
    for name in TIDY_COLUMNS:
        if name not in header and (hint := nearest(name, [other for other in header if other not in TIDY_COLUMNS])):
            raise InputError(f"{path} has no column '{name}'{hint}.")
    known = [name for name in (*VALUES, *LIMIT_COLUMNS) if name in header]
    entries: dict[str, dict[tuple[str, str], int]] = {}
    for index, line in enumerate(lines):
        patient, label, roi = line["patient"], line["label"], line["roi"]
        if not (patient and label and roi):
            raise InputError(f"{path}, line {index + 2}: patient, label or roi is empty.")
        own = entries.setdefault(patient, {})
        if (label, roi) in own:
            raise InputError(
                f"{path}: patient '{patient}' has the entry {label} / {roi} twice (lines {own[label, roi] + 2} and {index + 2}): "
                "each patient may occur once."
            )
        own[label, roi] = index
    return [_patient(path, patient, own, lines, known) for patient, own in entries.items()]


def _patient(
    path: Path, patient: str, entries: dict[tuple[str, str], int], lines: list[dict[str, str]], known: list[str]
) -> PatientMatrix:
    rows = tuple(dict.fromkeys(label for label, _ in entries))
    columns = tuple(dict.fromkeys(roi for _, roi in entries))
    values = {name: np.full((len(rows), len(columns)), np.nan) for name in (*VALUES, *LIMIT_COLUMNS)}
    voxels = np.full(len(columns), np.nan)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            if (row, column) not in entries:
                raise InputError(f"{path}: patient '{patient}' lacks the entry {row} / {column}: the table is not complete.")
            index = entries[row, column]
            for name in known:
                values[name][i, j] = number(path, index + 2, name, lines[index][name])
            if lines[index].get("roi_voxels"):
                voxels[j] = number(path, index + 2, "roi_voxels", lines[index]["roi_voxels"])
    return with_best(PatientMatrix(patient, path, rows, columns, values, voxels))
