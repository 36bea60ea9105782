"""Bringing patients' matrices to one cohort, and refusing what does not belong together."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..models.labels import PAPER_LABELS, Label, make_labels
from .matrices import VALUES, CohortMatrices, PatientMatrix
from .settings import unlike

_SUM_TOLERANCE = 1e-3  # published tables are rounded


def combine(patients: Sequence[PatientMatrix], extra_rois: tuple[str, ...] = (), mixed_models: bool = False) -> CohortMatrices:
    """One cohort from patients' matrices.

    Args:
        patients: in any order.
        extra_rois: names of regions that are no labels of the model.
        mixed_models: accept different weights.

    Raises:
        InputError: a patient occurs twice, models or label sets differ, a row is damaged.
    """
    patients = sorted(patients, key=lambda one: one.patient)
    for one, other in itertools.pairwise(patients):
        if one.patient == other.patient:
            raise InputError(
                f"Patient '{one.patient}' occurs twice, in {one.source} and {other.source}: leave one out or give it another id."
            )
    notices = _check_models(patients, mixed_models)
    extra = _extra_regions(patients, extra_rois)
    labels = _labels(patients, extra)
    names = [label.name for label in labels]
    columns = (*names, *sorted(extra))
    explained = {row for one in patients for row in one.rows}
    rows = (*(name for name in names if name in explained), *_classes(patients, explained.difference(columns)))
    shape = (len(patients), len(rows), len(columns))
    values = {name: np.full(shape, np.nan) for name in VALUES}
    voxels = np.full((shape[0], shape[2]), np.nan)
    dice = np.full(shape[:2], np.nan)
    for index, one in enumerate(patients):
        absent = _check_rows(one, extra)
        where = [columns.index(name) for name in one.columns]
        voxels[index, where] = one.roi_voxels
        for line, row in enumerate(one.rows):
            if row in absent:
                notices.append(f"{one.patient} has no explanation of '{row}' (an empty row): it counts as absent.")
                continue
            at = rows.index(row)
            for name in VALUES:
                values[name][index, at, where] = one.values[name][line]
        dice[index] = [one.dice.get(row, np.nan) for row in rows]
    folders: dict[str, Path] = {one.patient: one.folder for one in patients if one.folder is not None}
    weights = tuple(sorted({one.weights for one in patients if one.weights}))
    ids = tuple(one.patient for one in patients)
    if not np.isfinite(values["mass"]).any():
        raise InputError("No patient has an explained label: every row is empty.")
    notices += _check_settings(patients)
    told, further = tuple(notices), tuple(sorted(extra))
    return CohortMatrices(
        ids, rows, columns, values, voxels, further, labels, dice, folders, told, weights, _common_settings(patients)
    )


def _check_models(patients: Sequence[PatientMatrix], mixed: bool) -> list[str]:
    first: dict[str, PatientMatrix] = {}
    for one in patients:
        if one.weights:
            first.setdefault(one.weights, one)
    if len(first) < 2:
        return []
    one, other = list(first.values())[:2]
    told = (
        f"{one.patient} and {other.patient} were explained with different weights (sha256 {str(one.weights)[:8]}… and "
        f"{str(other.weights)[:8]}…)"
    )
    if not mixed:
        raise InputError(f"{told}: summarise each model on its own, or add ⟨mixed_models⟩ to take them as one cohort.")
    return [f"{told}; ⟨mixed_models⟩ was given."]


def _check_settings(patients: Sequence[PatientMatrix]) -> list[str]:
    told = []
    for key in dict.fromkeys(key for one in patients for key in one.settings):
        having = [one for one in reversed(patients) if key in one.settings]
        if having and key not in {name for one in having for name in unlike(having[0].settings, one.settings)}:
            continue
        found = {repr(one.settings[key]): one.patient for one in having}
        if len(found) > 1:
            parts = ", ".join(f"{value} ({patient})" for value, patient in sorted(found.items()))
            told.append(f"The patients were not explained alike: {key} is {parts}.")
    return told


def _common_settings(patients: Sequence[PatientMatrix]) -> dict[str, object]:
    first = patients[0].settings
    return {
        key: value for key, value in first.items() if all(key in one.settings and one.settings[key] == value for one in patients)
    }


def _extra_regions(patients: Sequence[PatientMatrix], named: tuple[str, ...]) -> set[str]:
    """Regions that are no labels: those that a run record or the user names, and those that a table's sums give away."""
    seen = {name for one in patients for name in one.columns}
    if unknown := [name for name in named if name not in seen]:
        raise InputError(f"No patient has a region '{unknown[0]}': the regions are {', '.join(sorted(seen))}.")
    extra = set(named) | {name for one in patients for name in one.extra or ()}
    labels = {label.name for one in patients for label in one.labels or ()} | {label.name for label in PAPER_LABELS}
    explained = {row for one in patients for row in one.rows}
    for name in sorted(seen - extra - labels - explained):
        everywhere = all(name in one.columns for one in patients)
        if not everywhere or any(_excess(one, extra) > _SUM_TOLERANCE for one in patients):
            extra.add(name)
    if both := sorted(extra & explained):
        raise InputError(
            f"'{both[0]}' is a region of interest in one patient and an explained label in another: rename one of them."
        )
    return extra


