"""What goes through a channel: names that lead nowhere else, lines with an end, and no more of a folder than belongs to a model."""

from __future__ import annotations

import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.serving.frames import TOO_LONG, fit_name, read_line, safe_parts
from Agg2ExpLib.serving.model_files import model_files


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../../x", "a//b", "", ".", "a\\b", "c:x", "a/.ssh", "x\n", "a/con", "b.", 5]
)
def test_names_that_come_through_the_channel_lead_nowhere_else(name):
    with pytest.raises(InputError):
        safe_parts(name)


@given(st.text(max_size=80))
@example("é" * 300)
def test_every_name_can_be_made_fit(name):
    assert safe_parts(fit_name(name)) == (fit_name(name),)


def test_lines_are_bounded():
    stream = io.BytesIO(b"ab\n" + b"c" * 10 + b"\n" + b"d")
    assert [read_line(stream, 4), read_line(stream, 4), read_line(stream, 4), read_line(stream, 4)] == [
        b"ab\n",
        TOO_LONG,
        b"d",
        None,
    ]


def test_only_what_is_of_a_model_is_sent(small_weights, tmp_path):
    for name in ("mine.pt", "mine.json", "other.json", "letter.csv"):
        (tmp_path / name).write_text("x")
    folder = fit_name(tmp_path.name)
    assert [name for name, _file in model_files(tmp_path / "mine.pt")[0]] == [f"{folder}/mine.json", f"{folder}/mine.pt"]
    fold = tmp_path / "Dataset7_Chest" / "Trainer__Plans__3d" / "fold_0"
    fold.mkdir(parents=True)
    names = ("../plans.json", "../dataset.json", "checkpoint_final.pth", "checkpoint_best.pth", "progress.png")
    for file in (fold / name for name in names):
        file.write_text("x")
    above = "Dataset7_Chest/Trainer__Plans__3d"
    wanted = [f"{above}/{name}" for name in ("dataset.json", "fold_0/checkpoint_final.pth", "plans.json")]
    found, own = model_files(fold / "checkpoint_final.pth")
    assert ([name for name, _file in found], own) == (wanted, wanted[1])
    found, own = model_files(fold.parent)
    assert ([name for name, _file in found], own) == (wanted, above)
    with pytest.raises(InputError, match="no weights"):
        model_files(tmp_path / "letter.csv")
