"""What is listed of the models on a computer, without PyTorch, and that it is what loading them then gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest
import torch

import Agg2ExpLib as agg2exp
from Agg2ExpLib.commands.cli import main
from Agg2ExpLib.models.formats import describe_model
from Agg2ExpLib.models.pickled_settings import is_whole, read_settings
from support.installed_models import fill_home
from support.nnunet_model import write_nnunet

PLACES = ("TOTALSEG_WEIGHTS_PATH", "TOTALSEG_HOME_DIR", "nnUNet_results", "TORCH_HOME", "XDG_CACHE_HOME", "AGG2EXP_MODELS")


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in PLACES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    fill_home(tmp_path)
    write_nnunet(tmp_path / "results")
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "results"))
    return tmp_path


def test_everything_is_found(home, small_weights, monkeypatch):
    monkeypatch.setenv("AGG2EXP_MODELS", str(small_weights.parent))
    found = {model.name: model for model in agg2exp.installed_models()}
    assert list(found) == [
        "total_part1", "total_fast", "total_mr_fast", "Dataset998_Tiny 3d_fullres", "adrenal-v1.0.0", "liver", "turned", "small.pt",
        "demo", "demo classifier",
    ]  # fmt: skip
    problems = {name: model.problem for name, model in found.items() if model.problem}
    assert set(problems) == {"total_fast", "total_mr_fast", "turned"}
    assert "are not complete" in problems["total_fast"]
    assert "is for MR" in problems["total_mr_fast"]
    assert "Rotate90" in problems["turned"]
    assert all("\n" not in problem for problem in problems.values())
    part = found["total_part1"]
    assert (part.weights, part.kind) == ("totalsegmentator:total_part1", "TotalSegmentator")
    assert [(label.name, label.group) for label in part.labels] == [
        ("spleen", "other organs"), ("rib_left_1", "bones"), ("aorta", "cardiovascular"),
    ]  # fmt: skip
    assert [label.name for label in found["adrenal-v1.0.0"].labels] == ["left_adrenal_gland", "cyst"]
    assert found["adrenal-v1.0.0"].card.spacing == (3.0, 3.0, 3.0)
    assert found["liver"].card.roi_size == (32, 32, 32)
    assert len(found["demo"].labels) == 16


@pytest.mark.parametrize("name", ["total_part1", "Dataset998_Tiny 3d_fullres", "demo"])
def test_what_is_told_is_what_is_loaded(home, name):
    told = next(model for model in agg2exp.installed_models() if model.name == name)
    card = agg2exp.Model.load(told.weights).card
    for part in ("labels", "spacing", "roi_size", "preprocessing", "output", "overlap", "blend", "windows", "licence"):
        assert getattr(told.card, part) == getattr(card, part), part


def test_without_pytorch_and_at_once(home):
    code = (
        "import sys, time; import Agg2ExpLib as agg2exp; began = time.perf_counter(); models = agg2exp.installed_models()\n"
        "assert len(models) == 9; again = time.perf_counter(); agg2exp.installed_models(); print(time.perf_counter() - again)\n"
        "assert not {'torch', 'monai', 'scipy', 'dynamic_network_architectures'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=dict(os.environ), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 2


def test_the_command(home, capsys):
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    assert (
        "total_part1  (TotalSegmentator)\n  --weights totalsegmentator:total_part1\n  can be explained: 1.5 × 1.5 × 1.5 mm" in text
    )
    assert "3 labels: spleen, rib_left_1, aorta" in text
    assert "cannot be explained: TotalSegmentator's task total_mr_fast is for MR" in text
    assert main(["models", "AORTA", "totalseg", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in listed if entry["kind"] == "TotalSegmentator"] == ["total_part1"]
    assert listed[0]["spacing"] == [1.5, 1.5, 1.5]
    assert listed[0]["can_be_explained"] is True
    assert main(["models", "nothing of that name"]) == 0
    assert "No such model" in capsys.readouterr().out


def test_a_computer_without_models(tmp_path, monkeypatch):
    for name in PLACES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "nobody"))
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "nowhere"))
    assert [model.name for model in agg2exp.installed_models()] == ["demo", "demo classifier"]


def test_settings_are_read_without_running_anything(tmp_path):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made-by-the-file"),)

    torch.save({"config": {"a": [1, "x", None]}, "tensors": {"w": torch.ones(3)}, "bad": Payload()}, tmp_path / "a.pt")
    found = read_settings(tmp_path / "a.pt")
    assert found["config"] == {"a": [1, "x", None]}
    assert not (tmp_path / "made-by-the-file").exists()
    content = (tmp_path / "a.pt").read_bytes()
    assert is_whole(tmp_path / "a.pt")
    for share in (0.1, 0.5, 0.99):
        (tmp_path / "b.pt").write_bytes(content[: int(len(content) * share)])
        assert read_settings(tmp_path / "b.pt") is None
        assert not is_whole(tmp_path / "b.pt")
    assert read_settings(tmp_path / "none.pt") is None


def test_weights_are_described_by_their_card(small_weights, tmp_path):
    assert [label.name for label in describe_model(small_weights).card.labels][1:] == ["lung", "heart", "bone", "vessel"]
    (tmp_path / "w.pt").write_bytes(b"x")
    began = time.perf_counter()
    described = describe_model(tmp_path / "w.pt")
    assert described.card is None
    assert "No model card" in described.notes[0]
    assert time.perf_counter() - began < 0.1
