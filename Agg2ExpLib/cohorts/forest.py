"""Isolation forests on the rows of the importance matrix: how strange is a patient among others (Liu et al. 2008)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError
from ..monitor import Stage
from .matrices import CohortMatrices

MIN_REFERENCE = 5


@dataclass(frozen=True)
class Reference:
    """A fitted reference: its rows and parameters, from which the same forests grow again.

    Attributes:
        rows: labels with a forest.
        columns: the model's labels, the features of each forest.
        mass: ``[patients, rows, columns]``; NaN where a patient lacks the label.
        scores: anomaly score of each reference patient among the others (leave-one-out), ``[patients, rows]``.
        trees: per forest.
        seed: of the forests.
        weights: sha256 of the model's weights, where known.
        settings: how its patients were explained (method, samples, …), where known.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    mass: np.ndarray
    scores: np.ndarray
    trees: int
    seed: int
    weights: tuple[str, ...]
    settings: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Anomalies:
    """How strange patients are.

    Attributes:
        patients: ids.
        rows: labels.
        scores: anomaly score in 0..1 (Liu et al. 2008, about 0.5 is ordinary), ``[patients, rows]``; NaN where absent.
        ranks: share of the reference patients that are less strange, ``[patients, rows]``.
        average: mean score over a patient's labels, ``[patients]``.
        average_rank: share of the reference patients whose average is smaller, ``[patients]``.
        in_reference: whether the patient is one of the reference and was scored against the others, bool ``[patients]``.
    """

    patients: tuple[str, ...]
    rows: tuple[str, ...]
    scores: np.ndarray
    ranks: np.ndarray
    average: np.ndarray
    average_rank: np.ndarray
    in_reference: np.ndarray

    @property
    def order(self) -> np.ndarray:
        """Indices of the patients, the strangest first."""
        return np.lexsort((np.arange(len(self.patients)), -np.nan_to_num(self.average, nan=-1.0)))


def require_sklearn() -> None:
    """Refuse where scikit-learn is not installed.

    Raises:
        InputError: it is missing.
    """
    try:
        import sklearn.ensemble  # noqa: F401
    except ImportError:
        raise InputError("Outliers need scikit-learn: install it with pip install scikit-learn.") from None


def fit_reference(cohort: CohortMatrices, trees: int, seed: int, stage: Stage) -> Reference:
    """The reference of a cohort, with the leave-one-out scores of its own patients.

    Labels that fewer than five patients have get no forest; the background gets none.

    Raises:
        InputError: scikit-learn is missing, or no label has enough patients.
    """
    require_sklearn()
    present = cohort.present.sum(axis=0)
    kept = [row for row in cohort.foreground if present[row] >= MIN_REFERENCE]
    if not kept:
        most = int(present[cohort.foreground].max(initial=0))
        raise InputError(
            f"A reference needs at least {MIN_REFERENCE} patients with the same label, but there are {most}: an outlier "
            "cannot be told from so few."
        )
    own = cohort.own_columns
    mass = cohort.mass[:, kept][:, :, own]
    scores = np.full(mass.shape[:2], np.nan)
    total = int(np.isfinite(mass[:, :, 0]).sum())
    done = 0
    for row in range(len(kept)):
        here = np.flatnonzero(np.isfinite(mass[:, row, 0]))
        for index in here:
            stage.update(done / total, cohort.rows[kept[row]])
            done += 1
            others = mass[here[here != index], row]
            scores[index, row] = anomaly_scores(others, mass[index : index + 1, row], trees, seed)[0]
    names = tuple(cohort.rows[row] for row in kept)
    columns = tuple(cohort.columns[i] for i in own)
    return Reference(names, columns, mass, scores, trees, seed, cohort.fingerprint, cohort.settings)


def score_patients(reference: Reference, cohort: CohortMatrices, stage: Stage) -> Anomalies:
    """Anomaly scores of patients; one that is in the reference is scored against the others.

    A patient is recognised by its numbers, not by its id, so that a reference need not hold ids.

    Raises:
        InputError: the cohort's regions are not those of the reference.
    """
    own = {cohort.columns[index] for index in cohort.own_columns}
    if own != set(reference.columns):
        lacking = sorted(set(reference.columns) ^ own)[0]
        raise InputError(
            f"Reference and patients have different label sets ('{lacking}' is in one only): use a reference of the same model."
        )
    order = [cohort.columns.index(name) for name in reference.columns]
    count = len(cohort.patients)
    mass = np.full((count, len(reference.rows), len(order)), np.nan)
    for index, name in enumerate(reference.rows):
        if name in cohort.rows:
            mass[:, index] = cohort.mass[:, cohort.rows.index(name)][:, order]
    same = [_position(reference.mass, mass[index]) for index in range(count)]
    scores = np.full(mass.shape[:2], np.nan)
    new = np.array([position is None for position in same])
    for index, position in enumerate(same):
        if position is not None:
            scores[index] = reference.scores[position]
    for row, name in enumerate(reference.rows):
        stage.update(row / len(reference.rows), name)
        wanted = new & np.isfinite(mass[:, row, 0])
        known = reference.mass[np.isfinite(reference.mass[:, row, 0]), row]
        if wanted.any():
            scores[wanted, row] = anomaly_scores(known, mass[wanted, row], reference.trees, reference.seed)
    average, of_reference = _average(scores), _average(reference.scores)
    ranks = np.stack([_rank(scores[:, row], reference.scores[:, row]) for row in range(len(reference.rows))], axis=1)
    return Anomalies(cohort.patients, reference.rows, scores, ranks, average, _rank(average, of_reference), ~new)


def anomaly_scores(reference: np.ndarray, rows: np.ndarray, trees: int, seed: int) -> np.ndarray:
    """Liu's anomaly score of ``rows`` ``[n, columns]`` in a forest grown on ``reference`` ``[m, columns]``."""
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(n_estimators=trees, random_state=seed).fit(reference)
    return -forest.score_samples(rows)


def _position(reference: np.ndarray, rows: np.ndarray) -> int | None:
    equal = (reference == rows) | (np.isnan(reference) & np.isnan(rows))
    found = np.flatnonzero(equal.all(axis=(1, 2)))
    return int(found[0]) if found.size else None


def _average(scores: np.ndarray) -> np.ndarray:
    count = np.isfinite(scores).sum(axis=1)
    return np.divide(np.nansum(scores, axis=1), count, out=np.full(len(scores), np.nan), where=count > 0)


def _rank(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Share of the reference below each value; NaN stays."""
    known = np.sort(reference[np.isfinite(reference)])
    share = np.searchsorted(known, values, side="left") / max(len(known), 1)
    return np.where(np.isfinite(values), share, np.nan)
