"""The importance matrices of many patients, brought to one set of rows and columns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..models.labels import BACKGROUND, Label, title_of
from ..roi_importance.matrix import LIMIT_OF
from .settings import ESTIMATE, estimate_of

VALUES = ("mass", "mean", "enrichment", "positive_mass", "negative_mass", "standard_error")


@dataclass(frozen=True)
class PatientMatrix:
    """One patient's matrix as it was read; arrays are ``[rows, columns]``.

    Attributes:
        patient: id.
        source: file or folder it comes from, for messages.
        rows: explained labels.
        columns: regions.
        values: the arrays of :data:`VALUES`, told for endless samples where that is known; NaN where not known.
        roi_voxels: voxels of each region ``[columns]``; NaN where not known.
        dice: Dice of labels, where known.
        folder: the results folder, where there is one.
        weights: sha256 of the model's weights, where known.
        labels: the model's labels, where known.
        extra: the regions that are no labels of the model; None where not known.
        settings: what else must be alike within a cohort (method, samples, …).
        ct: sha256 of the CT, where known.
    """

    patient: str
    source: Path
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: dict[str, np.ndarray]
    roi_voxels: np.ndarray
    dice: dict[str, float] = field(default_factory=dict)
    folder: Path | None = None
    weights: str | None = None
    labels: tuple[Label, ...] | None = None
    extra: tuple[str, ...] | None = None
    settings: dict[str, object] = field(default_factory=dict)
    ct: str | None = None


def with_best(read: PatientMatrix) -> PatientMatrix:
    """The patient with the limits that its ``values`` hold in the place of what its map gives, see ``ImportanceMatrix.best``."""
    known = np.isfinite(read.values["limit"])
    values = {name: np.where(known, read.values[LIMIT_OF[name]], read.values[name]) for name in VALUES}
    return replace(read, values=values, settings={**read.settings, ESTIMATE: estimate_of(bool(known.any()))})


@dataclass(frozen=True)
class CohortMatrices:
    """The matrices of a cohort.

    Attributes:
        patients: ids, sorted.
        rows: labels explained in at least one patient, in the model's order.
        columns: the model's labels, then ``extra`` regions.
        values: the arrays of :data:`VALUES`, each ``[patients, rows, columns]``; NaN where a patient lacks the label or region.
        roi_voxels: ``[patients, columns]``; NaN where not known.
        extra: regions that are no labels of the model.
        labels: the model's labels (names, systems, colours).
        dice: ``[patients, rows]``; NaN where not known.
        folders: results folders by patient, where there are any.
        notices: what a reader of the summary should know.
        fingerprint: what tells models apart: sha256 of the weights, where known.
        settings: method, samples and so on, as far as they are known and the same for all patients.
    """

    patients: tuple[str, ...]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: dict[str, np.ndarray]
    roi_voxels: np.ndarray
    extra: tuple[str, ...]
    labels: tuple[Label, ...]
    dice: np.ndarray
    folders: dict[str, Path]
    notices: tuple[str, ...]
    fingerprint: tuple[str, ...]
    settings: dict[str, object] = field(default_factory=dict)

    @property
    def mass(self) -> np.ndarray:
        """``E[a, b]`` of every patient, ``[patients, rows, columns]``."""
        return self.values["mass"]

    @property
    def own_columns(self) -> list[int]:
        """Indices of the columns that are labels of the model; every row sums to 1 over them."""
        return [index for index, name in enumerate(self.columns) if name not in self.extra]

    @property
    def present(self) -> np.ndarray:
        """Whether a patient has an explained label, bool ``[patients, rows]``."""
        return np.isfinite(self.mass[:, :, self.own_columns]).all(axis=2)

    @property
    def foreground(self) -> list[int]:
        """Indices of the rows that are not the background."""
        return [index for index, name in enumerate(self.rows) if name != BACKGROUND]

    def inside(self) -> np.ndarray:
        """``E[a, a]``: the share of a label's attribution inside its own segment, ``[patients, rows]``; the rest is context.

        NaN for the classes of a classifier, which have no segment.
        """
        found = np.full((len(self.patients), len(self.rows)), np.nan)
        for row, name in enumerate(self.rows):
            if name in self.columns:
                found[:, row] = self.mass[:, row, self.columns.index(name)]
        return found

    def title(self, name: str) -> str:
        """A label or region as people read it."""
        return title_of(name)

    def select(self, keep: np.ndarray) -> CohortMatrices:
        """The cohort of some patients.

        Args:
            keep: bool ``[patients]``.
        """
        names = tuple(name for name, wanted in zip(self.patients, keep, strict=True) if wanted)
        return CohortMatrices(
            names,
            self.rows,
            self.columns,
            {name: array[keep] for name, array in self.values.items()},
            self.roi_voxels[keep],
            self.extra,
            self.labels,
            self.dice[keep],
            {name: path for name, path in self.folders.items() if name in names},
            self.notices,
            self.fingerprint,
            self.settings,
        )
