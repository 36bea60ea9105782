"""One patient against a reference: what is called unusual and how often by chance, and what must not be compared."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from Agg2ExpLib.cohorts.compare import Comparison, comparing, strangeness
from Agg2ExpLib.cohorts.compare_reference import open_reference
from Agg2ExpLib.cohorts.forest import fit_reference
from Agg2ExpLib.cohorts.read import read_cohort
from Agg2ExpLib.cohorts.reference import save_reference
from Agg2ExpLib.errors import InputError
from Agg2ExpLib.monitor import Monitor, Stage
from Agg2ExpLib.roi_importance.tables import tidy_text
from support.cohort_tables import NAMES, small_matrix, write_result_folder, write_tables
from support.paths import PUBLISHED

pytest.importorskip("sklearn", reason="needs scikit-learn")
STAGE = Stage(Monitor(), "test", 0.0, 1.0)


def last(reference, matrix, run=None) -> Comparison:
    """The whole comparison."""
    for result in comparing(reference, matrix, run):  # noqa: B007
        pass
    return result


def reference_of(tmp_path, count=20):
    """A reference with small forests."""
    return replace(open_reference(write_all(tmp_path, count)), trees=25)


def write_all(tmp_path, count):
    write_tables(tmp_path / "tables", count)
    text = "".join(
        line
        for index, path in enumerate(sorted((tmp_path / "tables").iterdir()))
        for line in path.read_text().splitlines(keepends=True)[min(index, 1) :]
    )
    (tmp_path / "all.csv").write_text(text)
    return tmp_path / "all.csv"


def planted(seed: int):
    """A patient whose heart leans on other regions than everybody's."""
    matrix = small_matrix(seed)
    matrix.mass[2] = [0.1, 0.5, 0.38, 0.02]
    return matrix


def test_a_planted_label_is_unusual_and_the_others_are_not(tmp_path):
    found = last(reference_of(tmp_path), planted(99))
    assert found.patients == 20
    assert found.unusual == ("heart",)
    assert {one.label: one.verdict for one in found.labels} == {"aorta": "ordinary", "heart": "unusual", "ribs": "ordinary"}
    heart = found.of("heart")
    assert heart.share == 1 / 21  # the strangest of all
    assert heart.score > max(one.score for one in found.labels if one is not heart)
    assert heart.outside.tolist() == [-1, 1, int(heart.values[2] > heart.high[2]), -1]


def test_a_patient_like_the_others_is_rarely_called_unusual():
    """The rule's probability of a false alarm, here floor(0.05 · 40) / 40 = 5 %, and not more with another distribution."""
    rng = np.random.default_rng(5)
    for draw in (lambda n: rng.dirichlet([20.0, 2, 4, 6], n), lambda n: rng.standard_cauchy((n, 4))):
        alarms = []
        for _patient in range(80):
            rows = draw(40)
            alarms.append(strangeness(rows[:-1], rows[-1], trees=15)[1] <= 0.05)
        # 80 patients at 5 %: 0 or more than 11 have a probability below 2 %
        assert 0 < sum(alarms) <= 11


def test_of_the_published_patients_about_one_in_twenty_is_unusual():
    """Each of the paper's 32 patients against the other 31: one of 32 in each label."""
    if not PUBLISHED.is_file():
        pytest.skip("the paper's published matrices are not beside the checkout")
    reference = open_reference(PUBLISHED)
    for label in ("aorta", "heart", "trachea"):
        rows = reference.row(label)
        shares = [strangeness(np.delete(rows, index, 0), rows[index], trees=20)[1] for index in range(len(rows))]
        # the rows are the same each time in another order, which random trees do not mind: ranks are about evenly spread
        assert 0.01 < np.mean(np.array(shares) <= 0.05) <= 0.1


