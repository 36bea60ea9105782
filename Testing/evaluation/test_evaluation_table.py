"""Table 1's layout, with numbers that can be reckoned by hand."""

from __future__ import annotations

import pytest

from Agg2ExpLib.evaluation.score import ABSENT, Row
from Agg2ExpLib.evaluation.table import cell, latex_table, make_table, markdown_table, tables_in_latex, tables_in_markdown

METHODS = ["gradient", "smooth_grad"]


def rows() -> list[Row]:
    """Two patients, two labels, of which the second patient lacks one."""
    values = {
        ("p", "a"): {"gradient": (0.1, 0.5), "smooth_grad": (0.3, 0.5)},
        ("p", "b"): {"gradient": (0.2, 0.7), "smooth_grad": (0.5, None)},
        ("q", "a"): {"gradient": (0.3, 0.9), "smooth_grad": (0.7, 0.9)},
    }
    found = []
    for (patient, label), methods in values.items():
        for method, (faithful, sensitive) in methods.items():
            found.append(Row(patient, label, method, "faithfulness", faithful, "correlation"))
            found.append(Row(patient, label, method, "sensitivity", sensitive, "", "" if sensitive else "the map is zero"))
    for method in METHODS:
        found += [Row("q", "b", method, metric, None, "", ABSENT) for metric in ("faithfulness", "sensitivity")]
        for patient, seconds in (("p", 1.0), ("q", 3.0)):
            found.append(Row(patient, "", method, "seconds_per_label", seconds * (1 + METHODS.index(method)), "s"))
            found.append(Row(patient, "", method, "peak_memory", 2.0**30, "bytes"))
    return found


def test_mean_and_sample_standard_deviation():
    assert cell([]) is None
    assert cell([0.4]).spread is None
    two = cell([0.1, 0.3])
    assert (two.mean, two.spread, two.count) == (pytest.approx(0.2), pytest.approx(0.02**0.5), 2)


def test_markdown():
    assert markdown_table(rows(), METHODS).splitlines() == [
        "Mean ± sd over 2 patients × 2 labels; efficiency and memory over patients.",
        "",
        "| Method | Faithfulness ↑ | Sensitivity ↓ | Efficiency (s per label) ↓ | Peak memory (GiB) ↓ |",
        "|---|---:|---:|---:|---:|",
        "| gradient | 0.200 ± 0.100 | <u>0.700 ± 0.200</u> | <u>2.00 ± 1.41</u> | <u>1.00 ± 0.00</u> |",
        "| smooth_grad | <u>0.500 ± 0.200</u> | <u>0.700 ± 0.283</u> | 4.00 ± 2.83 | <u>1.00 ± 0.00</u> |",
        "",
        "- The segmentation of 1 patient lacks b, which is left out there.",
        "- smooth_grad, Sensitivity: 1 of 4 left out (the map is zero).",
    ]


def test_latex():
    text = latex_table(rows(), METHODS)
    assert r"Method & Faithfulness $\uparrow$ & Sensitivity $\downarrow$ & Efficiency (s per label) $\downarrow$" in text
    assert r"smooth\_grad & \underline{$0.500 \pm 0.200$} & \underline{$0.700 \pm 0.283$} & $4.00 \pm 2.83$ &" in text
    assert r"\caption{Mean $\pm$ sd over 2 patients $\times$ 2 labels; efficiency and memory over patients.}" in text
    assert text.count("{") == text.count("}")
    assert all(line.count("&") == 4 for line in text.splitlines() if line.endswith(r"\\"))
    assert tables_in_latex(rows(), METHODS).count(r"\begin{table}") == 3


def test_one_table_per_label():
    text = tables_in_markdown(rows(), METHODS)
    assert [line for line in text.splitlines() if line.startswith("#")] == ["# Evaluation of attribution methods", "## a", "## b"]
    table = make_table(rows(), METHODS, "b")
    assert table.cells["smooth_grad"]["sensitivity"] is None
    assert table.best["sensitivity"] == set(), "with one method there is no best"
    assert table.cells["gradient"]["faithfulness"].mean == 0.2
    assert table.cells["gradient"]["seconds_per_label"].mean == 2.0
    assert "| smooth_grad | <u>0.500</u> | – |" in markdown_table(rows(), METHODS, "b")


def test_a_table_without_numbers():
    text = markdown_table([], METHODS)
    assert "| gradient |" in text
    assert "0 patients" in text
