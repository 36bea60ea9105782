"""Reading cohorts: layouts agree, and everything that does not belong together is refused in one sentence."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from Agg2ExpLib.cohorts.read import read_cohort
from Agg2ExpLib.errors import InputError
from Agg2ExpLib.roi_importance.tables import write_tidy, write_wide
from support.cohort_tables import NAMES, small_matrix, write_result_folder, write_tables
from support.paths import PUBLISHED


def test_tidy_wide_and_results_folders_give_the_same_cohort(tmp_path):
    tidy = read_cohort(write_tables(tmp_path / "tidy"))
    wide = read_cohort(write_tables(tmp_path / "wide", wide=True)[::-1])
    for index in range(6):
        write_result_folder(tmp_path / "folders" / f"any{index}", small_matrix(index), f"p{index}")
    folders = read_cohort([tmp_path / "folders"])
    joined = tmp_path / "joined.csv"
    parts = [path.read_text(encoding="utf-8").splitlines() for path in sorted((tmp_path / "tidy").iterdir())]
    joined.write_text("\n".join([parts[0][0], *(line for part in parts for line in part[1:])]), encoding="utf-8")
    together = read_cohort([joined])
    for one in (wide, folders, together):
        assert one.patients == tidy.patients == tuple(f"p{index}" for index in range(6))
        assert one.rows == one.columns == NAMES
        np.testing.assert_array_equal(one.mass, tidy.mass)
        np.testing.assert_array_equal(one.values["mean"], tidy.values["mean"])
        np.testing.assert_allclose(one.values["enrichment"], tidy.values["enrichment"], rtol=1e-9)
    assert np.isnan(wide.roi_voxels).all()
    assert (folders.roi_voxels == tidy.roi_voxels).all()
    assert folders.folders["p3"] == tmp_path / "folders" / "any3"
    assert folders.fingerprint == ("a" * 64,)


def test_absent_labels_and_regions_of_some_patients(tmp_path):
    one, other = small_matrix(0, extra=("lesion",)), small_matrix(1, rows=("background", "heart"))
    for write, name in ((write_tidy, "tidy"), (write_wide, "wide")):
        write(tmp_path / f"{name}0.csv", one, "p0")
        write(tmp_path / f"{name}1.csv", other, "p1")
        cohort = read_cohort([tmp_path / f"{name}0.csv", tmp_path / f"{name}1.csv"])
        assert cohort.extra == ("lesion",)
        assert cohort.columns == (*NAMES, "lesion")
        np.testing.assert_array_equal(cohort.present, [[True] * 4, [True, False, True, False]])
        np.testing.assert_allclose(cohort.inside()[0], [one.mass[i, i] for i in range(4)])
        assert np.isnan(cohort.mass[1, :, 4]).all()


def test_an_extra_region_in_every_patient_is_told_by_the_sums(tmp_path):
    cohort = read_cohort(write_tables(tmp_path, 3, extra=("nodule",)))
    assert cohort.extra == ("nodule",)
    np.testing.assert_allclose(cohort.mass[:, :, cohort.own_columns].sum(axis=2), 1)


def test_dice_from_the_table_and_from_another(tmp_path):
    paths = write_tables(tmp_path / "t", 3)
    table = tmp_path / "dice.csv"
    table.write_text("patient,label,dice\np1,heart,0.9\np1,ribs,\n", encoding="utf-8")
    dice = read_cohort(paths, dice=table).dice
    assert dice[1, NAMES.index("heart")] == 0.9
    assert np.isfinite(dice).sum() == 1
    wide = tmp_path / "wide_dice.csv"
    wide.write_text("patient,heart_dice,aorta_dice\np0,0.5,0.25\n", encoding="utf-8")
    assert read_cohort(paths, dice=wide).dice[0, 1:3].tolist() == [0.25, 0.5]


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="needs the paper's table in ../shared/data")
def test_the_published_table():
    cohort = read_cohort([PUBLISHED])
    assert cohort.mass.shape == (32, 17, 17)
    assert cohort.present.all()
    np.testing.assert_allclose(cohort.mass.sum(axis=2), 1, atol=1e-5)
    assert 0.8 < cohort.inside()[:, 0].mean() < 0.9
    assert cohort.dice[0, 1] == 0.9779868125915527


def edit(path: Path, change) -> Path:
    """Rewrite a table's rows."""
    rows = list(csv.reader(path.open(encoding="utf-8")))
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(change(rows))
    return path


