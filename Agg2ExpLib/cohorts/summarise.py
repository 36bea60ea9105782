"""``agg2exp cohort summarise``: tables, figures and a report of a cohort, and of two side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..attribution.method import check_seed
from ..errors import InputError
from ..io.csv_table import write_table
from ..models.labels import BACKGROUND, GROUP_COLORS, select_labels
from ..monitor import Monitor, Stage
from ..roi_importance.graph import importance_graph
from ..system.files import new_folder, write_json
from ..version import __version__
from ..views.plots import graph_figure, matrix_figure, save_figure
from .figures import context_figure, context_order, distribution_figure, histogram_figure, histogram_labels
from .importance import GlobalImportance, global_importance, write_global
from .matrices import CohortMatrices
from .positions import cohort_positions
from .read import RECORD, read_cohort
from .report import write_report
from .significance import adjusted, compare_two
from .summary import Summary
from .systems import by_system, with_systems


@dataclass(frozen=True)
class SummaryOptions:
    """How to summarise.

    Attributes:
        name: of the cohort, in titles and tables.
        compare: sources of a second cohort, shown beside the first.
        compare_name: its name.
        extra_rois: regions that are no labels of the model, where tables do not tell.
        mixed_models: accept results of different weights.
        dice: table of Dice.
        systems: JSON file that joins labels into systems.
        histogram_labels: group of labels for the pairwise histograms; empty for the lung lobes or the first five.
        confidence, resamples, seed: of the bootstrap.
        overwrite: whether an earlier summary may be replaced.
    """

    name: str = "cohort"
    compare: tuple[str, ...] = ()
    compare_name: str = "second cohort"
    extra_rois: tuple[str, ...] = ()
    mixed_models: bool = False
    dice: str | None = None
    systems: str | None = None
    histogram_labels: tuple[str, ...] = ()
    confidence: float = 0.95
    resamples: int = 2000
    seed: int = 0
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not 0.5 <= self.confidence < 1:
            raise InputError(f"The confidence must be at least 0.5 and below 1, not {self.confidence:g}: 0.95 is usual.")
        if not 100 <= self.resamples <= 1_000_000:
            raise InputError(f"The number of bootstrap samples must be 100 to 1000000, not {self.resamples}.")
        check_seed(self.seed)
        if self.compare and self.name == self.compare_name:
            raise InputError(f"Both cohorts are called '{self.name}': give two different ⟨names⟩.")


def summarise_cohort(sources: Sequence[str | Path], output: str | Path, options: SummaryOptions, monitor: Monitor) -> Summary:
    """Summarise a cohort into a folder.

    Args:
        sources: see :func:`~Agg2ExpLib.cohorts.read.read_cohort`.
        output: folder to write: ``global_importance.csv``, ``system_importance.csv``, ``context.csv``, figures as PNG and SVG,
            ``report.html`` and ``cohort.json``; with a second cohort also its tables and ``context_difference.csv``.
        options: how.
        monitor: is told progress and notices.

    Raises:
        InputError: something given cannot be used; nothing was written.
    """
    stage = Stage(monitor, "summarise", 0.0, 1.0)
    stage.update(0.0, "reading")
    cohort = _read(sources, options)
    other = _read(options.compare, options) if options.compare else None
    if other is not None and set(other.rows).isdisjoint(cohort.rows):
        raise InputError("The two cohorts have no explained label in common: they cannot be compared.")
    pairs = _histogram_group(cohort, other, options)
    with new_folder(Path(output), options.overwrite, monitor.check) as folder:
        stage.update(0.1, "confidence intervals")
        summary = _compute(cohort, other, options)
        for notice in summary.notices:
            monitor.notice(notice)
        stage.update(0.4, "tables")
        _write_tables(folder, summary)
        figures = _draw(folder, summary, pairs, stage)
        stage.update(0.95, "report")
        write_report(folder / "report.html", summary, figures)
        write_json(folder / RECORD, _record(summary, options))
    return summary


def compute_summary(sources: Sequence[str | Path], options: SummaryOptions) -> Summary:
    """The numbers of :func:`summarise_cohort`, with nothing written.

    Raises:
        InputError: a source cannot be read, or they do not belong together.
    """
    other = _read(options.compare, options) if options.compare else None
    return _compute(_read(sources, options), other, options)


def _read(sources: Sequence[str | Path], options: SummaryOptions) -> CohortMatrices:
    cohort = read_cohort(sources, options.extra_rois, options.mixed_models, options.dice)
    return with_systems(cohort, Path(options.systems)) if options.systems else cohort


def _compute(cohort: CohortMatrices, other: CohortMatrices | None, options: SummaryOptions) -> Summary:
    def overall(part: CohortMatrices) -> GlobalImportance:
        return global_importance(part, options.confidence, options.resamples, options.seed)

    notices = [*cohort.notices]
    if len(cohort.patients) == 1:
        notices.append("This is a cohort of one patient: means are that patient's values, and there are no confidence intervals.")
    summary = Summary(options.name, cohort, overall(cohort), overall(by_system(cohort)), notices=notices)
    counts = cohort.present.sum(axis=0)
    summary.notices += [
        f"'{row}' was explained in {count} of {len(cohort.patients)} patients; its means are over those."
        for row, count in zip(cohort.rows, counts, strict=True)
        if count < len(cohort.patients)
    ]
    if other is not None:
        summary.other, summary.other_name, summary.other_overall = other, options.compare_name, overall(other)
        summary.notices += [f"{options.compare_name}: {notice}" for notice in other.notices]
        if cohort.fingerprint and other.fingerprint and cohort.fingerprint != other.fingerprint:
            summary.notices.append("The two cohorts were explained with different weights, so a difference may be the model's.")
        if shared := sorted(set(cohort.patients) & set(other.patients)):
            summary.notices.append(
                f"{len(shared)} patients are in both cohorts ({shared[0]}, …): the tests take them as different."
            )
        names = (options.name, options.compare_name)
        one, two = cohort.inside(), other.inside()
        summary.differences = adjusted(
            [
                compare_two(name, one[:, cohort.rows.index(name)], two[:, other.rows.index(name)], names)
                for name in context_order(cohort)
                if name in other.rows
            ]
        )
    return summary


def _histogram_group(cohort: CohortMatrices, other: CohortMatrices | None, options: SummaryOptions) -> list[str]:
    names = [name for name in context_order(cohort) if other is None or name in other.rows]
    if options.histogram_labels:
        known = [label for label in cohort.labels if label.name in names]
        return [label.name for label in select_labels(options.histogram_labels, known)]
    return [name for name in histogram_labels(cohort) if name in names]


def _write_tables(folder: Path, summary: Summary) -> None:
    write_global(folder / "global_importance.csv", summary.overall, summary.name)
    write_global(folder / "system_importance.csv", summary.systems, summary.name)
    if summary.other_overall is not None:
        write_global(folder / "global_importance_2.csv", summary.other_overall, summary.other_name)
        header = ["label", "test", "patients", "statistic", "p", "p_adjusted", "groups"]
        rows = [[t.subject, t.name, t.n, t.statistic, t.p, t.p_adjusted, t.detail] for t in summary.differences]
        write_table(folder / "context_difference.csv", header, rows)
    rows = []
    for name in context_order(summary.cohort):
        row, column = summary.overall.rows.index(name), summary.overall.columns.index(name)
        inside = summary.overall.mass[row, column]
        low, high = summary.overall.low[row, column], summary.overall.high[row, column]
        rows.append([name, 1 - inside, 1 - high, 1 - low, inside, int(summary.overall.patients[row, column])])
    write_table(folder / "context.csv", ["label", "context", "ci_low", "ci_high", "inside", "patients"], rows)


def _draw(folder: Path, summary: Summary, pairs: list[str], stage: Stage) -> dict[str, Path]:
    """All figures as PNG and SVG; returns the SVG files by name."""
    cohort, overall, name = summary.cohort, summary.overall, summary.name
    matrix = overall.matrix()
    both = [(name, cohort)] if summary.other is None else [(name, cohort), (summary.other_name, summary.other)]
    count = f"{name}, {len(cohort.patients)} patient{'s' * (len(cohort.patients) > 1)}"
    positions = cohort_positions(cohort)
    systems = summary.systems.matrix()
    labels = by_system(cohort).labels
    figures: dict[str, Any] = {
        "importance_graph": lambda: graph_figure(importance_graph(matrix, cohort.labels), positions, title=count),
        "importance_matrix": lambda: matrix_figure(matrix, cohort.labels, title=f"mean of {count}"),
        "distributions": lambda: distribution_figure(cohort, name),
        "system_matrix": lambda: matrix_figure(systems, labels, title="systems"),
        "system_graph": lambda: graph_figure(importance_graph(systems, labels), title=f"systems, {count}"),
    }
    if context_order(cohort):
        figures["context"] = lambda: context_figure(both)
    if np.isfinite(overall.values["enrichment"]).any():
        figures["enrichment_matrix"] = lambda: matrix_figure(matrix, cohort.labels, "enrichment", title=f"mean of {count}")
    if len(pairs) > 1:
        figures["pairwise"] = lambda: histogram_figure(both, pairs)
    if summary.other_overall is not None and summary.other is not None:
        second, other = summary.other_overall.matrix(), summary.other
        title = f"{summary.other_name}, {len(other.patients)} patients"
        figures["importance_graph_2"] = lambda: graph_figure(importance_graph(second, other.labels), positions, title=title)
        figures["importance_matrix_2"] = lambda: matrix_figure(second, other.labels, title=f"mean of {title}")
        figures["distributions_2"] = lambda: distribution_figure(other, summary.other_name)
    drawn = {}
    for index, (key, make) in enumerate(figures.items()):
        stage.update(0.45 + 0.5 * index / len(figures), key.replace("_", " "))
        figure = make()
        save_figure(figure, folder / f"{key}.png")
        drawn[key] = folder / f"{key}.svg"
        save_figure(figure, drawn[key])
    return drawn


def _record(summary: Summary, options: SummaryOptions) -> dict[str, Any]:
    groups = {label.name: label.group for label in summary.cohort.labels}
    known = [name for name in GROUP_COLORS if name in groups.values() and name != BACKGROUND]
    return {
        "agg2exp": __version__,
        "kind": "summary",
        "name": summary.name,
        "patients": len(summary.cohort.patients),
        "labels": list(summary.cohort.rows),
        "extra_rois": list(summary.cohort.extra),
        "systems": {group: [name for name in groups if groups[name] == group] for group in known},
        "weights_sha256": list(summary.cohort.fingerprint),
        "compared_with": {"name": summary.other_name, "patients": len(summary.other.patients)} if summary.other else None,
        "bootstrap": {"confidence": options.confidence, "resamples": options.resamples, "seed": options.seed, "method": "BCa"},
        "notices": summary.notices,
    }
