"""Model cards: what is read, what is refused in one sentence, and that a written card reads back equal."""

from __future__ import annotations

import json

import pytest

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.models.card_labels import clean_label_name
from Agg2ExpLib.models.labels import PAPER_LABELS, make_labels
from Agg2ExpLib.models.model_card import (
    ModelCard,
    default_model_card,
    read_model_card,
    write_model_card,
)

GOOD = {"labels": ["background", "aorta", "lesion"], "spacing": [1.5, 1.5, 2], "hu_window": [-175, 250], "roi_size": [96, 96, 64]}


def write(folder, **changes):
    values = {key: value for key, value in (GOOD | changes).items() if value is not ...}
    (folder / "card.json").write_text(json.dumps(values), encoding="utf-8")
    return folder / "card.json"


def test_reads_required_keys(tmp_path):
    card, warnings = read_model_card(write(tmp_path))
    assert [label.name for label in card.labels] == GOOD["labels"]
    assert card.labels[1] == make_labels(["background", "aorta"])[1]  # the paper's colour, system and code
    assert (card.spacing, card.hu_window, card.roi_size) == ((1.5, 1.5, 2.0), (-175.0, 250.0), (96, 96, 64))
    assert card.intensity_range == (0.0, 1.0)
    assert (card.network, card.metrics, card.citation) == (None, None, None)
    assert warnings == ()


def test_single_numbers_stand_for_three(tmp_path):
    card, _ = read_model_card(write(tmp_path, spacing=2, roi_size=96.0))
    assert card.spacing == (2.0, 2.0, 2.0)
    assert card.roi_size == (96, 96, 96)
    assert all(isinstance(side, int) for side in card.roi_size)


def test_optional_keys(tmp_path):
    network = {"class": "UNet", "channels": [8, 16], "strides": [2]}
    card, warnings = read_model_card(
        write(
            tmp_path,
            intensity_range=[-1, 1],
            colors={"lesion": [1, 2, 3]},
            groups={"lesion": "pathologies"},
            network=network,
            citation="Someone et al.",
            licence="CC BY 4.0",
            intended_use="Research",
            metrics={"dice": 0.9},
        )
    )
    assert card.labels[2].color == (1, 2, 3)
    assert card.labels[2].group == "pathologies"
    assert card.intensity_range == (-1.0, 1.0)
    assert card.network == network
    assert (card.citation, card.licence, card.intended_use) == ("Someone et al.", "CC BY 4.0", "Research")
    assert card.metrics == {"dice": 0.9}
    assert warnings == ()


def test_labels_as_objects_and_names_with_spaces(tmp_path):
    labels = ["background", {"name": "Right Kidney", "color": [9, 8, 7], "group": "other organs"}, {"name": " lung  lesion "}]
    card, _ = read_model_card(write(tmp_path, labels=labels, groups={"lung lesion": "pathologies"}))
    assert [label.name for label in card.labels] == ["background", "Right_Kidney", "lung_lesion"]
    assert card.labels[1].color == (9, 8, 7)
    assert card.labels[2].group == "pathologies"


def test_unknown_key_warns(tmp_path):
    _, warnings = read_model_card(write(tmp_path, hu_windw=[0, 1]))
    assert warnings == ("The model card card.json has the key 'hu_windw', which is not known and was left out.",)


