"""The reference that one patient is compared with: a saved one, a cohort's folder or tables, without whoever is that patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..roi_importance.matrix import ImportanceMatrix
from .combine import combine
from .read import read_patients
from .reference import SUFFIX, read_reference
from .settings import ESTIMATE, estimate_of, settings_of, unlike

_TREES, _SEED = 100, 0  # as agg2exp cohort outliers has them
_SAME = 1e-9  # masses that differ less are the same number, written and read again


@dataclass(frozen=True)
class ComparisonReference:
    """The patients to compare with.

    Attributes:
        rows: labels.
        columns: the model's labels, the regions of each row.
        mass: ``[patients, rows, columns]``; NaN where a patient lacks the label.
        trees: of each forest.
        seed: of the forests.
        weights: sha256 of the model's weights, where known.
        settings: how the patients were explained, where known.
        patients: ids; None where the reference does not tell them.
        cts: sha256 of the patients' CTs, None where not known.
        notices: what the user should know.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    mass: np.ndarray
    trees: int
    seed: int
    weights: tuple[str, ...]
    settings: Mapping[str, object]
    patients: tuple[str, ...] | None = None
    cts: tuple[str | None, ...] = ()
    notices: tuple[str, ...] = ()

    def row(self, name: str) -> np.ndarray:
        """A label's row in the patients that have it, ``[patients, columns]``."""
        rows = self.mass[:, self.rows.index(name)]
        return rows[np.isfinite(rows).all(axis=1)]


def open_reference(path: str | Path) -> ComparisonReference:
    """Read a reference; scikit-learn is not needed.

    Args:
        path: what ``agg2exp cohort outliers`` takes for ``--reference``: the ``.npz`` of ``--save-reference``, the folder of
            ``agg2exp cohort run``, a folder of results folders, or a table (tidy, or wide as the paper's).

    Raises:
        InputError: it cannot be read, or its patients do not belong together.
    """
    path = Path(path)
    if path.suffix == SUFFIX:
        saved, _version = read_reference(path)
        notice = "The reference holds no patient ids: whether this patient is one of it can only be seen from equal numbers."
        return ComparisonReference(
            saved.rows, saved.columns, saved.mass, saved.trees, saved.seed, saved.weights, saved.settings, notices=(notice,)
        )
    patients = read_patients([path])
    cohort = combine(patients)
    own, kept = cohort.own_columns, cohort.foreground
    cts = {one.patient: one.ct for one in patients}
    return ComparisonReference(
        rows=tuple(cohort.rows[row] for row in kept),
        columns=tuple(cohort.columns[column] for column in own),
        mass=cohort.mass[:, kept][:, :, own],
        trees=_TREES,
        seed=_SEED,
        weights=cohort.fingerprint,
        settings=cohort.settings,
        patients=cohort.patients,
        cts=tuple(cts[name] for name in cohort.patients),
        notices=cohort.notices,
    )


def fitting_reference(reference: ComparisonReference, matrix: ImportanceMatrix, run: Mapping[str, Any]) -> ComparisonReference:
    """The reference without this patient, with notices of what could not be checked.

    Args:
        reference: to compare with.
        matrix: the patient's.
        run: content of the patient's ``run.json``; what it lacks is not checked.

    Raises:
        InputError: label sets, weights or the way of explaining differ, or nobody is left.
    """
    own = {name for name in matrix.columns if name not in matrix.extra}
    if own != set(reference.columns):
        lacking = sorted(own ^ set(reference.columns))[0]
        raise InputError(
            f"Reference and patient have different label sets ('{lacking}' is in one only): choose a reference of the same model."
        )
    notices = [*reference.notices, *_check_model(reference, run), *_check_settings(reference, run, matrix)]
    same = _same_patient(reference, matrix, run)
    if same.any():
        left = int((~same).sum())
        if not left:
            raise InputError("The reference holds nobody but this patient: choose one with others.")
        notices.append(f"This patient is in the reference and was left out of it: compared with the other {left}.")
        reference = replace(reference, mass=reference.mass[~same])
    return replace(reference, notices=tuple(notices))


def _check_model(reference: ComparisonReference, run: Mapping[str, Any]) -> list[str]:
    weights = (run.get("weights") or {}).get("sha256")
    if not reference.weights or not weights:
        whom = "the reference" if not reference.weights else "this patient's results"
        return [f"It is not known which weights made {whom}: compare results of one model only."]
    if set(reference.weights) != {weights}:
        raise InputError(
            f"Reference and patient were explained with different weights (sha256 {reference.weights[0][:8]}… and {weights[:8]}…): "
            "choose a reference of the same model."
        )
    return []


def _check_settings(reference: ComparisonReference, run: Mapping[str, Any], matrix: ImportanceMatrix) -> list[str]:
    """Refuses another method or target, which changes every number; other differences are told."""
    own = settings_of(run)
    if bool(run.get("target_mask", False)) != bool(reference.settings.get("drawn mask as target", False)):
        which = "this patient" if run.get("target_mask") else "the reference"
        raise InputError(f"In {which} a drawn segment was explained and not a label: such results cannot be compared.")
    if "method" not in reference.settings or not own:
        return ["It is not known whether reference and patient were explained by the same method."]
    own = {**own, ESTIMATE: estimate_of(matrix.has_limit)}
    theirs = {ESTIMATE: estimate_of(False), **reference.settings}  # older references are of the maps
    differing = [key for key in unlike(theirs, own) if key in theirs]
    if "method" in differing:
        raise InputError(
            f"The reference was explained with the method '{reference.settings['method']}' and this patient with "
            f"'{own.get('method')}': explain the patient with the same method."
        )
    told = ", ".join(f"{key} {theirs[key]} and {own.get(key)}" for key in differing)
    return [f"Reference and patient were not explained alike ({told})."] if differing else []


def _same_patient(reference: ComparisonReference, matrix: ImportanceMatrix, run: Mapping[str, Any]) -> np.ndarray:
    """Which patients of the reference are this one, by CT, id, or equal numbers; bool ``[patients]``."""
    same = np.zeros(len(reference.mass), bool)
    ct, patient = (run.get("ct") or {}).get("sha256"), run.get("patient")
    if reference.patients is not None:
        same |= np.array([bool(ct) and one == ct for one in reference.cts])
        same |= np.array([bool(patient) and one == patient for one in reference.patients])
    where = [matrix.columns.index(name) for name in reference.columns]
    shared = [name for name in reference.rows if name in matrix.rows]
    if shared:
        theirs = reference.mass[:, [reference.rows.index(name) for name in shared]]
        mine = matrix.best()[[matrix.rows.index(name) for name in shared]][:, where]
        same |= (np.abs(theirs - mine) < _SAME).all(axis=(1, 2))
    return same
