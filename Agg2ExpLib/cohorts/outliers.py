"""``agg2exp cohort outliers``: how strange each patient is, whether that tells bad segmentations, and which groups are strange."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..attribution.method import check_seed
from ..errors import InputError
from ..io.csv_table import write_table
from ..monitor import Monitor, Stage
from ..system.files import new_folder, write_json
from ..version import __version__
from ..views.plots import save_figure
from .forest import Anomalies, Reference, fit_reference, require_sklearn, score_patients
from .found_outliers import AVERAGE, Outliers
from .groups import Column, group_tests, read_metadata
from .matrices import CohortMatrices
from .outlier_figures import dice_figure, group_figure, patients_figure, score_figure
from .outlier_report import write_outlier_report
from .read import RECORD, read_cohort
from .reference import SUFFIX, load_reference, save_reference
from .significance import Test, adjusted, rank_correlation

STRANGE_RANK = 0.9  # stranger than this share of the reference


@dataclass(frozen=True)
class OutlierOptions:
    """How to look for outliers.

    Attributes:
        trees, seed: of each forest.
        metadata: table with what is known of the patients.
        columns: of it that are tested; empty for all.
        dice: table of Dice.
        save_reference: where to write the reference.
        extra_rois, mixed_models: see :func:`~Agg2ExpLib.cohorts.read.read_cohort`.
        overwrite: whether earlier output may be replaced.
    """

    trees: int = 100
    seed: int = 0
    metadata: str | None = None
    columns: tuple[str, ...] = ()
    dice: str | None = None
    save_reference: str | None = None
    extra_rois: tuple[str, ...] = ()
    mixed_models: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.trees <= 10_000:
            raise InputError(f"The number of trees must be 1 to 10000, not {self.trees}: 100 is usual.")
        check_seed(self.seed)
        if self.columns and not self.metadata:
            raise InputError("⟨columns⟩ names columns of a table: give it with ⟨metadata⟩.")
        if self.save_reference and not self.save_reference.endswith(SUFFIX):
            raise InputError(f"A reference is written as {SUFFIX}, not as '{Path(self.save_reference).name}'.")


def find_outliers(
    reference_sources: Sequence[str | Path],
    patient_sources: Sequence[str | Path],
    output: str | Path,
    options: OutlierOptions,
    monitor: Monitor,
) -> Outliers:
    """Find outliers and write a folder about them.

    Args:
        reference_sources: the reference cohort, or one ``.npz`` that ``save_reference`` wrote.
        patient_sources: the patients; empty for the reference cohort itself, each patient against the others.
        output: folder: ``anomaly_scores.csv``, ``ranking.csv``, ``dice_correlation.csv``, ``group_tests.csv``, figures and
            ``report.html``.
        options: how.
        monitor: is told progress and notices.

    Raises:
        InputError: something given cannot be used; nothing was written.
    """
    require_sklearn()
    stage = Stage(monitor, "outliers", 0.0, 1.0)
    stage.update(0.0, "reading")
    shipped = len(reference_sources) == 1 and str(reference_sources[0]).endswith(SUFFIX)
    if shipped and not patient_sources:
        raise InputError("A saved reference holds no patients to rank: name them with ⟨patients⟩.")

    def read(sources: Sequence[str | Path]) -> CohortMatrices:
        return read_cohort(sources, options.extra_rois, options.mixed_models, options.dice)

    notices: list[str] = []
    base = None if shipped else read(reference_sources)
    cohort = read(patient_sources) if patient_sources else base
    assert cohort is not None
    columns, told = read_metadata(Path(options.metadata), cohort.patients, options.columns) if options.metadata else ([], [])
    notices += [*cohort.notices, *told]
    with new_folder(Path(output), options.overwrite, monitor.check) as folder:
        if base is None:
            reference, told = load_reference(Path(reference_sources[0]))
            notices += told
        else:
            reference = fit_reference(base, options.trees, options.seed, Stage(monitor, "reference", 0.05, 0.8))
        _check_weights(reference, cohort, options.mixed_models, notices)
        found = score_patients(reference, cohort, Stage(monitor, "patients", 0.8, 0.85))
        if not np.isfinite(found.average).any():
            raise InputError("No patient has a label that the reference knows: there is nothing to score.")
        outliers = Outliers(cohort, reference, found, np.nan_to_num(found.average_rank) >= STRANGE_RANK, notices=notices)
        outliers.correlations = dice_correlations(found, cohort)
        outliers.groups = group_tests(columns, found.average, outliers.strange)
        _tell_missing(outliers)
        for notice in notices:
            monitor.notice(notice)
        stage.update(0.87, "figures")
        _write(folder, outliers)
        write_outlier_report(folder / "report.html", outliers, _draw(folder, outliers, columns))
        write_json(folder / RECORD, _record(outliers))
        if options.save_reference:
            save_reference(Path(options.save_reference), reference)
    return outliers


def _check_weights(reference: Reference, cohort: CohortMatrices, mixed: bool, notices: list[str]) -> None:
    if reference.weights and cohort.fingerprint and set(reference.weights) != set(cohort.fingerprint):
        told = "Reference and patients were explained with different weights"
        if not mixed:
            raise InputError(f"{told}: use a reference of the same model, or add ⟨mixed_models⟩.")
        notices.append(f"{told}; ⟨mixed_models⟩ was given.")


def _tell_missing(outliers: Outliers) -> None:
    cohort, reference = outliers.cohort, outliers.reference
    lacking = [cohort.rows[row] for row in cohort.foreground if cohort.rows[row] not in reference.rows]
    if lacking:
        outliers.notices.append(f"The reference has too few patients with {', '.join(lacking)}: not scored.")
    if len(reference.mass) < 20:
        outliers.notices.append(f"The reference has only {len(reference.mass)} patients: scores and ranks are rough.")


def dice_correlations(found: Anomalies, cohort: CohortMatrices) -> list[Test]:
    """Spearman of score and Dice for each label, and of the averages, corrected together."""
    if not np.isfinite(cohort.dice).any():
        return []
    tests = []
    dice = np.full(found.scores.shape, np.nan)
    for row, name in enumerate(found.rows):
        if name in cohort.rows:
            dice[:, row] = cohort.dice[:, cohort.rows.index(name)]
        tests.append(rank_correlation(name, found.scores[:, row], dice[:, row]))
    both = np.isfinite(dice) & np.isfinite(found.scores)
    count = both.sum(axis=1)
    empty = np.full(len(count), np.nan)
    means = [
        np.divide(np.where(both, part, 0).sum(axis=1), count, out=empty.copy(), where=count > 0) for part in (found.scores, dice)
    ]
    tests.append(rank_correlation(AVERAGE, *means))
    return adjusted(tests)


def _write(folder: Path, outliers: Outliers) -> None:
    found, cohort = outliers.found, outliers.cohort
    dice = {name: cohort.dice[:, cohort.rows.index(name)] for name in found.rows if name in cohort.rows}
    write_table(
        folder / "anomaly_scores.csv",
        ["patient", "label", "score", "rank", "dice"],
        [
            [
                patient,
                name,
                float(found.scores[i, j]),
                float(found.ranks[i, j]),
                float(dice[name][i]) if name in dice else float("nan"),
            ]
            for i, patient in enumerate(found.patients)
            for j, name in enumerate(found.rows)
        ],
    )
    average = outliers.mean_dice()
    write_table(
        folder / "ranking.csv",
        ["position", "patient", "average_score", "rank", "outlier", "strangest_label", "mean_dice", "in_reference"],
        [
            [
                position,
                found.patients[i],
                float(found.average[i]),
                float(found.average_rank[i]),
                "yes" if outliers.strange[i] else "no",
                found.rows[int(np.nanargmax(found.scores[i]))] if np.isfinite(found.scores[i]).any() else "",
                float(average[i]),
                "yes" if found.in_reference[i] else "no",
            ]
            for position, i in enumerate(found.order, start=1)
        ],
    )
    header = ["subject", "test", "patients", "statistic", "p", "p_adjusted", "detail"]
    for name, tests in (("dice_correlation", outliers.correlations), ("group_tests", outliers.groups)):
        if tests:
            rows = [[t.subject, t.name, t.n, t.statistic, t.p, t.p_adjusted, t.detail] for t in tests]
            write_table(folder / f"{name}.csv", header, rows)


def _draw(folder: Path, outliers: Outliers, columns: list[Column]) -> dict[str, Path]:
    found = outliers.found
    figures = {"anomaly_scores": score_figure(found, outliers.cohort)}
    test = next((test for test in outliers.correlations if test.subject == AVERAGE), None)
    if test is not None and np.isfinite(test.p):
        p = f"p = {test.p:.2g} (adjusted {test.p_adjusted:.2g})"
        words = f"Averages over labels: Spearman's ρ = {test.statistic:.2f}, {p}, n = {test.n}."
        figures["score_and_dice"] = dice_figure(found, outliers.mean_dice(), outliers.strange, words)
    for name, figure in (("groups", group_figure(found, columns)), ("patients", patients_figure(found, outliers.cohort))):
        if figure is not None:
            figures[name] = figure
    drawn = {}
    for name, figure in figures.items():
        save_figure(figure, folder / f"{name}.png")
        # pictures of CT stay pixels
        drawn[name] = folder / f"{name}.{'png' if name == 'patients' else 'svg'}"
        save_figure(figure, folder / f"{name}.svg")
    return drawn


def _record(outliers: Outliers) -> dict[str, object]:
    import sklearn

    reference = outliers.reference
    return {
        "agg2exp": __version__,
        "kind": "outliers",
        "patients": len(outliers.found.patients),
        "reference_patients": len(reference.mass),
        "in_reference": int(outliers.found.in_reference.sum()),
        "labels": list(reference.rows),
        "trees": reference.trees,
        "seed": reference.seed,
        "scikit_learn": sklearn.__version__,
        "weights_sha256": list(reference.weights),
        "notices": outliers.notices,
    }
