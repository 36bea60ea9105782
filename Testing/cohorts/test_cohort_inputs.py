"""Whether the files of a patient are the same: without reading them where size and time are, else by their content."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from Agg2ExpLib.cohorts.inputs import input_files, is_unread_same, same_content, states_of
from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io.source_files import sha256_of
from Agg2ExpLib.runs.job import Job


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A folder of slices as CT and a file of regions."""
    (tmp_path / "series").mkdir()
    for number in range(3):
        (tmp_path / "series" / f"{number}.dcm").write_bytes(bytes([number]) * 100)
    (tmp_path / "lesion.nrrd").write_bytes(b"lesion")
    return input_files(
        Job.of(ct=str(tmp_path / "series"), weights="w", output="o", extra_rois=(f"{tmp_path}/lesion.nrrd:a",)), None
    )


def noted(files):
    found = same_content({}, files, states_of(files))
    assert found is not None
    return found


def put(path: Path, content: bytes, like: os.stat_result) -> None:
    """Another content with the old times."""
    path.write_bytes(content)
    os.utime(path, ns=(like.st_atime_ns, like.st_mtime_ns))


def test_what_is_noted(files):
    before = noted(files)
    assert list(before) == ["ct", "extra_rois 1"]
    assert before["extra_rois 1"] == {
        "bytes": 6,
        "modified_ns": files["extra_rois 1"].stat().st_mtime_ns,
        "sha256": sha256_of(files["extra_rois 1"]),
    }
    assert (before["ct"]["bytes"], before["ct"]["sha256"]) == (300, sha256_of(files["ct"]))
    assert is_unread_same(before, states_of(files))


def test_files_of_the_same_size_and_time_are_not_read(files):
    before = noted(files)
    lesion = files["extra_rois 1"]
    put(lesion, b"noisel", lesion.stat())
    assert is_unread_same(before, states_of(files))
    assert same_content(before, files, states_of(files)) == before


def test_a_new_time_or_place_with_the_same_content(files, tmp_path):
    before = noted(files)
    os.utime(files["ct"] / "1.dcm", ns=(1, 1))
    shutil.copy(files["extra_rois 1"], tmp_path / "copy.nrrd")
    moved = {**files, "extra_rois 1": tmp_path / "copy.nrrd"}
    assert not is_unread_same(before, states_of(moved))
    now = same_content(before, moved, states_of(moved))
    assert now is not None
    assert now != before
    assert is_unread_same(now, states_of(moved))
    assert {role: entry["sha256"] for role, entry in now.items()} == {role: entry["sha256"] for role, entry in before.items()}


def test_another_content(files):
    before = noted(files)
    lesion, first = files["extra_rois 1"], files["ct"] / "0.dcm"
    for path, content in ((lesion, b"noisel"), (lesion, b"longer"), (lesion, b"long"), (first, b"x" * 100)):
        kept, times = path.read_bytes(), path.stat()
        path.write_bytes(content)
        os.utime(path, ns=(2, 2))  # an older slice in place of another: neither the sum of sizes nor the newest time changes
        assert not is_unread_same(before, states_of(files))
        assert same_content(before, files, states_of(files)) is None
        put(path, kept, times)
    assert is_unread_same(before, states_of(files))
    (files["ct"] / "3.dcm").write_bytes(b"")
    assert same_content(before, files, states_of(files)) is None


def test_notes_of_older_versions_and_damaged_ones(files):
    states = states_of(files)
    assert same_content({"ct": {"sha256": sha256_of(files["ct"])}}, files, states) == noted(files)
    assert same_content({"ct": {"sha256": "0" * 64}}, files, states) is None
    for damaged in (None, [], {"ct": 3, "extra_rois 1": {}}, {"truth": {}}):
        assert not is_unread_same(damaged, states)
        assert same_content(damaged, files, states) is None
    files["extra_rois 1"].unlink()
    with pytest.raises(InputError, match="does not exist"):
        states_of(files)
