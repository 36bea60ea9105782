"""``agg2exp train`` as a user runs it: weights and card that load, resumption, several processes, bad input."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from Agg2ExpLib.commands.cli import main
from Agg2ExpLib.io.write import write_volume
from Agg2ExpLib.models.labels import PAPER_LABELS
from Agg2ExpLib.models.model import demo_weights, load_model
from Agg2ExpLib.synthetic.phantom import make_phantom
from Agg2ExpLib.training.settings import TrainSettings
from Agg2ExpLib.training.synthetic_source import SyntheticSource
from Agg2ExpLib.training.validation import validate

SMALL = ["--network-options", '{"feature_size": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 1, 1], "window_size": [4, 4, 4]}']
SIZE = ["--roi", "32", "32", "64", "--spacing", "8", "--batch", "1", "--threads", "1", "--accelerator", "cpu"]
QUICK = [*SMALL, *SIZE]
UNET = ["--network", "unet", "--network-options", '{"channels": [4, 8, 8, 8, 8]}']  # where any network will do


def test_synthetic_training_writes_weights_and_a_card_that_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "--phantoms", "1", *QUICK, "--steps", "2", "--validate-every", "1", "--held-out", "1"]
    assert main([*command, "--float16-weights", "--output", str(tmp_path), "--name", "net"]) == 0
    model = load_model(tmp_path / "net.safetensors")
    assert not model.warnings
    assert model.card.labels == PAPER_LABELS
    assert model.card.spacing == (8, 8, 8)
    assert model.card.roi_size == (32, 32, 64)
    card = json.loads((tmp_path / "net.json").read_text())
    assert "Not for diagnosis" in card["intended_use"]
    assert card["licence"] == "CC BY 4.0"
    training = card["metrics"]["training"]
    assert training["runs"][0]["from_step"] == 0
    assert training["steps_taken"] == 2
    assert training["settings"]["seed"] == 0
    assert card["metrics"]["data"]
    measured = card["metrics"]["dice"]["phantom_held_out"]
    assert f"{measured['aorta']:.3f}" in capsys.readouterr().out
    with (tmp_path / "net_dice.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["step"] for row in rows} == {"1", "2"}
    assert {row["label"] for row in rows} == {label.name for label in PAPER_LABELS[1:]} | {"mean"}


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Three phantoms as CT and label map, one folder each."""
    for seed in range(3):
        phantom = make_phantom(seed, spacing=(6.0, 6.0, 6.0))
        (tmp_path / "data" / f"p{seed}").mkdir(parents=True)
        write_volume(tmp_path / "data" / f"p{seed}" / "ct.nii.gz", phantom.ct, phantom.affine, compress=True)
        write_volume(tmp_path / "data" / f"p{seed}" / "labels.nii.gz", phantom.labels, phantom.affine, compress=True)
    return tmp_path / "data"


NAMES = ",".join(label.name for label in PAPER_LABELS)


def test_training_on_pairs(pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    size = ["--roi", "32", "--spacing", "6", "--batch", "2", "--steps", "1", "--accelerator", "cpu", "--licence", "mine"]
    assert main(["train", "--data", str(pairs), "--label-map", NAMES, *UNET, *size, "--output", str(out)]) == 0
    model = load_model(out / "model.safetensors")
    assert model.card.network is not None
    assert model.card.network["class"] == "UNet"
    assert model.card.licence == "mine"
    assert model.card.metrics is not None
    assert model.card.metrics["dice"]["validation"]["volumes"] == 1
    assert not list(out.glob(".*partial*"))


def run(python: str, *options: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [python, "-m", "Agg2ExpLib", "train", "--phantoms", "1", *UNET, *SIZE, "--held-out", "1", *options]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_sigterm_keeps_the_state_and_the_command_goes_on(tmp_path: Path, warm_python: str) -> None:
    options = ["--steps", "500", "--save-every", "1", "--output", str(tmp_path)]
    process = run(warm_python, *options)
    deadline = time.monotonic() + 120
    while not (tmp_path / "model.checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "repeat the command to go on" in errors
    assert not (tmp_path / "model.json").exists()
    taken = int(errors.split("Stopped after step ")[1].split(":")[0])
    again = ["train", "--phantoms", "1", *UNET, *SIZE, "--held-out", "1", "--steps", str(taken + 1), "--output", str(tmp_path)]
    assert main(again) == 0
    training = json.loads((tmp_path / "model.json").read_text())["metrics"]["training"]
    assert training["steps_taken"] == taken + 1
    assert [part["from_step"] for part in training["runs"]] == [0, taken]


@pytest.mark.skipif(sys.platform == "win32", reason="gloo over processes is tested where CI runs")
def test_two_processes_train_together(tmp_path: Path, warm_python: str) -> None:
    process = run(warm_python, "--steps", "2", "--devices", "2", "--batch", "2", "--output", str(tmp_path))
    out, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert out.count("Weights:") == 1
    assert load_model(tmp_path / "model.safetensors").card.labels == PAPER_LABELS


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "nothing to train on"),
        (["--synthetic", "none.nii.gz"], "none.nii.gz"),
        (["--phantoms", "1", "--steps", "0"], "--steps"),
        (["--phantoms", "1", "--roi", "32", "64"], "one number or three"),
        (["--phantoms", "1", "--spacing", "2", "2", "3"], "one number"),
        (["--phantoms", "1", "--data", "x"], "exclude each other"),
        (["--data", "no_such_folder", "--label-map", "thorax"], "no_such_folder"),
        (["--phantoms", "1", "--name", "a/b"], "--name"),
        (["--phantoms", "1", "--devices", "some"], "--devices"),
        (["--phantoms", "1", "--label-weights", "liver=2"], "liver"),
    ],
)
def test_bad_input(options: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = [] if "--roi" in options else ["--roi", "32", "32", "64"]
    size = [*small, *([] if "--spacing" in options else ["--spacing", "8"])]
    assert main(["train", *options, *SMALL, *size, "--accelerator", "cpu", "--output", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert sentence in message
    assert "Traceback" not in message


def test_shares_of_validation(pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "--data", str(pairs), "--label-map", NAMES, "--output", str(tmp_path / "out"), *QUICK]
    for share, sentence in (("2", "below 1"), ("some", "a share such as"), (str(tmp_path / "names.txt"), "'p9'")):
        (tmp_path / "names.txt").write_text("p9\n")
        assert main([*command, "--validation", share]) == 2
        assert sentence in capsys.readouterr().err


def test_shipped_weights_segment_the_phantom() -> None:
    weights = demo_weights()
    assert weights.stat().st_size < 10e6
    model = load_model(weights)
    assert model.card.metrics
    settings = TrainSettings(spacing=model.card.spacing, roi=model.card.roi_size, seed=77)
    scores = validate(model.network, SyntheticSource([], 1, settings, held_out=1), settings)
    assert np.nanmean(scores.tables["phantom_held_out"]) > 0.5