def rename(old: str, new: str):
    return lambda rows: [[new if cell == old else cell for cell in rows[0]], *rows[1:]]


def blank(line: int, column: int, value: str = ""):
    def change(rows):
        rows[line][column] = value
        return rows

    return change


@pytest.mark.parametrize(
    ("wide", "change", "words"),
    [
        (False, rename("mass", "Mass"), "no column 'mass': is it 'Mass'"),
        (False, rename("enrichment", "enrichement"), "no column 'enrichment': is it 'enrichement'"),
        (True, rename("heart_explanation_in_ribs_mass", "heart_explanation_in_ribs_mas"), "heart_explanation_in_ribs_mas'"),
        (True, rename("patient", "Patient"), "no column 'patient': is it 'Patient'"),
        (False, blank(3, 3), "no mass for background / heart although"),
        (False, blank(3, 3, "0.9999"), "sum to .* and not to 1"),
        (False, blank(3, 3, "many"), r"line 4, column 'mass': 'many' is not a finite number"),
        (False, lambda rows: [*rows, rows[-1]], "has the entry ribs / ribs twice"),
        (False, lambda rows: rows[:-1], "lacks the entry ribs / ribs"),
        (False, lambda rows: rows[:1], "has no patients"),
        (False, lambda rows: [*rows[:2], rows[2][:-1], *rows[3:]], "line 3: 15 values for 16 columns"),
        (True, lambda rows: [*rows, rows[1]], "patient 'p0' occurs twice"),
    ],
)
def test_damaged_tables_are_refused(tmp_path, wide, change, words):
    path = edit(write_tables(tmp_path, 1, wide)[0], change)
    with pytest.raises(InputError, match=words):
        read_cohort([path])


def test_empty_rows_count_as_absent_and_are_told(tmp_path):
    path = edit(write_tables(tmp_path, 2, wide=True)[0], lambda rows: [rows[0], ["p0", *["nan"] * 8, *rows[1][9:]]])
    cohort = read_cohort([path, tmp_path / "p1.csv"])
    assert cohort.present.tolist() == [[False, True, True, True], [True] * 4]
    assert "p0 has no explanation of 'background'" in cohort.notices[0]


def test_what_does_not_belong_together_is_refused(tmp_path):
    paths = write_tables(tmp_path / "t", 2)
    with pytest.raises(InputError, match=r"Patient 'p0' occurs twice, in .*p0.csv and .*p0.csv"):
        read_cohort([*paths, paths[0]])
    with pytest.raises(InputError, match=r"no file or folder .*missing.csv \(nor 1 more\)"):
        read_cohort([tmp_path / "missing.csv", *paths, tmp_path / "gone"])
    write_tidy(tmp_path / "other.csv", small_matrix(7, NAMES[:3], NAMES[:3]), "p7")
    with pytest.raises(InputError, match=r"p0 and p7 have different label sets \(p7 lacks 'ribs'\)"):
        read_cohort([*paths, tmp_path / "other.csv"])
    write_result_folder(tmp_path / "one", small_matrix(0), "q0")
    write_result_folder(tmp_path / "two", small_matrix(1), "q1", weights="b" * 64)
    with pytest.raises(InputError, match=r"different weights .*add mixed_models"):
        read_cohort([tmp_path / "one", tmp_path / "two"])
    mixed = read_cohort([tmp_path / "one", tmp_path / "two"], mixed_models=True)
    assert len(mixed.fingerprint) == 2
    assert "different weights" in mixed.notices[0]
    with pytest.raises(InputError, match="holds no results"):
        read_cohort([tmp_path / "t"])
    (tmp_path / "dice.csv").write_text("patient,label,dice\nzz,heart,0.9\n", encoding="utf-8")
    with pytest.raises(InputError, match="None of the patients"):
        read_cohort(paths, dice=tmp_path / "dice.csv")


def test_other_settings_are_told(tmp_path):
    write_result_folder(tmp_path / "one", small_matrix(0), "q0")
    write_result_folder(tmp_path / "two", small_matrix(1), "q1", parameters={"method": "gradient", "samples": 20})
    assert "not explained alike: method is 'gradient' (q1), 'smoothgrad' (q0)" in read_cohort([tmp_path]).notices[0]
