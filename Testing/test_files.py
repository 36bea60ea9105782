"""Results folders in the making: what others put in their place, what ends at once, and links."""

import json
import os
from pathlib import Path

import pytest

from Agg2ExpLib.errors import Cancelled, InputError
from Agg2ExpLib.files import OutputFolder, discard_unfinished, replacing


def finished(path, text, overwrite=False):
    """A published folder that looks like results."""
    folder = OutputFolder(path, overwrite)
    (folder.temporary / "run.json").write_text(json.dumps({"agg2exp": "0", "text": text}))
    folder.publish()


def text_of(path):
    return json.loads((path / "run.json").read_text())["text"]


def test_the_first_of_two_runs_with_the_same_output_wins(tmp_path):
    late = OutputFolder(tmp_path / "r")
    finished(tmp_path / "r", "first")
    with pytest.raises(InputError, match="exists already"):
        late.publish()
    late.discard()
    assert text_of(tmp_path / "r") == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_overwriting_leaves_the_new_results_alone(tmp_path):
    finished(tmp_path / "r", "old")
    finished(tmp_path / "r", "new", overwrite=True)
    assert text_of(tmp_path / "r") == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_old_results_come_back_when_the_new_ones_cannot_take_their_place(tmp_path, monkeypatch):
    finished(tmp_path / "r", "old")
    folder = OutputFolder(tmp_path / "r", overwrite=True)
    rename = Path.rename

    def refuse(self, target):
        if self == folder.temporary:
            raise PermissionError(13, "a file in it is open")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(PermissionError):
        folder.publish()
    folder.discard()
    assert text_of(tmp_path / "r") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_nothing_is_published_after_a_hard_end(tmp_path):
    folder = OutputFolder(tmp_path / "deep" / "r")
    discard_unfinished()
    assert not list(tmp_path.iterdir())
    with pytest.raises(Cancelled):
        folder.publish()
    finished(tmp_path / "r", "done")
    discard_unfinished()
    assert text_of(tmp_path / "r") == "done"


@pytest.mark.parametrize("content", ['{"loss": 0.3}', "[]", "no json"])
def test_a_run_json_of_another_program_is_never_overwritten(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match="not a results folder"):
        OutputFolder(tmp_path, overwrite=True)
    assert (tmp_path / "run.json").read_text() == content


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_is_followed_and_stays(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "r").symlink_to(tmp_path / "disk" / "results")
    finished(tmp_path / "r", "first")
    finished(tmp_path / "r", "second", overwrite=True)
    assert (tmp_path / "r").is_symlink()
    assert text_of(tmp_path / "disk" / "results") == "second"
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["results"]


def test_too_little_room_is_told_in_fitting_units(tmp_path):
    free = 10**18
    with pytest.raises(InputError, match=r"need 1000000000\.0 GB but only [\d.]+ [GM]B"):
        OutputFolder(tmp_path / "r", needed_bytes=free)
    assert not list(tmp_path.iterdir())


def test_a_failed_file_leaves_the_old_one(tmp_path):
    (tmp_path / "a.txt").write_text("old")

    def fail():
        with replacing(tmp_path / "a.txt") as temporary:
            temporary.write_text("ha")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