def _excess(one: PatientMatrix, extra: set[str]) -> float:
    """How far the largest row sum over the labels goes beyond 1."""
    own = [index for index, name in enumerate(one.columns) if name not in extra]
    sums = one.values["mass"][:, own].sum(axis=1)
    return float(np.nanmax(sums, initial=0.0)) - 1


def _labels(patients: Sequence[PatientMatrix], extra: set[str]) -> tuple[Label, ...]:
    """The model's labels, the same for all patients."""
    reference = patients[0]
    own = {one.patient: tuple(name for name in one.columns if name not in extra) for one in patients}
    names = own[reference.patient]
    for one in patients[1:]:
        if set(own[one.patient]) != set(names):
            lacking = sorted(set(names) - set(own[one.patient])), sorted(set(own[one.patient]) - set(names))
            which, who = (lacking[0][0], one.patient) if lacking[0] else (lacking[1][0], reference.patient)
            raise InputError(
                f"{reference.patient} and {one.patient} have different label sets ({who} lacks '{which}'): they come from "
                "different models and cannot be one cohort."
            )
    known = next((one.labels for one in patients if one.labels), None)
    if known is not None and {label.name for label in known} == set(names):
        return known
    order = [label.name for label in PAPER_LABELS if label.name in names]
    return make_labels([*order, *(name for name in names if name not in order)])


def _classes(patients: Sequence[PatientMatrix], found: set[str]) -> tuple[str, ...]:
    """Rows that are no region: the classes of a classifier, in the order of its outputs."""
    order = dict.fromkeys(row for one in patients for row in one.rows if row in found)
    return tuple(order)


def _check_rows(one: PatientMatrix, extra: set[str]) -> set[str]:
    """Rows that are empty; refuses rows that are damaged."""
    mass = one.values["mass"]
    absent = set()
    own = [index for index, name in enumerate(one.columns) if name not in extra]
    for line, row in enumerate(one.rows):
        values = mass[line, own]
        if np.isnan(values).all() or not values.any():
            absent.add(row)
            continue
        if np.isnan(values).any():
            column = one.columns[own[int(np.flatnonzero(np.isnan(values))[0])]]
            raise InputError(
                f"{one.source}: patient '{one.patient}' has no mass for {row} / {column} although the rest of the row is there: "
                "the table is damaged."
            )
        if (values < 0).any() or abs(values.sum() - 1) > _SUM_TOLERANCE:
            raise InputError(
                f"{one.source}: the masses of '{row}' of patient '{one.patient}' sum to {values.sum():.4g} and not to 1: values "
                "are missing or changed, or a region is no label of the model (name it with ⟨extra_rois⟩)."
            )
    return absent
