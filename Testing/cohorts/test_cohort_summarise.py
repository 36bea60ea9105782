"""Global importance, its intervals, systems, tables, figures and report."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest

from Agg2ExpLib.cohorts.bootstrap import mean_interval
from Agg2ExpLib.cohorts.importance import GLOBAL_COLUMNS, global_importance
from Agg2ExpLib.cohorts.read import read_cohort
from Agg2ExpLib.cohorts.systems import by_system, with_systems
from Agg2ExpLib.commands.cli import main
from Agg2ExpLib.errors import InputError
from Agg2ExpLib.roi_importance.tables import read_tidy, write_tidy
from support.cohort_tables import NAMES, small_matrix, write_result_folder, write_tables


def test_the_mean_leaves_out_who_lacks_a_label(tmp_path):
    matrices = [small_matrix(0, extra=("lesion",)), small_matrix(1, rows=("background", "heart")), small_matrix(2)]
    for index, matrix in enumerate(matrices):
        write_tidy(tmp_path / f"{index}.csv", matrix, f"p{index}")
    found = global_importance(read_cohort(tmp_path.iterdir()), resamples=200)
    heart, ribs, lesion = NAMES.index("heart"), NAMES.index("ribs"), 4
    np.testing.assert_allclose(
        found.mass[heart, :4], np.mean([matrices[0].mass[2, :4], matrices[1].mass[1], matrices[2].mass[2]], 0)
    )
    np.testing.assert_allclose(found.mass[ribs, :4], (matrices[0].mass[3, :4] + matrices[2].mass[3]) / 2)
    np.testing.assert_allclose(found.mass[:, :4].sum(axis=1), 1)
    assert found.patients[heart, 1] == 3
    assert found.patients[ribs, 1] == 2
    assert found.patients[heart, lesion] == 1
    assert found.mass[heart, lesion] == matrices[0].mass[2, 4]
    assert np.isnan(found.low[heart, lesion])
    three = np.stack([matrices[0].mass[2, 1], matrices[1].mass[1, 1], matrices[2].mass[2, 1]])
    assert found.values["standard_error"][heart, 1] == pytest.approx(three.std(ddof=1) / 3**0.5)


def test_bootstrap_intervals():
    rng = np.random.default_rng(0)
    values = rng.normal(5, 2, (400, 3))
    values[:, 2] = 7.5
    low, high = mean_interval(values, 0.95, 1000, (1, 2))
    spread = values.std(axis=0, ddof=1) / 20
    np.testing.assert_allclose(low[:2], values.mean(axis=0)[:2] - 1.96 * spread[:2], atol=0.06)
    np.testing.assert_allclose(high[:2], values.mean(axis=0)[:2] + 1.96 * spread[:2], atol=0.06)
    assert low[2] == high[2] == 7.5
    again = mean_interval(values, 0.95, 1000, (1, 2))
    np.testing.assert_array_equal(again, (low, high))
    few = mean_interval(np.array([[1.0, np.nan, 2.0], [3.0, 4.0, np.nan]]), 0.95, 200, (0, 0))
    assert 1 <= few[0][0] <= few[1][0] <= 3
    assert np.isnan(few[0][1:]).all()


def test_intervals_of_skewed_values_are_bias_corrected_and_accelerated():
    """Against scipy's own BCa with other draws; the plain percentile interval lies elsewhere."""
    from scipy.stats import bootstrap

    sample = np.random.default_rng(5).lognormal(0, 1.2, 18)
    ours = np.ravel(mean_interval(sample[:, None], 0.9, 20_000, (3,)))
    ends = {}
    for method in ("BCa", "percentile"):
        options = {"n_resamples": 20_000, "confidence_level": 0.9, "method": method, "rng": np.random.default_rng(77)}
        ends[method] = np.array(bootstrap((sample,), np.mean, **options).confidence_interval)
    width = np.ptp(ends["BCa"])
    np.testing.assert_allclose(ours, ends["BCa"], atol=0.025 * width)
    assert (np.abs(ends["percentile"] - ends["BCa"]) > 0.05 * width).all()


def test_the_order_of_the_patients_does_not_matter(tmp_path):
    paths = write_tables(tmp_path, 5)
    one, other = global_importance(read_cohort(paths), resamples=150), global_importance(read_cohort(paths[::-1]), resamples=150)
    np.testing.assert_array_equal(one.low, other.low)


