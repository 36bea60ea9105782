"""The report of a cohort: everything on one page."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..models.labels import BACKGROUND
from ..views.html_page import Cell, Name, Number, Page, Range, fixed, percent, plain
from .figures import context_order, region_color
from .importance import GlobalImportance
from .matrices import CohortMatrices
from .summary import Summary

CAUTION = (
    "Research use only, not a medical device. Attributions say what a model's output is sensitive to; they do not say whether the "
    "output is right, nor what causes a disease."
)


def write_report(path: Path, summary: Summary, figures: dict[str, Path]) -> None:
    """Write ``report.html``.

    Args:
        path: of the page.
        summary: what was found.
        figures: SVG files by name, as ``summarise`` draws them.
    """
    cohort, overall = summary.cohort, summary.overall
    count = len(cohort.patients)
    versus = f" compared with {summary.other_name} ({len(summary.other.patients)} patients)" if summary.other else ""
    page = Page(
        f"RoI importance of {summary.name}",
        f"Agg2Exp · {count} patient{'s' * (count > 1)}{versus} · {len(cohort.foreground)} labels",
    )
    page.section("At a glance")
    page.cards(_cards(cohort, overall))
    page.findings(_findings(cohort, overall))
    page.warning("Please note", summary.notices)
    page.section(
        "Importance graph",
        "Which regions does the model lean on for which label? The three strongest regions of each label, without the background. "
        "Colours are anatomical systems.",
    )
    page.figure(figures["importance_graph"], f"Mean RoI importance, {summary.name}: top-3 edges into each label.")
    if "importance_graph_2" in figures:
        page.figure(figures["importance_graph_2"], f"Mean RoI importance, {summary.other_name}: top-3 edges into each label.")
    if "context" in figures:  # a classifier's classes have none
        _context(page, summary, figures)
    page.section(
        "Matrix",
        "Mean over patients. The background takes most of the mass by its size alone and stands apart in grey. Relative to size "
        "(1 is what chance would give), small regions beside the label come forward.",
    )
    page.figure(figures["importance_matrix"], "Mean share of the row's attribution that falls into the column's region, %.")
    if "importance_matrix_2" in figures:
        page.figure(figures["importance_matrix_2"], f"The same for {summary.other_name}.")
    if "enrichment_matrix" in figures:
        page.figure(figures["enrichment_matrix"], "Share of attribution ÷ share of volume, mean over patients.")
    page.section("Distributions", "How much patients differ.")
    page.figure(figures["distributions"], "Shares of the regions that matter most, for each explained label.")
    if "distributions_2" in figures:
        page.figure(figures["distributions_2"], f"The same for {summary.other_name}.")
    if "pairwise" in figures:
        page.figure(figures["pairwise"], "How the share of each pair of labels spreads over patients.")
    page.section(
        "Systems",
        "Labels joined into anatomical systems: how much of an average label of the row's system falls into the column's. Extra "
        "regions of interest are joined as pathologies; they may overlap the organs.",
    )
    page.figure(figures["system_matrix"], "Mean importance between systems, %.", narrow=True)
    page.figure(figures["system_graph"], "The same as a graph.", narrow=True)
    page.section("All entries", "Every pair of label and region; click a heading to sort.")
    page.table(*_entries(cohort, overall), filtered=True)
    page.section("Patients")
    page.table(*_patients(cohort))
    page.section("How to read this", *_explanations(overall), CAUTION)
    page.write(path)


def _context(page: Page, summary: Summary, figures: dict[str, Path]) -> None:
    page.section("Context", "How much of a label's attribution lies outside its own segment, and where it goes.")
    page.figure(figures["context"], "Share of the attribution inside the label's own segment; the rest is context.", narrow=True)
    page.table(*_context_table(summary.cohort, summary.overall))
    if summary.differences:
        header = ["label", f"inside, {summary.name}", f"inside, {summary.other_name}", "p (Mann–Whitney U)", "p adjusted (BH)"]
        page.table(header, _difference_rows(summary))


def _cards(cohort: CohortMatrices, overall: GlobalImportance) -> list[tuple[str, str]]:
    order, rows = context_order(cohort), cohort.foreground
    kind = "labels" if order or not rows else "classes"
    cards = [(str(len(cohort.patients)), "patients"), (str(len(rows)), f"explained {kind}")]
    if BACKGROUND in overall.columns and rows:
        share = np.nanmean(overall.mass[rows, overall.columns.index(BACKGROUND)])
        cards.append((f"{100 * share:.0f} %", "of a label's attribution lies in the background, on average"))
    if order:
        inside = np.nanmean([overall.mass[overall.rows.index(name), overall.columns.index(name)] for name in order])
        cards.append((f"{100 * inside:.1f} %", "of it lies inside the label's own segment, on average"))
    if np.isfinite(cohort.dice[:, rows]).any():
        cards.append((f"{np.nanmean(cohort.dice[:, rows]):.3f}", "mean Dice"))
    return cards


def _findings(cohort: CohortMatrices, overall: GlobalImportance) -> list[str]:
    """The strongest lessons in words."""
    order = context_order(cohort)
    told = []
    edges = []
    for row in cohort.foreground:
        for column, region in enumerate(overall.columns):
            if region not in (BACKGROUND, overall.rows[row]) and np.isfinite(overall.mass[row, column]):
                edges.append((overall.mass[row, column], row, column))
    for share, row, column in sorted(edges, key=lambda edge: (-edge[0], edge[1], edge[2]))[:5]:
        label, region = cohort.title(overall.rows[row]), cohort.title(overall.columns[column])
        told.append(f"{label} leans on {region.lower()}: {100 * share:.1f} % of its attribution{_interval(overall, row, column)}.")
    if len(order) > 1:
        first, last = order[0], order[-1]
        told.append(
            f"{cohort.title(first)} leans most on its surroundings ({_inside(overall, first)} inside its own segment), "
            f"{cohort.title(last).lower()} least ({_inside(overall, last)})."
        )
    return told


def _inside(overall: GlobalImportance, name: str) -> str:
    return f"{100 * overall.mass[overall.rows.index(name), overall.columns.index(name)]:.1f} %"


def _interval(overall: GlobalImportance, row: int, column: int) -> str:
    low, high = overall.low[row, column], overall.high[row, column]
    return f" ({100 * overall.confidence:.0f} % CI {100 * low:.1f}–{100 * high:.1f})" if np.isfinite(low) else ""


def _context_table(cohort: CohortMatrices, overall: GlobalImportance) -> tuple[list[str], list[list[Cell]]]:
    interval = f"{100 * overall.confidence:.0f} % CI"
    header = ["label", "context", interval, "in background", "leans on", "patients"]
    rows: list[list[Cell]] = []
    for name in context_order(cohort):
        row, own = overall.rows.index(name), overall.columns.index(name)
        neighbours = [
            (overall.mass[row, column], region)
            for column, region in enumerate(overall.columns)
            if region not in (BACKGROUND, name) and np.isfinite(overall.mass[row, column])
        ]
        strongest = sorted(neighbours, key=lambda pair: (-pair[0], pair[1]))[:3]
        background = overall.mass[row, overall.columns.index(BACKGROUND)] if BACKGROUND in overall.columns else np.nan
        rows.append(
            [
                Name(cohort.title(name), region_color(cohort, name)),
                percent(1 - overall.mass[row, own]),
                _range(1 - overall.high[row, own], 1 - overall.low[row, own]),
                percent(background),
                ", ".join(f"{cohort.title(region)} {100 * share:.1f} %" for share, region in strongest),
                Number(float(overall.patients[row, own]), str(overall.patients[row, own])),
            ]
        )
    return header, rows


def _range(low: float, high: float) -> Range:
    return Range(f"{100 * low:.2f} – {100 * high:.2f} %" if np.isfinite(low) else "–")


def _difference_rows(summary: Summary) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    other = summary.other_overall
    if other is None:
        return rows
    for test in summary.differences:
        name = test.subject
        inside = [part.mass[part.rows.index(name), part.columns.index(name)] for part in (summary.overall, other)]
        label = Name(summary.cohort.title(name), region_color(summary.cohort, name))
        rows.append([label, percent(inside[0]), percent(inside[1]), plain(test.p, 2), plain(test.p_adjusted, 2)])
    return rows


def _entries(cohort: CohortMatrices, overall: GlobalImportance) -> tuple[list[str], list[list[Cell]]]:
    header = ["label", "region", "mass", f"{100 * overall.confidence:.0f} % CI", "÷ volume", "patients"]
    rows: list[list[Cell]] = []
    strongest = float(np.nanmax([_without_background(overall, row) for row in range(len(overall.rows))], initial=0.0))
    for row in sorted(range(len(overall.rows)), key=lambda index: overall.rows[index] == BACKGROUND):
        label = overall.rows[row]
        for column in np.argsort(-np.nan_to_num(overall.mass[row], nan=-1.0), kind="stable"):
            region = overall.columns[column]
            if not overall.patients[row, column]:
                continue
            rows.append(
                [
                    Name(cohort.title(label), region_color(cohort, label)),
                    Name(cohort.title(region), region_color(cohort, region)),
                    percent(overall.mass[row, column], 0.0 if region == BACKGROUND else strongest),
                    _range(overall.low[row, column], overall.high[row, column]),
                    plain(overall.values["enrichment"][row, column], 3),
                    Number(float(overall.patients[row, column]), str(overall.patients[row, column])),
                ]
            )
    return header, rows


def _without_background(overall: GlobalImportance, row: int) -> float:
    columns = [index for index, name in enumerate(overall.columns) if name != BACKGROUND]
    return float(np.nanmax(overall.mass[row, columns], initial=0.0))


def _patients(cohort: CohortMatrices) -> tuple[list[str], list[list[Cell]]]:
    foreground = cohort.foreground
    inside, present = cohort.inside()[:, foreground], cohort.present[:, foreground]
    dice = cohort.dice[:, foreground]
    rows: list[list[Cell]] = []
    for index, patient in enumerate(cohort.patients):
        count = int(present[index].sum())
        mean = float(np.nanmean(inside[index])) if np.isfinite(inside[index]).any() else float("nan")
        score = float(np.nanmean(dice[index])) if np.isfinite(dice[index]).any() else float("nan")
        rows.append([patient, Number(float(count), str(count)), percent(mean), fixed(score)])
    return ["patient", "explained labels", "mean share inside the label", "mean Dice"], rows


def _explanations(overall: GlobalImportance) -> list[str]:
    confidence = f"{100 * overall.confidence:.0f} %"
    return [
        "Mass is the share of a label's absolute attribution that falls into a region (equation 7 of the Agg2Exp paper, WACV 2025, "
        "arXiv 2407.16653), here its mean over the patients in whom the label was explained. Over the model's own labels a row "
        "sums to 1; extra regions of interest may overlap them and lie outside that sum.",
        f"Intervals: {confidence}, bias-corrected and accelerated bootstrap over patients, each entry on its own (not corrected "
        "for looking at many). ÷ volume divides the share by the region's share of the volume: 1 is what chance gives.",
        "Tests between cohorts: Mann–Whitney U on the share inside the label's own segment, two-sided, corrected over labels "
        "(Benjamini–Hochberg).",
    ]
