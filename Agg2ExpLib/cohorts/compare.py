"""One patient against a reference: where the patient's rows lie among those of the others, and which of them are unusual.

**When a label is unusual.** One isolation forest (Liu et al. 2008) grows on the label's rows of the reference and of the patient
together, so that it does not know which row is the patient's. The share of all rows, the patient's own included, that are at least
as strange as the patient's is a conformal p-value (Vovk, Gammerman, Shafer: Algorithmic Learning in a Random World, 2005; for
outliers Bates et al., Annals of Statistics 51, 2023). The label is unusual where that share is at most 5 %.

If the patient is drawn like those of the reference, every place among them is equally likely, so a label is called unusual with a
probability of at most 5 % (exactly ``floor(0.05 (n + 1)) / (n + 1)``, e.g. 3 % for n = 32), whatever the values are distributed
like. The rule takes 19 patients: with fewer, even the strangest of all would be called so too often, and nothing is said. The
probability holds for each label on its own: of 16 labels of an ordinary patient, up to 0.8 are called unusual on average.

The other way round an ordinary label is no proof: with as few patients as in most references, a forest on the whole row sees large
changes only (docs/cohort.md has numbers). Single regions are better judged by :attr:`LabelComparison.outside`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from ..errors import InputError
from ..models.labels import BACKGROUND
from ..roi_importance.matrix import ImportanceMatrix
from .compare_reference import ComparisonReference, fitting_reference

FALSE_ALARMS = 0.05
FEWEST = 19  # patients, from 1 / (n + 1) <= FALSE_ALARMS
RANGE = 0.95  # share of the reference within low and high
NEGLIGIBLE = 0.0005  # of the attribution; less beyond the range cannot be seen in per cent with one decimal

UNUSUAL, ORDINARY, TOO_FEW, UNKNOWN = "unusual", "ordinary", "too few", "unknown"
_BOX = ("values", "low", "lower", "median", "upper", "high", "mean")


@dataclass(frozen=True)
class LabelComparison:
    """A label's row in the patient and in the reference; arrays are ``[columns]``, shares of the label's attribution.

    Attributes:
        label: its name.
        patients: reference patients that have the label.
        values: the patient's.
        low, high: between them lie 95 % of the reference (quantiles such that a further ordinary patient lies beyond either with
            a probability of 2.5 %; the extremes of the reference where it has less than 39 patients).
        lower, median, upper: quartiles.
        mean: over the reference.
        score: anomaly score in 0..1 in a forest of reference and patient, about 0.5 is ordinary; None where it is not known. The
            one of ``agg2exp cohort outliers`` comes from a forest without the patient, and differs a little.
        share: part of the reference and this patient that is at least as strange; None as for ``score``.
    """

    label: str
    patients: int
    values: np.ndarray
    low: np.ndarray
    lower: np.ndarray
    median: np.ndarray
    upper: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    score: float | None = None
    share: float | None = None

    @property
    def verdict(self) -> str:
        """``unusual``, ``ordinary``, ``too few`` patients to tell, or ``unknown`` (no forest)."""
        if self.patients < FEWEST:
            return TOO_FEW
        if self.share is None:
            return UNKNOWN
        return UNUSUAL if self.share <= FALSE_ALARMS else ORDINARY

    @property
    def outside(self) -> np.ndarray:
        """-1 where the patient lies below the range of the reference, 1 above, 0 within; int ``[columns]``."""
        above, below = self.values - self.high > NEGLIGIBLE, self.low - self.values > NEGLIGIBLE
        return above.astype(int) - below.astype(int)

    @property
    def difference(self) -> np.ndarray:
        """Patient minus mean of the reference, ``[columns]``."""
        return self.values - self.mean


@dataclass(frozen=True)
class Comparison:
    """One patient against a reference.

    Attributes:
        columns: the model's labels, in the order of the patient's matrix; further regions are left out.
        labels: explained labels that the reference has too.
        patients: in the reference.
        notices: what the user should know.
        missing: name of the package that the scores lack, empty if none.
    """

    columns: tuple[str, ...]
    labels: tuple[LabelComparison, ...]
    patients: int
    notices: tuple[str, ...] = ()
    missing: str = ""

    @property
    def unusual(self) -> tuple[str, ...]:
        """Names of the unusual labels."""
        return tuple(one.label for one in self.labels if one.verdict == UNUSUAL)

    def of(self, label: str | None) -> LabelComparison | None:
        """The comparison of a label, None where there is none."""
        return next((one for one in self.labels if one.label == label), None)

    def difference(self, matrix: ImportanceMatrix) -> np.ndarray:
        """Patient minus mean of the reference in the patient's rows and columns; NaN where there is no comparison."""
        result = np.full(matrix.mass.shape, np.nan)
        where = [matrix.columns.index(name) for name in self.columns]
        for one in self.labels:
            if one.label in matrix.rows:
                result[matrix.rows.index(one.label), where] = one.difference
        return result

    def to_json(self) -> dict[str, Any]:
        """For another process."""
        labels = [
            {field.name: _plain(getattr(one, field.name)) for field in fields(one)}  # fields are numbers, texts and arrays
            for one in self.labels
        ]
        told = {"columns": self.columns, "patients": self.patients, "notices": self.notices, "missing": self.missing}
        return {**told, "labels": labels}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Comparison:
        """What :meth:`to_json` gave."""
        labels = tuple(
            LabelComparison(**{**one, **{name: np.array(one[name], dtype=np.float64) for name in _BOX}})
            for one in content["labels"]
        )
        columns, notices = tuple(content["columns"]), tuple(content["notices"])
        return cls(columns, labels, int(content["patients"]), notices, str(content["missing"]))


