"""What-if questions from Python and the command line, on a network whose answers are known, and on real files."""

import csv
import json
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import torch

import Agg2ExpLib as agg2exp
from Agg2ExpLib.commands.cli import main

NAMES = ["background", "bright", "neighbour"]


class Known(torch.nn.Module):
    """``bright`` where the CT is bright; ``neighbour`` in a fixed place, but only as long as something is bright in the window."""

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        bright = 20 * (windows - 0.55)
        there = (windows.amax(dim=(1, 2, 3, 4), keepdim=True) - 0.55).clamp(min=-0.1)
        place = torch.zeros_like(windows)
        place[..., 4:9, 4:9, 4:9] = 1
        return torch.cat([torch.zeros_like(windows), bright, 50 * there * place - 0.1], dim=1)


@pytest.fixture(scope="module")
def known():
    hu = np.full((32, 32, 32), -1000, np.int16)
    hu[16:24, 16:24, 16:24] = 600
    model = agg2exp.Model(Known().eval(), NAMES, spacing=(2, 2, 2), roi_size=32)
    ct = (hu, np.diag([2.0, 2.0, 2.0, 1.0]))
    return model, agg2exp.explain(ct, model, method="gradient", device="cpu")


def test_the_answer_is_the_networks(known):
    model, result = known
    assert [label.name for label in result.labels] == NAMES
    assert (result.segmentation == 1).sum() == 512
    assert (result.segmentation == 2).sum() == 125
    answer = agg2exp.what_if(result, model, remove="bright", device="cpu")
    table = answer.to_frame()
    assert not answer.after.labels.any()
    assert (table["dice"] == 0).all()
    assert (table["volume_change_percent"] == -100).all()
    assert table.loc["bright", "volume_before_ml"] == pytest.approx(512 * 8 / 1000)
    # its voxels fall from 600 to -1000 HU: 20 · (1600 / 2048) logits
    assert table.loc["bright", "mean_logit_change"] == pytest.approx(-20 * 1600 / 2048, abs=0.02)
    assert "Without bright" in str(answer)
    assert "2 of 2 labels change" in str(answer)

    apart = agg2exp.what_if(result, model, remove="neighbour", fill="air", device="cpu")
    assert not [entry.label for entry in apart.labels if entry.changed], "it leans on the bright cube alone"
    alone = agg2exp.what_if(result, model, keep="bright", fill="air", device="cpu")
    assert (alone.after.labels == result.segmentation).all()
    darker = agg2exp.what_if(result, model, shift="bright", amount=-900, device="cpu")
    assert not darker.after.labels.any()
    assert (darker.hu[16:24, 16:24, 16:24] == -300).all()


def test_every_region_removed_in_turn_agrees_with_what_the_network_does(known):
    model, result = known
    effects = agg2exp.causal_matrix(result, model, device="cpu")
    assert (effects.rows, effects.columns) == (("bright", "neighbour"), ("bright", "neighbour"))
    dice = effects.to_frame("dice")
    assert dice["bright"].tolist() == [0, 0]
    assert dice["neighbour"].tolist() == [1, 1]
    assert np.isnan(effects.agreement(result.matrix)["bright"]), "two regions have no order worth telling"


def test_a_drawn_blob(known):
    model, result = known
    blob = np.zeros(result.hu.shape, np.uint8)
    blob[16:20, 16:24, 16:24] = 1
    answer = agg2exp.what_if(result, model, remove="blob", regions={"blob": blob}, fill="air", device="cpu")
    assert answer.to_frame().loc["bright", "dice"] == pytest.approx(2 * 256 / (512 + 256))
    assert answer.to_frame().loc["neighbour", "dice"] == 1


class Nested(torch.nn.Module):
    """``outer`` where the CT is above 0 HU, ``inner`` where it is above 500: inner hides a part of outer."""

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return torch.cat([20 * (windows - 0.5), 20 * (windows - 0.75)], dim=1)


def test_a_label_that_another_hides_is_removed_whole():
    hu = np.full((32, 32, 32), -1000, np.int16)
    hu[10:24, 10:24, 10:24] = 300
    hu[14:18, 14:18, 14:18] = 700
    model = agg2exp.Model(torch.nn.Conv3d(1, 3, 1).eval(), ["background", "outer", "inner"], spacing=(2, 2, 2), roi_size=32)
    model = agg2exp.Model(Nested().eval(), replace(model.card, output="sigmoid"))
    result = agg2exp.explain((hu, np.diag([2.0, 2.0, 2.0, 1.0])), model, method="gradient", device="cpu")
    assert (result.segmentation == 1).sum() == 14**3 - 4**3
    assert result.extra_rois["outer_whole"].sum() == 14**3
    answer = agg2exp.what_if(result, model, remove="outer", fill="air", device="cpu")
    assert answer.where.sum() == 14**3
    assert answer.to_frame()["volume_before_ml"].to_dict() == pytest.approx({"outer": 14**3 * 0.008, "inner": 4**3 * 0.008})
    assert not answer.after.overlapping.any()
    inner = agg2exp.what_if(result, model, remove="inner", fill="soft_tissue", device="cpu").to_frame()
    assert inner.loc["inner", "dice"] == 0
    assert inner.loc["outer", "dice"] == 1


def test_a_result_that_the_model_does_not_draw_any_more_is_told(known):
    model, result = known
    moved = replace(result, segmentation=np.roll(result.segmentation, 16, axis=0))
    monitor = agg2exp.Monitor()
    agg2exp.what_if(moved, model, shift="bright", amount=500, device="cpu", monitor=monitor)
    assert [text for text in monitor.notices if "otherwise than in the result" in text]
    quiet = agg2exp.Monitor()
    agg2exp.what_if(result, model, shift="bright", amount=500, device="cpu", monitor=quiet)
    assert not quiet.notices


