"""Outliers: planted ones are found, patients are not scored with themselves, references travel, and tests say what they can."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from Agg2ExpLib.cohorts.forest import anomaly_scores, fit_reference, score_patients
from Agg2ExpLib.cohorts.groups import Column, group_tests
from Agg2ExpLib.cohorts.read import read_cohort
from Agg2ExpLib.cohorts.reference import load_reference, save_reference
from Agg2ExpLib.cohorts.significance import rank_correlation
from Agg2ExpLib.commands.cli import main
from Agg2ExpLib.errors import InputError
from Agg2ExpLib.monitor import Monitor, Stage
from Agg2ExpLib.roi_importance.tables import write_tidy
from support.cohort_tables import small_matrix, write_result_folder, write_tables
from support.small_result import write_result

pytest.importorskip("sklearn", reason="needs the extra 'cohort'")
STAGE = Stage(Monitor(), "test", 0.0, 1.0)


def plant(path: Path, seed: int) -> None:
    """A patient whose heart leans on other regions than everybody's."""
    matrix = small_matrix(seed)
    matrix.mass[2] = [0.1, 0.5, 0.38, 0.02]
    write_tidy(path, matrix, path.stem)


def test_a_planted_outlier_is_the_strangest_in_its_label(tmp_path):
    paths = write_tables(tmp_path, 12)
    plant(paths[5], 5)
    cohort = read_cohort(paths)
    reference = fit_reference(cohort, 30, 0, STAGE)
    assert reference.rows == ("aorta", "heart", "ribs")
    found = score_patients(reference, cohort, STAGE)
    row = cohort.patients.index("p5")
    assert found.scores[:, 1].argmax() == row
    assert found.ranks[row, 1] == 11 / 12
    assert found.scores[row, 1] > 0.55
    assert found.in_reference.all()
    np.testing.assert_allclose(found.average, found.scores.mean(axis=1))
    assert found.order[0] == found.average.argmax()


def test_patients_of_the_reference_are_scored_without_themselves(tmp_path):
    paths = write_tables(tmp_path, 8)
    cohort = read_cohort(paths[:7])
    reference = fit_reference(cohort, 10, 3, STAGE)
    both = score_patients(reference, read_cohort([paths[2], paths[7]]), STAGE)
    assert both.in_reference.tolist() == [True, False]
    rest = [index for index in range(7) if index != 2]
    alone = anomaly_scores(cohort.mass[rest, 2], cohort.mass[2:3, 2], 10, 3)[0]
    assert both.scores[0, 1] == alone
    new = anomaly_scores(cohort.mass[:, 2], small_matrix(7).mass[2:3], 10, 3)[0]
    assert both.scores[1, 1] == pytest.approx(new, abs=1e-12)


def test_a_reference_travels_without_ids_or_pickle(tmp_path):
    cohort = read_cohort(write_tables(tmp_path, 6))
    reference = fit_reference(cohort, 10, 0, STAGE)
    save_reference(tmp_path / "r.npz", reference)
    again, notices = load_reference(tmp_path / "r.npz")
    assert notices == []
    assert (again.rows, again.columns, again.trees, again.seed) == (reference.rows, reference.columns, 10, 0)
    np.testing.assert_array_equal(again.scores, reference.scores)
    with np.load(tmp_path / "r.npz", allow_pickle=False) as file:
        assert "p0" not in str(file["about"])
    changed = np.load(tmp_path / "r.npz")
    np.savez(tmp_path / "other.npz", about=changed["about"], mass=changed["mass"], scores=changed["scores"] + 0.01)
    assert "grows other trees" in load_reference(tmp_path / "other.npz")[1][0]
    np.savez(tmp_path / "pickled.npz", about=np.array([{}], dtype=object), mass=[1.0], scores=[1.0])
    for name in ("pickled.npz", "p0.csv"):
        with pytest.raises(InputError, match="is not a reference of Agg2Exp"):
            load_reference(tmp_path / name)


def test_correlations_and_group_tests_agree_with_scipy_and_say_when_undefined():
    from scipy import stats

    rng = np.random.default_rng(0)
    score = rng.uniform(0.4, 0.6, 20)
    dice = 1 - score + rng.normal(0, 0.02, 20)
    dice[3] = np.nan
    test = rank_correlation("heart", score, dice)
    keep = np.isfinite(dice)
    assert (test.n, test.p) == (19, stats.spearmanr(score[keep], dice[keep]).pvalue)
    assert rank_correlation("heart", score, np.ones(20)).detail == "undefined: all values are equal"
    strange = score >= np.sort(score)[-4]
    sex = tuple("mf"[index % 2] for index in range(20))
    scanner = tuple("abc"[index % 3] for index in range(20))
    age = np.arange(20.0)
    columns = [
        Column("sex", None, sex),
        Column("scanner", None, scanner),
        Column("age", age, ()),
        Column("site", None, ("x",) * 20),
    ]
    tests = group_tests(columns, score, strange)
    assert [test.name for test in tests] == [
        "Mann-Whitney U",
        "Fisher exact",
        "Kruskal-Wallis",
        "chi-squared",
        "Spearman",
        "Mann-Whitney U",
        "none",
    ]
    men = np.array(sex) == "m"
    assert tests[0].p == stats.mannwhitneyu(score[~men], score[men]).pvalue
    assert (
        tests[1].p
        == stats.fisher_exact([[sum(~men & strange), sum(~men & ~strange)], [sum(men & strange), sum(men & ~strange)]])[1]
    )
    assert tests[6].detail == "undefined: all patients are alike"
    np.testing.assert_allclose([t.p_adjusted for t in tests[:6]], stats.false_discovery_control([t.p for t in tests[:6]]))
    assert np.isnan(tests[6].p_adjusted)