def test_boxes_are_the_references_quantiles(tmp_path):
    reference = reference_of(tmp_path, 45)
    one = last(reference, small_matrix(99)).of("aorta")
    rows = reference.row("aorta")
    np.testing.assert_allclose(one.median, np.median(rows, axis=0))
    np.testing.assert_allclose([one.lower, one.upper], np.percentile(rows, [25, 75], axis=0))
    np.testing.assert_allclose(one.difference, one.values - rows.mean(axis=0))
    # 45 patients: 2.5 % lies a little above the lowest of all
    lowest, second = np.sort(rows, axis=0)[:2]
    assert (one.low > lowest).all()
    assert (one.low < second).all()


def test_values_beyond_the_range_are_rare_by_chance(tmp_path):
    reference = reference_of(tmp_path, 45)
    outside = [last(replace(reference, trees=1), small_matrix(seed)).of("aorta").outside for seed in range(100, 180)]
    assert 0.01 < np.mean(np.abs(outside)) < 0.12  # 5 % expected of 320, not independent


def test_too_few_patients_say_nothing_but_have_boxes(tmp_path):
    found = last(reference_of(tmp_path, 18), planted(99))
    assert {one.verdict for one in found.labels} == {"too few"}
    assert found.unusual == ()
    assert found.of("heart").outside[1] == 1


def test_a_saved_reference_gives_the_same(tmp_path):
    cohort = read_cohort([write_all(tmp_path, 20)])
    save_reference(tmp_path / "r.npz", fit_reference(cohort, 3, 0, STAGE))
    tables, saved = replace(open_reference(tmp_path / "all.csv"), trees=3), open_reference(tmp_path / "r.npz")
    one, other = last(tables, planted(99)), last(saved, planted(99))
    for first, second in zip(one.labels, other.labels, strict=True):
        assert (first.label, first.score, first.share) == (second.label, second.score, second.share)
        np.testing.assert_array_equal(first.low, second.low)
    assert any("no patient ids" in notice for notice in other.notices)
    assert not any("no patient ids" in notice for notice in one.notices)


def test_the_patient_is_left_out_of_the_reference(tmp_path):
    reference = reference_of(tmp_path)
    by_id = last(reference, small_matrix(99), {"patient": "p3"})
    by_numbers = last(reference, small_matrix(4))
    for found in (by_id, by_numbers):
        assert found.patients == 19
        assert any("left out of it: compared with the other 19" in notice for notice in found.notices)
    for index in range(3):
        write_result_folder(tmp_path / "cohort" / f"c{index}", small_matrix(index), f"c{index}", ct={"sha256": str(index)})
    by_ct = last(open_reference(tmp_path / "cohort"), small_matrix(99), {"patient": "new", "ct": {"sha256": "2"}, "parameters": {}})
    assert by_ct.patients == 2
    alone = open_reference(tmp_path / "cohort" / "c0")
    with pytest.raises(InputError, match="nobody but this patient"):
        last(alone, small_matrix(0))


def test_another_model_or_method_is_refused(tmp_path):
    for index in range(2):
        write_result_folder(tmp_path / "cohort" / f"c{index}", small_matrix(index), f"c{index}")
    reference = open_reference(tmp_path / "cohort")
    parameters = {"method": "smoothgrad", "samples": 20}
    good = {"weights": {"sha256": "a" * 64}, "parameters": parameters}
    assert last(reference, small_matrix(9), good).notices == ()
    with pytest.raises(InputError, match="different weights"):
        last(reference, small_matrix(9), {**good, "weights": {"sha256": "b" * 64}})
    with pytest.raises(InputError, match="method 'smoothgrad' and this patient with 'layer_cam'"):
        last(reference, small_matrix(9), {**good, "parameters": {"method": "layer_cam"}})
    with pytest.raises(InputError, match="In this patient a drawn segment"):
        last(reference, small_matrix(9), {**good, "target_mask": True})
    with pytest.raises(InputError, match="different label sets \\('bone'"):
        last(reference, small_matrix(9, names=(*NAMES[:3], "bone"), rows=NAMES[1:3]), good)
    with pytest.raises(InputError, match="none of the explained labels"):
        last(reference, small_matrix(9, rows=NAMES[:1]), good)
    told = last(reference, small_matrix(9), {**good, "parameters": {"method": "smoothgrad", "samples": 3}}).notices
    assert told == ("Reference and patient were not explained alike (samples 20 and 3).",)
    unknown = last(reference, small_matrix(9)).notices
    assert [notice[:15] for notice in unknown] == ["It is not known", "It is not known"]