@pytest.mark.parametrize("key", sorted(GOOD))
def test_missing_key(tmp_path, key):
    with pytest.raises(InputError, match=rf"^The model card card\.json lacks '{key}'"):
        read_model_card(write(tmp_path, **{key: ...}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("labels", "background"),
        ("labels", ["background"]),
        ("labels", [f"label{index}" for index in range(257)]),
        ("labels", ["background", 3]),
        ("labels", ["background", ""]),
        ("labels", ["background", "../../etc/passwd"]),
        ("labels", ["background", "a,b"]),
        ("labels", ["background", ".hidden"]),
        ("labels", ["background", "aorta", "Aorta"]),
        ("labels", ["aorta", "background"]),
        ("spacing", 0),
        ("spacing", [1.5, 1.5]),
        ("spacing", [1.5, 1.5, -1]),
        ("spacing", True),
        ("spacing", ["1.5", 1.5, 1.5]),
        ("spacing", None),
        ("hu_window", [250, -175]),
        ("hu_window", [0, 0]),
        ("hu_window", 5),
        ("hu_window", [0]),
        ("roi_size", [96, 96, 96.5]),
        ("roi_size", 0),
        ("roi_size", [96, 96, 96, 96]),
        ("roi_size", 10**9),
        ("intensity_range", [1, 0]),
        ("colors", {"lesion": [0, 0, 256]}),
        ("colors", {"lesion": "red"}),
        ("colors", {"liver": [0, 0, 0]}),
        ("colors", [[0, 0, 0]]),
        ("groups", {"lesion": 3}),
        ("groups", {"liver": "bones"}),
        ("network", "SwinUNETR"),
        ("metrics", [0.9]),
        ("citation", 3),
    ],
)
def test_wrong_value_names_file_and_key(tmp_path, key, value):
    with pytest.raises(InputError, match=r"card\.json") as caught:
        read_model_card(write(tmp_path, **{key: value}))
    message = str(caught.value)
    assert f"'{key}'" in message or ("color of 'lesion'" in message if key == "colors" else "group of 'lesion'" in message)
    assert "\n" not in message


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '"text"', "null", '{"labels": NaN}', "[" * 100_000, "\x00"])
def test_not_a_json_object(tmp_path, text):
    (tmp_path / "card.json").write_text(text)
    with pytest.raises(InputError, match=r"card\.json"):
        read_model_card(tmp_path / "card.json")


def test_not_utf8_missing_and_folder(tmp_path):
    (tmp_path / "card.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(InputError, match="not valid JSON"):
        read_model_card(tmp_path / "card.json")
    with pytest.raises(InputError, match="does not exist"):
        read_model_card(tmp_path / "none.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_model_card(tmp_path)


def test_byte_order_mark_is_read(tmp_path):
    (tmp_path / "card.json").write_text(json.dumps(GOOD), encoding="utf-8-sig")
    assert read_model_card(tmp_path / "card.json")[0].hu_window == (-175.0, 250.0)


def test_written_card_reads_back_equal(tmp_path):
    card = ModelCard(
        labels=make_labels(["background", "Ösophagus", "ribs"], {"ribs": (1, 2, 3)}, {"Ösophagus": "muscles"}),
        spacing=(1.0, 1.25, 3.0),
        hu_window=(-500.0, 500.0),
        roi_size=(64, 64, 32),
        intensity_range=(-1.0, 1.0),
        network={"class": "SwinUNETR", "downsample": "mergingv2"},
        citation="A",
        licence="B",
        intended_use="C",
        metrics={"dice": {"ribs": 0.5}},
    )
    write_model_card(tmp_path / "card.json", card)
    assert read_model_card(tmp_path / "card.json") == (card, ())
    assert [file.name for file in tmp_path.iterdir()] == ["card.json"]
    assert json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))["labels"] == ["background", "Ösophagus", "ribs"]


def test_paper_labels_survive_writing(tmp_path):
    card, _ = default_model_card(17)
    write_model_card(tmp_path / "card.json", card)
    assert read_model_card(tmp_path / "card.json")[0].labels == PAPER_LABELS


def test_unusable_card_is_not_written(tmp_path):
    bad = ModelCard(make_labels(["background", "a/b"]), (1.5, 1.5, 1.5), (0.0, 1.0), (96, 96, 96))
    with pytest.raises(InputError, match="'labels'"):
        write_model_card(tmp_path / "card.json", bad)
    assert not list(tmp_path.iterdir())
    good, _ = default_model_card(3)
    with pytest.raises(InputError, match="cannot be written"):
        write_model_card(tmp_path / "no" / "such" / "card.json", good)


def test_defaults_without_a_card():
    paper, warnings = default_model_card(17)
    assert (paper.labels, paper.spacing, paper.hu_window) == (PAPER_LABELS, (1.5, 1.5, 1.5), (-1024.0, 1024.0))
    assert paper.roi_size == (96, 96, 96)
    assert len(warnings) == 1
    assert "paper's 17 thorax labels" in warnings[0]
    other, warnings = default_model_card(3)
    assert [label.name for label in other.labels] == ["background", "label_1", "label_2"]
    assert "label_1 to label_2" in warnings[0]


def test_label_names_are_fit_for_files():
    assert clean_label_name("  Left  atrial appendage ", "labels", "x") == "Left_atrial_appendage"
    for bad in ("a/b", "a\\b", "a:b", "a\x07b", "-o", "x" * 101, None, 4):
        with pytest.raises(InputError, match="'labels' of x"):
            clean_label_name(bad, "labels", "x")