def test_systems_join_rows_by_mean_and_columns_by_sum(tmp_path):
    cohort = read_cohort(write_tables(tmp_path, 2, extra=("nodule", "mass")))
    joined = by_system(cohort)
    assert joined.rows == ("cardiovascular", "bones", "background")
    assert joined.columns == ("cardiovascular", "bones", "background", "pathologies")
    expected = cohort.mass[:, 1:3, 1:3].sum(axis=2).mean(axis=1)
    np.testing.assert_allclose(joined.mass[:, 0, 0], expected)
    np.testing.assert_allclose(joined.mass[:, :, :3].sum(axis=2), 1)
    np.testing.assert_allclose(joined.mass[:, 1, 3], cohort.mass[:, 3, 4:].sum(axis=1))
    (tmp_path / "systems.json").write_text('{"aorta": "vessels", "ribs": "vessels"}', encoding="utf-8")
    other = by_system(with_systems(cohort, tmp_path / "systems.json"))
    assert other.rows == ("cardiovascular", "vessels", "background")
    (tmp_path / "systems.json").write_text('{"aort": "vessels"}', encoding="utf-8")
    with pytest.raises(InputError, match="'aort', which the cohort lacks: is it 'aorta'"):
        with_systems(cohort, tmp_path / "systems.json")


def summarise(*args: object) -> int:
    return main(["cohort", "summarise", *map(str, args), "--resamples", "120"])


def test_the_command_writes_tables_figures_and_a_closed_page(tmp_path, capsys):
    for index in range(4):
        matrix = small_matrix(index, extra=("lesion <b>",) if index else ())
        write_result_folder(tmp_path / "r" / str(index), matrix, f"p{index}")
    others = write_tables(tmp_path / "t", 3)
    args = (tmp_path / "r", "--compare", *others, "--names", "women & girls,men", "--output", tmp_path / "out")
    assert summarise(*args) == 0
    assert "women & girls: 4 patients, 3 labels" in capsys.readouterr().out
    out = tmp_path / "out"
    with (out / "global_importance.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert tuple(lines[0]) == GLOBAL_COLUMNS
    assert {line["patient"] for line in lines} == {"women & girls"}
    assert {line["patients"] for line in lines if line["roi"] == "lesion <b>"} == {"3"}
    assert all(float(line["ci_low"]) <= float(line["mass"]) <= float(line["ci_high"]) for line in lines)
    assert read_tidy(out / "global_importance.csv", NAMES)[1].extra == ("lesion <b>",), "reads as a patient's table does"
    names = {path.name for path in out.iterdir()}
    for figure in (
        "importance_graph",
        "importance_matrix",
        "enrichment_matrix",
        "distributions",
        "context",
        "pairwise",
        "system_matrix",
    ):
        assert {f"{figure}.png", f"{figure}.svg"} <= names
    assert {"context_difference.csv", "global_importance_2.csv", "importance_graph_2.svg"} <= names
    page = (out / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"""(src|href|url\()\s*=?\s*["']?\s*(https?:)?//""", page), "nothing is loaded from anywhere"
    assert "default-src 'none'" in page
    assert "women &amp; girls" in page
    assert "Lesion &lt;b&gt;" in page
    assert page.count("<figure") == page.count("data:image/svg+xml;base64,") == 11
    record = json.loads((out / "cohort.json").read_text(encoding="utf-8"))
    assert record["patients"] == 4
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert summarise(*args) == 2, "nothing is overwritten unasked"
    assert summarise(*args, "--overwrite") == 0
    assert first == {path.name: path.read_bytes() for path in out.iterdir()}, "the same input gives the same bytes"


def test_a_cohort_of_one(tmp_path, capsys):
    assert summarise(*write_tables(tmp_path / "t", 1), "--output", tmp_path / "out") == 0
    told = capsys.readouterr()
    assert "cohort of one patient" in told.err
    lines = list(csv.DictReader((tmp_path / "out" / "global_importance.csv").open(encoding="utf-8")))
    assert {line["ci_low"] for line in lines} == {""}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--names", "a,b"], "--names takes 1 name"),
        (["--confidence", "1"], "confidence must be"),
        (["--histogram-labels", "hart"], "did you mean 'heart'"),
        (["--extra-rois", "tumour"], "No patient has a region 'tumour'"),
        (["--dice", "nowhere.csv"], "Cannot read the table nowhere.csv"),
        (["--systems", "nowhere.json"], "nowhere.json does not exist"),
    ],
)
def test_bad_options_give_one_sentence(tmp_path, capsys, options, words):
    assert summarise(*write_tables(tmp_path / "t", 2), "--output", tmp_path / "out", *options) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