def comparing(
    reference: ComparisonReference, matrix: ImportanceMatrix, run: Mapping[str, Any] | None = None
) -> Iterator[Comparison]:
    """Compare a patient with a reference, a label at a time.

    Args:
        reference: from :func:`~Agg2ExpLib.cohorts.compare_reference.open_reference`.
        matrix: the patient's.
        run: content of the patient's ``run.json``, as far as there is one; shows whether model and method are the reference's.

    Yields:
        The comparison: at first without scores, then with those of one label more each time. Without scikit-learn only the first.

    Raises:
        InputError: the patient's model or method is another, or there is nothing to compare.
    """
    reference = fitting_reference(reference, matrix, run or {})
    columns = tuple(name for name in matrix.columns if name in reference.columns)
    mine = [matrix.columns.index(name) for name in columns]
    theirs = [reference.columns.index(name) for name in columns]
    labels, rows, lacking = [], [], []
    shares = matrix.best()
    for line, name in enumerate(matrix.rows):
        values = shares[line, mine]
        known = reference.row(name)[:, theirs] if name in reference.rows else np.empty((0, len(columns)))
        if len(known) and np.isfinite(values).all():
            labels.append(_boxes(name, values, known))
            rows.append(known)
        elif name != BACKGROUND:
            lacking.append(name)
    if not labels:
        raise InputError("The reference has none of the explained labels: choose another, or explain one of its labels.")
    notices = list(reference.notices)
    if lacking:
        notices.append(f"The reference does not have {', '.join(lacking)}: not compared.")
    comparison = Comparison(columns, tuple(labels), len(reference.mass), tuple(notices))
    try:
        from sklearn.ensemble import IsolationForest  # noqa: F401
    except ImportError:
        yield replace(comparison, missing="scikit-learn")
        return
    yield comparison
    for index, known in enumerate(rows):
        score, share = strangeness(known, comparison.labels[index].values, reference.trees, reference.seed)
        labels[index] = replace(labels[index], score=score, share=share)
        comparison = replace(comparison, labels=tuple(labels))
        yield comparison


def strangeness(reference: np.ndarray, values: np.ndarray, trees: int = 100, seed: int = 0) -> tuple[float, float]:
    """Anomaly score of a row, and the share of all rows that are at least as strange (the module's docstring says what that is).

    Args:
        reference: rows ``[patients, columns]``.
        values: the row, ``[columns]``.
        trees: of the forest.
        seed: of the forest.
    """
    from .forest import anomaly_scores

    together = np.concatenate([reference, values[None]])
    scores = anomaly_scores(together, together, trees, seed)
    return float(scores[-1]), float((scores >= scores[-1]).mean())


def _boxes(label: str, values: np.ndarray, known: np.ndarray) -> LabelComparison:
    beyond = (1 - RANGE) / 2
    # quantiles of the population, not of the sample: between two of n ordered patients lies 1 / (n + 1) of all further ones
    low, high = np.quantile(known, [beyond, 1 - beyond], axis=0, method="weibull")
    lower, median, upper = np.quantile(known, [0.25, 0.5, 0.75], axis=0)
    return LabelComparison(label, len(known), values, low, lower, median, upper, high, known.mean(axis=0))


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
