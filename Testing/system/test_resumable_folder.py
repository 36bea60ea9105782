"""A folder that goes on where an earlier run was ended, and refuses what is not its own."""

import json
import re

import pytest

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.system.resumable_folder import FolderError, ResumableFolder


def home(folder):
    return ResumableFolder(folder, "record.json", "an evaluation", free="labels")


def test_what_was_begun_is_found_again(tmp_path):
    first = home(tmp_path / "deep" / "out")
    assert first.before is None
    assert first.begin("work") == tmp_path / "deep" / "out" / "work"
    first.write_record({"settings": {"runs": 3}})
    assert home(tmp_path / "deep" / "out").before == {"settings": {"runs": 3}}
    words = "holds an evaluation with another seed: repeat the command as it was to go on (labels may change), or"
    assert words in str(first.refuse("another seed"))


def test_an_empty_folder_may_be_filled(tmp_path):
    assert home(tmp_path).before is None


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("photo.jpg", "", "is no evaluation of Agg2Exp and not empty"),
        ("record.json", "[1, 2]", "is no evaluation of Agg2Exp"),
        ("record.json", "{", "is not valid JSON"),
    ],
)
def test_what_lies_there_is_left_alone(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=words):
        home(tmp_path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, content)]


def test_a_file_in_its_place(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        home(tmp_path / "out")
    with pytest.raises(InputError, match="choose another"):
        home(tmp_path / "out" / "deeper").begin("work")


def test_no_room(tmp_path, monkeypatch):
    folder = home(tmp_path / "out")
    folder.begin("work")
    folder.write_record({"a": 1})

    def fails(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", fails)
    words = f"Cannot write to {tmp_path / 'out'} (No space left on device): make room and repeat the command"
    with pytest.raises(FolderError, match=re.escape(words)):
        folder.write_record({"a": 2})
    assert json.loads((tmp_path / "out" / "record.json").read_text()) == {"a": 1}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"record.json", "work"}