def test_what_is_known_of_the_method_travels_with_a_saved_reference(tmp_path):
    for index in range(6):
        write_result_folder(tmp_path / "cohort" / f"c{index}", small_matrix(index), f"c{index}")
    save_reference(tmp_path / "r.npz", fit_reference(read_cohort([tmp_path / "cohort"]), 2, 0, STAGE))
    reference = open_reference(tmp_path / "r.npz")
    assert reference.settings["method"] == "smoothgrad"
    with pytest.raises(InputError, match="explain the patient with the same method"):
        last(reference, small_matrix(9), {"weights": {"sha256": "a" * 64}, "parameters": {"method": "layer_cam"}})


def test_further_regions_and_other_rows_are_left_out(tmp_path):
    matrix = small_matrix(99, rows=("heart", "background"), extra=("lesion",))
    found = last(reference_of(tmp_path), matrix)
    assert found.columns == NAMES
    assert [one.label for one in found.labels] == ["heart"]
    difference = found.difference(matrix)
    assert np.isnan(difference[:, 4]).all()
    assert np.isnan(difference[1]).all()
    assert difference[0, :4].sum() == pytest.approx(0, abs=1e-12)


def test_without_scikit_learn_all_but_the_scores(tmp_path, monkeypatch):
    reference = reference_of(tmp_path)
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    results = list(comparing(reference, planted(99)))
    assert len(results) == 1
    assert results[0].missing == "scikit-learn"
    assert {one.verdict for one in results[0].labels} == {"unknown"}
    assert results[0].of("heart").outside[1] == 1


def test_the_job_of_the_panel_in_a_process_without_torch(tmp_path):
    write_all(tmp_path, 20)
    matrix = planted(99)
    job = {"reference": str(tmp_path / "all.csv"), "table": tidy_text(matrix, "new"), "labels": NAMES, "run": {"patient": "new"}}
    code = (
        "import sys; from Agg2ExpLib.cohorts.compare_job import main; main(); "
        "print([n for n in ('torch', 'monai', 'networkx') if n in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], input=json.dumps(job) + "\n", capture_output=True, text=True, timeout=120)
    *lines, loaded = run.stdout.splitlines()
    assert loaded == "[]", run.stderr
    told = [json.loads(line) for line in lines]
    assert [(entry["done"], entry["of"]) for entry in told if entry["event"] == "progress"] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert [entry["event"] for entry in told if "comparison" in entry] == ["comparison", "done"]
    first, final = (Comparison.from_json(entry["comparison"]) for entry in told if "comparison" in entry)
    assert (first.unusual, final.unusual) == ((), ("heart",))
    wanted = last(open_reference(tmp_path / "all.csv"), matrix, {"patient": "new"})
    assert final.to_json() == wanted.to_json()
    from Agg2ExpLib.cohorts.compare_job import answers

    for name, words in (("none.npz", str(tmp_path / "none.npz")), ("none", "There is no file or folder")):
        final = list(answers({**job, "reference": str(tmp_path / name)}))[-1]
        assert final["event"] == "error"
        assert words in final["message"]


def test_the_panels_own_process_loads_no_heavy_package():
    code = (
        "import sys; from Agg2ExpLib.cohorts.compare import Comparison; Comparison.from_json("
        "{'columns': [], 'patients': 1, 'notices': [], 'missing': '', 'labels': []});"
        "print([n for n in ('torch', 'sklearn', 'scipy', 'pandas', 'matplotlib') if n in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.stdout.strip() == "[]", run.stdout + run.stderr