def outliers(*args: object) -> int:
    return main(["cohort", "outliers", *map(str, args), "--trees", "10"])


def test_the_command_from_the_cohort_and_from_a_saved_reference(tmp_path, capsys):
    paths = write_tables(tmp_path / "t", 9)
    plant(paths[4], 4)
    rng = np.random.default_rng(1)
    dice = tmp_path / "dice.csv"
    dice.write_text("patient,label,dice\n" + "".join(f"p{i},heart,{rng.uniform(0.5, 1)}\n" for i in range(9)), encoding="utf-8")
    table = tmp_path / "who.csv"
    table.write_text(
        "patient,ct,sex,age\n" + "".join(f"p{i},x{i}.nii,{'mf'[i % 2]},{40 + i}\n" for i in range(8)), encoding="utf-8"
    )
    saved = tmp_path / "saved.npz"
    options = ("--dice", dice, "--metadata", table, "--save-reference", saved)
    assert outliers("--reference", *paths, *options, "--output", tmp_path / "out") == 0
    told = capsys.readouterr()
    assert "who.csv lacks 1 of 9 patients, e.g. p8" in told.err
    out = tmp_path / "out"
    ranking = list(csv.DictReader((out / "ranking.csv").open(encoding="utf-8")))
    assert len(ranking) == 9
    assert [float(line["average_score"]) for line in ranking] == sorted(
        (float(line["average_score"]) for line in ranking), reverse=True
    )
    correlation = list(csv.DictReader((out / "dice_correlation.csv").open(encoding="utf-8")))
    assert [line["subject"] for line in correlation] == ["aorta", "heart", "ribs", "average"]
    assert correlation[0]["p"] == ""
    assert 0 <= float(correlation[1]["p"]) <= 1
    groups = list(csv.DictReader((out / "group_tests.csv").open(encoding="utf-8")))
    assert {line["subject"] for line in groups} == {"sex", "age"}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "http" not in page.replace("http-equiv", "")
    scores = {(line["patient"], line["label"]): line["score"] for line in csv.DictReader((out / "anomaly_scores.csv").open())}
    assert outliers("--reference", saved, "--patients", paths[3], "--output", tmp_path / "two") == 0
    again = list(csv.DictReader((tmp_path / "two" / "anomaly_scores.csv").open()))
    assert [scores[line["patient"], line["label"]] for line in again] == [line["score"] for line in again]


def test_pictures_of_patients_whose_results_are_reachable(tmp_path):
    first = write_result(tmp_path / "p0", patient="p0").folder
    for index in range(1, 6):
        folder = shutil.copytree(first, tmp_path / f"p{index}")
        text = (folder / "roi_importance.csv").read_text(encoding="utf-8").replace("p0,", f"p{index},")
        (folder / "roi_importance.csv").write_text(text, encoding="utf-8")
        run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        (folder / "run.json").write_text(json.dumps({**run, "patient": f"p{index}"}), encoding="utf-8")
    assert outliers("--reference", tmp_path, "--output", tmp_path / "out" / "found") == 0
    assert (tmp_path / "out" / "found" / "patients.png").stat().st_size > 20_000


@pytest.mark.parametrize(
    ("count", "options", "words"),
    [
        (1, [], "at least 5 patients with the same label, but there are 1"),
        (4, [], "at least 5 patients with the same label, but there are 4"),
        (6, ["--metadata", "t/none.csv"], "Cannot read the table"),
        (6, ["--metadata", "who.csv", "--columns", "Sex"], "no column 'Sex': is it 'sex'"),
        (6, ["--metadata", "strangers.csv"], "knows none of the patients"),
        (6, ["--columns", "sex"], "give it with --metadata"),
        (6, ["--save-reference", "r.pkl"], "is written as .npz"),
        (6, ["--patients", "other"], "different weights"),
    ],
)
def test_bad_input_gives_one_sentence(tmp_path, capsys, monkeypatch, count, options, words):
    monkeypatch.chdir(tmp_path)
    for index in range(count):
        write_result_folder(tmp_path / "t" / f"p{index}", small_matrix(index), f"p{index}")
    write_result_folder(tmp_path / "other" / "q", small_matrix(99), "q", weights="b" * 64)
    Path("who.csv").write_text("patient,sex\np0,m\n", encoding="utf-8")
    Path("strangers.csv").write_text("patient,sex\nzz,m\n", encoding="utf-8")
    assert outliers("--reference", "t", "--output", "out", *options) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not Path("out").exists()
