"""The paper's layout: a patient a line, columns ``<label>_explanation_in_<roi>_mass`` and ``…_mean``, Dice ``<label>_dice``."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..io.csv_lines import nearest, number, read_lines, require_columns
from ..roi_importance.tables import LIMIT_COLUMNS
from .matrices import VALUES, PatientMatrix, with_best

_ENTRY = re.compile(r"(?P<label>.+)_explanation_in_(?P<roi>.+)_(?P<value>mass|mean|limit_error|limit)")
_DICE = "_dice"


def is_wide(header: tuple[str, ...]) -> bool:
    """Whether a table has the paper's columns."""
    return any("_explanation_in_" in name for name in header)


def read_wide_patients(path: Path, header: tuple[str, ...], lines: list[dict[str, str]]) -> list[PatientMatrix]:
    """The patients of a wide table.

    ``mass ÷ mean`` is proportional to a region's voxels, so the enrichment (share of attribution ÷ share of volume) follows
    from the two where both are given; the sizes themselves do not.

    Raises:
        InputError: a column is missing or misspelt, a patient occurs twice, or a value is no number.
    """
    require_columns(path, header, ["patient"])
    found = [match for name in header if (match := _ENTRY.fullmatch(name))]
    rows = tuple(dict.fromkeys(match["label"] for match in found))
    columns = tuple(dict.fromkeys(match["roi"] for match in found))
    for value in ("mass", "mean") if any(match["value"] == "mean" for match in found) else ("mass",):
        present = {(match["label"], match["roi"]) for match in found if match["value"] == value}
        for row in rows:
            for column in columns:
                if (row, column) not in present:
                    name = f"{row}_explanation_in_{column}_{value}"
                    others = [other for other in header if not _ENTRY.fullmatch(other)]
                    raise InputError(f"{path} has no column '{name}'{nearest(name, others)}: the matrix is not complete.")
    patients: dict[str, PatientMatrix] = {}
    for index, line in enumerate(lines):
        patient = line["patient"]
        if not patient or patient in patients:
            raise InputError(
                f"{path}, line {index + 2}: "
                + (f"patient '{patient}' occurs twice: each may occur once." if patient else "the patient is empty.")
            )
        values = {name: np.full((len(rows), len(columns)), np.nan) for name in (*VALUES, *LIMIT_COLUMNS)}
        for match in found:
            at = rows.index(match["label"]), columns.index(match["roi"])
            values[match["value"]][at] = number(path, index + 2, match.string, line[match.string])
        dice = {name.removesuffix(_DICE): number(path, index + 2, name, line[name]) for name in header if name.endswith(_DICE)}
        values["enrichment"] = _enrichment(values["mass"], values["mean"], rows, columns)
        with np.errstate(invalid="ignore", divide="ignore"):
            values["enrichment_limit"] = values["enrichment"] * values["limit"] / values["mass"]
        found_one = PatientMatrix(patient, path, rows, columns, values, np.full(len(columns), np.nan), dice)
        patients[patient] = with_best(found_one)
    return list(patients.values())


def _enrichment(mass: np.ndarray, mean: np.ndarray, rows: tuple[str, ...], columns: tuple[str, ...]) -> np.ndarray:
    """``mass ÷ share of the volume``, both ``[rows, columns]``; NaN where the sizes cannot be told.

    A region is a label of the model if it is explained itself; sizes are relative to the sum over those.
    """
    own = [columns.index(row) for row in rows if row in columns]
    complete = np.isfinite(mass[:, own]).all(axis=1) & (np.abs(mass[:, own].sum(axis=1) - 1) < 1e-3)
    if not complete.any():
        return np.full(mass.shape, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        size = np.where(mean > 0, mass / mean, np.nan)
        # a region without mass in any row has no voxels, or none that matter
        size = size / np.nansum(size[:, own], axis=1, keepdims=True)
        share = np.nanmedian(np.where(complete[:, None], size, np.nan), axis=0) if complete.any() else size[0]
        return mass / share


def read_dice(path: Path) -> dict[str, dict[str, float]]:
    """Dice by patient and label from a table ``patient,label,dice`` or one with columns ``<label>_dice``.

    Raises:
        InputError: it cannot be read or is no such table.
    """
    header, lines = read_lines(path)
    require_columns(path, header, ["patient"])
    scores: dict[str, dict[str, float]] = {}
    if "dice" in header:
        require_columns(path, header, ["label"])
        for index, line in enumerate(lines, start=2):
            own = scores.setdefault(line["patient"], {})
            if line["label"] in own:
                raise InputError(
                    f"{path}, line {index}: the Dice of '{line['label']}' of patient '{line['patient']}' occurs twice."
                )
            own[line["label"]] = number(path, index, "dice", line["dice"])
        return scores
    names = [name for name in header if name.endswith(_DICE)]
    if not names:
        raise InputError(f"{path} holds no Dice: it needs the columns patient, label and dice, or columns such as aorta_dice.")
    for index, line in enumerate(lines, start=2):
        if line["patient"] in scores:
            raise InputError(f"{path}, line {index}: patient '{line['patient']}' occurs twice.")
        scores[line["patient"]] = {name.removesuffix(_DICE): number(path, index, name, line[name]) for name in names}
    return scores
