"""The report on outliers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..views.html_page import Cell, Name, Number, Page, fixed, percent, plain
from .figures import region_color
from .found_outliers import AVERAGE, Outliers
from .report import CAUTION
from .significance import Test


def write_outlier_report(path: Path, outliers: Outliers, figures: dict[str, Path]) -> None:
    """Write ``report.html``.

    Args:
        path: of the page.
        outliers: what was found.
        figures: files by name.
    """
    found, reference = outliers.found, outliers.reference
    count = len(found.patients)
    page = Page("Outliers by their attributions", f"Agg2Exp · {count} patients against {len(reference.mass)} reference patients")
    page.section("At a glance")
    strange = [found.patients[index] for index in found.order if outliers.strange[index]]
    page.cards(
        [
            (str(count), "patients"),
            (str(len(strange)), "stranger than nine of ten reference patients"),
            (str(len(reference.mass)), "patients in the reference"),
            (str(len(reference.rows)), "labels, each with a forest of its own"),
        ]
    )
    page.findings(_findings(outliers, strange))
    page.warning("Please note", outliers.notices)
    if "patients" in figures:
        page.section("Strange and ordinary patients")
        page.figure(
            figures["patients"], "The strangest patients (left) and the most ordinary (right), through their strangest label."
        )
    page.section("Ranking", "Patients by their average anomaly score, the strangest first.")
    page.table(*_ranking(outliers), filtered=count > 40)
    page.figure(figures["anomaly_scores"], "Anomaly score of every patient and label.")
    if outliers.correlations:
        page.section("Do strange attributions tell bad segmentations?", "Spearman's rank correlation of anomaly score and Dice.")
        if "score_and_dice" in figures:
            page.figure(figures["score_and_dice"], "Average anomaly score against mean Dice.", narrow=True)
        page.table(["label", "ρ", "p", "p adjusted (BH)", "patients"], [_test(outliers, test) for test in outliers.correlations])
    if outliers.groups:
        page.section("Groups of patients", "All tests are corrected together (Benjamini–Hochberg).")
        if "groups" in figures:
            page.figure(figures["groups"], "Average anomaly score by group.", narrow=True)
        header = ["column", "test", "statistic", "p", "p adjusted (BH)", "patients", "groups"]
        rows: list[list[Cell]] = [
            [t.subject, t.name, plain(t.statistic), plain(t.p, 2), plain(t.p_adjusted, 2), Number(t.n, str(t.n)), t.detail]
            for t in outliers.groups
        ]
        page.table(header, rows)
    page.section(
        "How to read this",
        "For each label an isolation forest (Liu et al. 2008) grows on the label's row of the importance matrix in the reference "
        f"patients ({reference.trees} trees, seed {reference.seed}). The score is between 0 and 1, about 0.5 for an ordinary "
        "patient. A patient of the reference is scored by a forest grown without it. The rank is the share of reference patients "
        "that are less strange; outliers are those whose average score ranks at 90 % or above.",
        "An outlier is a patient whom the model treats unlike others. That may be anatomy, disease, the scan's field of view, or a "
        "failure; look at the patient.",
        CAUTION,
    )
    page.write(path)


def _findings(outliers: Outliers, strange: list[str]) -> list[str]:
    told = []
    if strange:
        told.append(f"Strangest: {', '.join(strange[:5])}{' …' if len(strange) > 5 else ''}.")
    for test in outliers.correlations:
        if test.subject == AVERAGE and np.isfinite(test.p):
            told.append(f"Average score and mean Dice: Spearman's ρ = {test.statistic:.2f} (p = {test.p:.2g}, n = {test.n}).")
    clear = [test for test in outliers.correlations if test.subject != AVERAGE and test.p_adjusted < 0.05]
    if outliers.correlations:
        names = ", ".join(f"{outliers.cohort.title(test.subject).lower()} (ρ = {test.statistic:.2f})" for test in clear)
        told.append(f"Labels whose score goes with Dice at 5 % after correction: {names or 'none'}.")
    if outliers.groups:
        names = ", ".join(
            f"{test.subject} ({test.name}, adjusted p = {test.p_adjusted:.2g})"
            for test in outliers.groups
            if test.p_adjusted < 0.05
        )
        told.append(f"Groups that differ at 5 % after correction: {names or 'none'}.")
    return told


def _ranking(outliers: Outliers) -> tuple[list[str], list[list[Cell]]]:
    found, dice = outliers.found, outliers.mean_dice()
    rows: list[list[Cell]] = []
    for position, index in enumerate(found.order, start=1):
        scores = found.scores[index]
        label = found.rows[int(np.nanargmax(scores))] if np.isfinite(scores).any() else None
        strangest: Cell = Name(outliers.cohort.title(label), region_color(outliers.cohort, label)) if label else "–"
        unusual = int((np.nan_to_num(found.ranks[index]) >= 0.95).sum())
        rows.append(
            [
                Number(position, str(position)),
                found.patients[index],
                fixed(float(found.average[index])),
                percent(float(found.average_rank[index])),
                strangest,
                fixed(float(np.nanmax(scores)) if label else float("nan")),
                Number(unusual, str(unusual)),
                fixed(float(dice[index])),
            ]
        )
    return ["", "patient", "average score", "stranger than", "strangest label", "its score", "labels above 95 %", "mean Dice"], rows


def _test(outliers: Outliers, test: Test) -> list[Cell]:
    name: Cell = Name(outliers.cohort.title(test.subject), region_color(outliers.cohort, test.subject))
    if test.subject == AVERAGE:
        name = Name("Average of the labels", "#1d2126")
    return [name, fixed(test.statistic, 2), plain(test.p, 2), plain(test.p_adjusted, 2), Number(test.n, str(test.n))]
