"""Names of people's things: compared in any Unicode form, safe as names of files, never formulas or devices."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io.csv_table import write_table
from Agg2ExpLib.models.label_maps import read_scheme
from Agg2ExpLib.models.labels import make_labels, select_labels
from Agg2ExpLib.runs.job import Job
from Agg2ExpLib.runs.privacy import private_names, without_names
from Agg2ExpLib.runs.results import attribution_path, extra_roi_path
from Agg2ExpLib.system.files import OutputFolder
from Agg2ExpLib.system.json_files import read_json
from Agg2ExpLib.system.names import MOST_NAME_BYTES, clean_name, existing, safe_file_name


@given(st.text(max_size=300))
def test_any_region_or_label_has_a_file(tmp_path_factory, name):
    folder = tmp_path_factory.getbasetemp()
    region = extra_roi_path(folder, clean_name(name))
    assert region.parent.name == "extra_rois"
    assert len(region.name.encode()) <= MOST_NAME_BYTES + len(".nii.gz")
    assert not region.name.startswith(".")
    assert not safe_file_name(name).endswith((" ", "."))


def test_long_names_stay_apart_and_usual_ones_stay_as_they_are(tmp_path):
    assert attribution_path(tmp_path, "lung_upper_lobe_left").name == "lung_upper_lobe_left.nrrd"
    first, second = ("肺" * 80 + end for end in "ab")
    assert safe_file_name(first) != safe_file_name(second)
    (tmp_path / f".12345678-{safe_file_name(first)}.nii.gz").touch()
    assert safe_file_name("CON") == "_CON"
    assert safe_file_name("") == "_"
    assert clean_name("=cmd|' /C calc'!A0").startswith("_=")
    assert clean_name("a\nb\0c") == "a b c"


def test_unicode_forms_do_not_count(tmp_path):
    composed, apart = (unicodedata.normalize(form, "Säge") for form in ("NFC", "NFD"))
    assert composed != apart
    assert [label.name for label in select_labels([composed], make_labels(["background", apart]))] == [apart]
    (tmp_path / apart).touch()
    assert existing(tmp_path / composed).exists()
    assert read_scheme(tmp_path, composed).labels[1].name == composed


@pytest.mark.parametrize("name", ["x" * 101, "=1+1", "@x", "a\0b", "a\nb", "\ud800"])
def test_ids_that_cannot_be_shown(name):
    with pytest.raises(InputError, match="patient_id"):
        Job("a", "b", "c", patient_id=name)


def test_formulas_do_not_reach_tables(tmp_path):
    write_table(tmp_path / "a.csv", ["=h", "b"], [["=1+1", -1.5], ["-2", "@x"], ["plain", 3]])
    assert (tmp_path / "a.csv").read_text() == "'=h,b\n'=1+1,-1.5\n-2,'@x\nplain,3\n"


def test_outputs_that_no_disk_can_hold(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("x" * 300, "loop", "a\0b"):
        with pytest.raises(InputError, match="choose another"):
            OutputFolder(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]


def test_names_of_files_are_taken_out_of_sentences(tmp_path):
    folder = tmp_path / "DOE_JOHN"
    folder.mkdir()
    for name in ("DOE_0001.dcm", "7", "lesion_DOE.nii.gz"):
        (folder / name).touch()
    names = private_names(str(folder), [f"{folder / 'lesion_DOE.nii.gz'}:lesion"])
    text = f"DOE_JOHN lacks 7 slices: DOE_0001.dcm; {folder} and lesion_DOE.nii.gz are odd."
    told = without_names(text, names)
    assert "DOE" not in told
    assert "7 slices" in told


def test_json_that_is_too_large(tmp_path):
    (tmp_path / "a.json").write_text('"' + "x" * 2**20 + '"')
    assert read_json(tmp_path / "a.json", "The file")
    with pytest.raises(InputError, match="larger than 1 MB"):
        read_json(tmp_path / "a.json", "The file", 2**20)
