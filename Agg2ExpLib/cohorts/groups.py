"""Differences between groups of patients: anomaly scores against what a table says of the patients (sex, age, any column)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..io.csv_lines import nearest, number, read_lines, require_columns
from .significance import Test, adjusted, compare_two, rank_correlation

_FEWEST_NUMBERS = 6  # a column of fewer different numbers is one of groups
_NOT_ABOUT_PATIENTS = ("patient", "ct", "truth", "extra_rois")


@dataclass(frozen=True)
class Column:
    """What a table says of each patient.

    Attributes:
        name: of the column.
        values: numbers ``[patients]`` (NaN where empty) or None for a column of groups.
        groups: the text of each patient, empty where not known.
    """

    name: str
    values: np.ndarray | None
    groups: tuple[str, ...]


def read_metadata(path: Path, patients: Sequence[str], columns: Sequence[str] = ()) -> tuple[list[Column], list[str]]:
    """Columns of a table with a column ``patient``.

    Args:
        path: CSV.
        patients: the cohort's.
        columns: wanted; all but paths by default.

    Returns:
        The columns in the cohort's order, and notices.

    Raises:
        InputError: unreadable, a column or all patients are missing, or a patient occurs twice.
    """
    header, lines = read_lines(path)
    require_columns(path, header, ["patient", *columns])
    by_patient: dict[str, int] = {}
    for index, line in enumerate(lines):
        if line["patient"] in by_patient:
            raise InputError(f"{path}, line {index + 2}: patient '{line['patient']}' occurs twice.")
        by_patient[line["patient"]] = index
    missing = [patient for patient in patients if patient not in by_patient]
    if len(missing) == len(patients):
        raise InputError(f"{path} knows none of the patients{nearest(patients[0], by_patient)}: check its column 'patient'.")
    notices = [f"{path.name} lacks {len(missing)} of {len(patients)} patients, e.g. {missing[0]}."] if missing else []
    found = []
    for name in columns or [name for name in header if name not in _NOT_ABOUT_PATIENTS]:
        texts = tuple(lines[by_patient[patient]][name] if patient in by_patient else "" for patient in patients)
        found.append(Column(name, _numbers(path, name, texts), texts))
    return found, notices


def group_tests(columns: Sequence[Column], average: np.ndarray, strange: np.ndarray) -> list[Test]:
    """Tests of every column, corrected together by Benjamini–Hochberg.

    Args:
        columns: of the patients.
        average: anomaly score of each patient, ``[patients]``.
        strange: whether a patient counts as an outlier, bool ``[patients]``.

    Returns:
        For numbers Spearman's correlation with the score and Mann–Whitney U between outliers and the rest; for groups
        Mann–Whitney U (two) or Kruskal–Wallis (more) of the score and Fisher's exact test (2 × 2) or χ² of being an outlier.
    """
    tests = []
    for column in columns:
        if column.values is not None:
            tests.append(rank_correlation(column.name, average, column.values))
            tests.append(compare_two(column.name, column.values[strange], column.values[~strange], ("outliers", "others")))
            continue
        groups = sorted({text for text in column.groups if text})
        member = np.array(column.groups)
        known = sum(1 for text in column.groups if text)
        if len(groups) < 2 or len(groups) > max(known // 2, 2):
            why = "all patients are alike" if len(groups) < 2 else "nearly every patient differs"
            tests.append(Test(column.name, "none", known, float("nan"), float("nan"), f"undefined: {why}"))
            continue
        parts = [average[member == name] for name in groups]
        tests.append(
            compare_two(column.name, parts[0], parts[1], (groups[0], groups[1]))
            if len(groups) == 2
            else _kruskal(column.name, parts, groups)
        )
        tests.append(_association(column.name, member, groups, strange))
    return adjusted(tests)


def _numbers(path: Path, name: str, texts: Sequence[str]) -> np.ndarray | None:
    try:
        values = np.array([number(path, 0, name, text) for text in texts])
    except InputError:
        return None
    return values if len(np.unique(values[np.isfinite(values)])) >= _FEWEST_NUMBERS else None


def _kruskal(subject: str, parts: list[np.ndarray], names: Sequence[str]) -> Test:
    from scipy.stats import kruskal

    parts = [part[np.isfinite(part)] for part in parts]
    detail = "; ".join(
        f"{name}: {len(part)}, median {np.median(part):.4g}" for name, part in zip(names, parts, strict=True) if len(part)
    )
    filled = [part for part in parts if len(part)]
    count = sum(map(len, filled))
    if len(filled) < 2 or np.ptp(np.concatenate(filled)) == 0:
        return Test(subject, "Kruskal-Wallis", count, float("nan"), float("nan"), detail)
    result = kruskal(*filled)
    return Test(subject, "Kruskal-Wallis", count, float(result.statistic), float(result.pvalue), detail)


def _association(subject: str, member: np.ndarray, groups: Sequence[str], strange: np.ndarray) -> Test:
    """Whether outliers are more frequent in one group."""
    from scipy.stats import chi2_contingency, fisher_exact

    table = np.array([[np.sum((member == name) & side) for side in (strange, ~strange)] for name in groups])
    detail = "outliers: " + "; ".join(f"{name} {one} of {one + other}" for name, (one, other) in zip(groups, table, strict=True))
    name = "Fisher exact" if len(groups) == 2 else "chi-squared"
    if (table.sum(axis=0) == 0).any():
        return Test(subject, name, int(table.sum()), float("nan"), float("nan"), detail + " (undefined)")
    if len(groups) == 2:
        odds, p = fisher_exact(table)
        return Test(subject, name, int(table.sum()), float(odds), float(p), detail)
    statistic, p, *_ = chi2_contingency(table)
    return Test(subject, name, int(table.sum()), float(statistic), float(p), detail)