def test_questions_that_make_no_sense(known):
    model, result = known
    with pytest.raises(agg2exp.InputError, match="exactly one change"):
        agg2exp.what_if(result, model, remove="bright", keep="bright")
    with pytest.raises(agg2exp.InputError, match="did you mean 'bright'"):
        agg2exp.what_if(result, model, remove="brihgt")
    other = agg2exp.Model(torch.nn.Conv3d(1, 3, 1).eval(), NAMES, spacing=(2, 2, 2), roi_size=32)
    with pytest.raises(agg2exp.InputError, match="other weights"):
        agg2exp.what_if(result, other, remove="bright")
    with pytest.raises(agg2exp.InputError, match="result's grid"):
        agg2exp.what_if(result, model, remove="bright", ct=(np.zeros((9, 9, 9)) - np.arange(9) * 100, np.eye(4)))


@pytest.fixture(scope="module")
def folder(small_ct, small_weights, tmp_path_factory):
    place = tmp_path_factory.mktemp("what_if") / "result"
    words = ["--ct", str(small_ct), "--weights", str(small_weights), "--output", str(place)]
    assert main(["explain", *words, "--method", "gradient", "--device", "cpu", "--precision", "float32"]) == 0
    return place


def test_command_line(folder, small_ct, small_weights, capsys):
    words = ["whatif", str(folder), "--weights", str(small_weights), "--device", "cpu", "--precision", "float32"]
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert main([*words, "--remove", "heart", "--ct", str(small_ct)]) == 0
    told = capsys.readouterr().out
    assert "Without heart (filled from its surroundings)" in told
    answer = folder / "what_if" / "remove_heart_surroundings"
    assert {path.name for path in answer.iterdir()} == {
        "what_if.json", "what_if.csv", "ct.nii.gz", "segmentation.nii.gz", "what_if.png",
    }  # fmt: skip
    record = json.loads((answer / "what_if.json").read_text())
    assert record["edit"]["regions"] == ["heart"]
    assert record["windows"]["computed"] > 0
    rows = list(csv.DictReader((answer / "what_if.csv").open()))
    segmentation = np.asarray(nibabel.load(folder / "segmentation.nii.gz").dataobj)
    after = np.asarray(nibabel.load(answer / "segmentation.nii.gz").dataobj)
    labels = [entry["name"] for entry in json.loads((folder / "run.json").read_text())["labels"]]
    for row in rows:
        index = labels.index(row["label"])
        assert float(row["volume_before_ml"]) == pytest.approx((segmentation == index).sum() * 0.216, abs=0.01)
        assert float(row["volume_after_ml"]) == pytest.approx((after == index).sum() * 0.216, abs=0.01)
    assert after.shape == segmentation.shape
    assert (after != segmentation).any()
    # a second question of the same name replaces the first, another lies beside it
    assert main([*words, "--remove", "heart", "--no-picture"]) == 0
    assert not (answer / "what_if.png").exists()
    assert main([*words, "--noise", "lung", "--amount", "80", "--name", "noisy lung"]) == 0
    assert (folder / "what_if" / "noisy lung" / "what_if.csv").is_file()
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    assert not [path for path in (folder / "what_if").iterdir() if path.name.startswith(".")]


def test_all_on_the_command_line(folder, small_weights, capsys):
    words = ["whatif", str(folder), "--weights", str(small_weights), "--device", "cpu", "--precision", "float32"]
    assert main([*words, "--all", "--fill", "air"]) == 0
    assert "regions removed in turn" in capsys.readouterr().out
    place = folder / "what_if" / "all"
    record = json.loads((place / "causal.json").read_text())
    rows = list(csv.DictReader((place / "causal_matrix.csv").open()))
    assert len(rows) == len(record["labels"]) * len(record["regions"]) >= 4
    assert (place / "causal_matrix.png").stat().st_size > 10_000
    assert main([*words, "--remove", "heart", "--fill", "air"]) == 0
    single = {row["label"]: row for row in csv.DictReader((folder / "what_if/remove_heart_air/what_if.csv").open())}
    for row in rows:
        if row["removed"] == "heart":
            assert row["dice"] == single[row["label"]]["dice"]
            assert float(row["mean_logit_change"]) == pytest.approx(float(single[row["label"]]["mean_logit_change"]), abs=1e-5)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--remove", "spleen"], "no region 'spleen'"),
        (["--remove", "vessel"], "no voxel"),
        (["--shift", "heart"], "changes nothing: set --amount"),
        (["--noise", "heart", "--amount", "-5"], "above 0 HU: set --amount"),
        (["--remove", "heart", "--name", "../out"], "The --name '../out' cannot name a folder"),
    ],
)
def test_bad_input(folder, small_weights, capsys, words, sentence):
    assert main(["whatif", str(folder), "--weights", str(small_weights), *words]) == 2
    assert sentence in capsys.readouterr().err


def test_weights_must_be_named(folder, capsys):
    assert main(["whatif", str(folder), "--remove", "heart"]) == 2
    assert "name their file with --weights" in capsys.readouterr().err


def test_a_rounded_copy_is_close_to_the_original(folder, small_ct, small_weights):
    original = agg2exp.what_if(folder, small_weights, remove="heart", ct=small_ct, device="cpu", precision="float32")
    copy = agg2exp.what_if(folder, small_weights, remove="heart", device="cpu", precision="float32")
    assert (original.after.labels == copy.after.labels).mean() > 0.99
