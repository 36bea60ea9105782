"""Table 1 of the paper: methods × metrics, mean ± standard deviation over patients × labels, the best underlined."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .score import ABSENT, Row


@dataclass(frozen=True)
class Column:
    """A metric as a column.

    Attributes:
        metric: its name in the rows.
        title: heading.
        more_is_better: which direction is better.
        factor: from the rows' unit to the heading's.
    """

    metric: str
    title: str
    more_is_better: bool
    factor: float = 1.0


COLUMNS = (
    Column("faithfulness", "Faithfulness", True),
    Column("sensitivity", "Sensitivity", False),
    Column("complexity", "Complexity", False),
    Column("seconds_per_label", "Efficiency (s per label)", False),
    Column("peak_memory", "Peak memory (GiB)", False, 2.0**-30),
)


@dataclass(frozen=True)
class Cell:
    """Mean and sample standard deviation (None for a single value) of ``count`` values."""

    mean: float
    spread: float | None
    count: int


def cell(values: Sequence[float]) -> Cell | None:
    """Mean ± sd of values; None where there are none."""
    if not values:
        return None
    return Cell(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None, len(values))


@dataclass(frozen=True)
class Table:
    """Cells of one table.

    Attributes:
        columns: metrics that were measured.
        cells: per method and metric.
        decimals: per metric the digits after the point.
        best: per metric the methods whose mean reads as the best does; none where fewer than two methods have a value.
        notes: sentences below the table.
    """

    columns: tuple[Column, ...]
    cells: dict[str, dict[str, Cell | None]]
    decimals: dict[str, int]
    best: dict[str, set[str]]
    notes: tuple[str, ...]


def make_table(rows: Sequence[Row], methods: Sequence[str], label: str | None = None) -> Table:
    """Aggregate rows.

    Args:
        rows: of the evaluation.
        methods: in the order of the table.
        label: only this one's; None for all. Seconds and memory are of all labels together, and so alike for each.
    """
    chosen = [row for row in rows if label is None or row.label in ("", label)]
    columns = tuple(column for column in COLUMNS if any(row.metric == column.metric for row in chosen))
    cells: dict[str, dict[str, Cell | None]] = {}
    notes = []
    for method in methods:
        cells[method] = {}
        for column in columns:
            own = [row for row in chosen if (row.method, row.metric) == (method, column.metric)]
            values = [row.value * column.factor for row in own if row.value is not None]
            cells[method][column.metric] = cell(values)
            for reason in dict.fromkeys(row.note for row in own if row.value is None and row.note != ABSENT):
                count = sum(row.value is None and row.note == reason for row in own)
                notes.append(f"{method}, {column.title}: {count} of {len(own)} left out ({reason}).")
    best: dict[str, set[str]] = {}
    decimals: dict[str, int] = {}
    for column in columns:
        means = {name: found.mean for name in methods if (found := cells[name][column.metric]) is not None}
        digits = decimals[column.metric] = _decimals(means.values())
        goal = (max if column.more_is_better else min)(means.values()) if len(means) > 1 else math.nan
        best[column.metric] = {name for name, mean in means.items() if f"{mean:.{digits}f}" == f"{goal:.{digits}f}"}
    return Table(columns, cells, decimals, best, (*_absent(chosen), *notes))


def _absent(rows: Sequence[Row]) -> list[str]:
    """One sentence per label that segmentations lack, which is the same for all methods and metrics."""
    patients = {label: {row.patient for row in rows if row.label == label and row.note == ABSENT} for label in _labels(rows)}
    return [
        f"The segmentation of {len(lacking)} patient{'s' * (len(lacking) > 1)} lacks {label}, which is left out there."
        for label, lacking in patients.items()
        if lacking
    ]


def _decimals(means: Iterable[float]) -> int:
    """Digits after the point that leave three figures of the smallest mean, 2 to 4."""
    sizes = [abs(mean) for mean in means if mean]
    return min(max(2 - math.floor(math.log10(min(sizes))), 2), 4) if sizes else 2


def _labels(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.label for row in rows if row.label))


def _measured(rows: Sequence[Row]) -> list[str]:
    """Labels that a segmentation has."""
    return list(dict.fromkeys(row.label for row in rows if row.label and row.note != ABSENT))


def _caption(rows: Sequence[Row], label: str | None) -> str:
    patients = len(dict.fromkeys(row.patient for row in rows))
    count = f"{patients} patient{'s' * (patients != 1)}"
    if label is not None:
        return f"Mean ± sd over {count}, label {label}."
    labels = len(_measured(rows))
    return f"Mean ± sd over {count} × {labels} label{'s' * (labels != 1)}; efficiency and memory over patients."


def tables_in_markdown(rows: Sequence[Row], methods: Sequence[str]) -> str:
    """Table 1, and one table per label, as Markdown."""
    parts = ["# Evaluation of attribution methods\n", markdown_table(rows, methods)]
    parts += [f"## {label}\n\n{markdown_table(rows, methods, label)}" for label in _measured(rows)]
    return "\n".join(parts)


def markdown_table(rows: Sequence[Row], methods: Sequence[str], label: str | None = None) -> str:
    """One table with its caption and notes as Markdown; ↑ and ↓ tell which direction is better."""
    table = make_table(rows, methods, label)
    heads = [f"{column.title} {'↑' if column.more_is_better else '↓'}" for column in table.columns]
    lines = [_caption(rows, label), "", f"| Method | {' | '.join(heads)} |", "|---" + "|---:" * len(heads) + "|"]
    for method in methods:
        cells = _row(table, method, " ± ", "–", lambda text: f"<u>{text}</u>")
        lines.append(f"| {method.replace('|', chr(92) + '|')} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"- {note}" for note in table.notes), *([""] if table.notes else [])])


def tables_in_latex(rows: Sequence[Row], methods: Sequence[str]) -> str:
    """Table 1, and one table per label, as LaTeX without further packages."""
    return "\n".join(latex_table(rows, methods, label) for label in (None, *_measured(rows)))


def latex_table(rows: Sequence[Row], methods: Sequence[str], label: str | None = None) -> str:
    """One table with its caption as LaTeX."""
    table = make_table(rows, methods, label)
    heads = [f"{_tex(column.title)} ${chr(92)}{'uparrow' if column.more_is_better else 'downarrow'}$" for column in table.columns]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_tex(_caption(rows, label))}}}",
        rf"\begin{{tabular}}{{l{'r' * len(heads)}}}",
        r"\hline",
        rf"{' & '.join(['Method', *heads])} \\",
        r"\hline",
    ]
    for method in methods:
        cells = _row(table, method, r" \pm ", "--", lambda text: rf"\underline{{{text}}}", "$")
        lines.append(rf"{' & '.join([_tex(method), *cells])} \\")
    lines += [r"\hline", r"\end{tabular}", *(rf"\par {_tex(note)}" for note in table.notes), r"\end{table}"]
    return "\n".join(lines) + "\n"


def _row(table: Table, method: str, between: str, missing: str, underline: Callable[[str], str], math_sign: str = "") -> list[str]:
    cells = []
    for column in table.columns:
        found = table.cells[method][column.metric]
        if found is None:
            cells.append(missing)
            continue
        decimals = table.decimals[column.metric]
        spread = "" if found.spread is None else f"{between}{found.spread:.{decimals}f}"
        text = f"{math_sign}{found.mean:.{decimals}f}{spread}{math_sign}"
        cells.append(underline(text) if method in table.best[column.metric] else text)
    return cells


_TEX = {"_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}", "\\": r"\textbackslash{}", "±": r"$\pm$", "×": r"$\times$"}  # fmt: skip


def _tex(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in text)
