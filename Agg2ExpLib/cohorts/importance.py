"""Global RoI importance: the mean over patients with its confidence interval (docs/method.md#many-patients)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..io.csv_table import write_table
from ..roi_importance.matrix import ImportanceMatrix
from ..roi_importance.tables import TIDY_COLUMNS
from .bootstrap import mean_interval
from .matrices import VALUES, CohortMatrices

GLOBAL_COLUMNS = (*TIDY_COLUMNS, "patients", "ci_low", "ci_high")


@dataclass(frozen=True)
class GlobalImportance:
    """The mean matrix of a cohort; arrays are ``[rows, columns]``.

    Attributes:
        rows, columns, extra: as in :class:`~Agg2ExpLib.cohorts.matrices.CohortMatrices`.
        values: mean over the patients that have label and region; ``standard_error`` is the standard error of the mean mass over
            patients (NaN for one patient), which contains the Monte-Carlo error of each patient.
        patients: number of patients behind each entry.
        low, high: confidence interval of the mean mass; NaN for one patient.
        roi_voxels: mean voxels of each region ``[columns]``; NaN where not known.
        confidence: of the intervals, e.g. 0.95.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    extra: tuple[str, ...]
    values: dict[str, np.ndarray]
    patients: np.ndarray
    low: np.ndarray
    high: np.ndarray
    roi_voxels: np.ndarray
    confidence: float

    @property
    def mass(self) -> np.ndarray:
        """``E_X[a, b]``."""
        return self.values["mass"]

    def matrix(self) -> ImportanceMatrix:
        """The same as a matrix of one patient, for graphs and heat maps."""
        # the size is only asked whether there is any voxel
        known = np.isfinite(self.roi_voxels)
        voxels = np.where(known, np.ceil(np.where(known, self.roi_voxels, 1)), np.nanmax(self.patients, axis=0, initial=0) > 0)
        return ImportanceMatrix(
            rows=self.rows, columns=self.columns, roi_voxels=voxels.astype(np.int64), extra=self.extra, **self.values
        )

    def select(self, keep: list[int]) -> GlobalImportance:
        """The matrix of some rows."""
        return GlobalImportance(
            tuple(self.rows[index] for index in keep),
            self.columns,
            self.extra,
            {name: array[keep] for name, array in self.values.items()},
            self.patients[keep],
            self.low[keep],
            self.high[keep],
            self.roi_voxels,
            self.confidence,
        )


def global_importance(cohort: CohortMatrices, confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> GlobalImportance:
    """``E_X = mean over patients of E_x``; a patient that lacks a label or region is left out of that mean.

    Args:
        cohort: the patients.
        confidence: of the bootstrap intervals.
        resamples: bootstrap samples of patients.
        seed: of the bootstrap.
    """
    counts = np.isfinite(cohort.mass).sum(axis=0)
    values = {name: _mean(cohort.values[name]) for name in VALUES}
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.where(counts > 1, np.nansum((cohort.mass - values["mass"]) ** 2, axis=0) / (counts - 1), np.nan)
        values["standard_error"] = np.sqrt(spread / counts)
    low, high = (np.full(counts.shape, np.nan) for _ in range(2))
    for row in range(len(cohort.rows)):
        low[row], high[row] = mean_interval(cohort.mass[:, row], confidence, resamples, (seed, row))
    return GlobalImportance(
        cohort.rows, cohort.columns, cohort.extra, values, counts, low, high, _mean(cohort.roi_voxels), confidence
    )


def write_global(path: Path, matrix: GlobalImportance, name: str) -> None:
    """Write ``global_importance.csv``: the tidy columns with the cohort's name as patient, then ``patients,ci_low,ci_high``.

    Entries that no patient has are left out; undefined numbers are empty.
    """
    rows = []
    for i, row in enumerate(matrix.rows):
        for j, column in enumerate(matrix.columns):
            if not matrix.patients[i, j]:
                continue
            entry = [float(matrix.values[key][i, j]) for key in VALUES]
            voxels = "" if np.isnan(matrix.roi_voxels[j]) else round(matrix.roi_voxels[j])
            interval = [float(matrix.low[i, j]), float(matrix.high[i, j])]
            rows.append([name, row, column, *entry, voxels, int(matrix.patients[i, j]), *interval])
    write_table(path, GLOBAL_COLUMNS, rows)


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis without NaN; NaN where nothing is left."""
    count = np.isfinite(values).sum(axis=0)
    return np.divide(np.nansum(values, axis=0), count, out=np.full(values.shape[1:], np.nan), where=count > 0)
