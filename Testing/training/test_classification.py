"""Classifiers: found data, measures against scikit-learn by hand, learning, weights and cards that load, and bad input."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef, roc_auc_score

from Agg2ExpLib.commands.cli import main
from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io.write import write_volume
from Agg2ExpLib.models.model import load_model
from Agg2ExpLib.models.slice_classifier import POOLINGS
from Agg2ExpLib.training import classifier_choice
from Agg2ExpLib.training.class_scores import ClassScores
from Agg2ExpLib.training.class_source import Case
from Agg2ExpLib.training.classification_task import ClassificationTask, class_weights
from Agg2ExpLib.training.kinds import settings_of
from Agg2ExpLib.training.labelled import find_labelled
from Agg2ExpLib.training.labelled_source import LabelledSource
from Agg2ExpLib.training.medmnist_source import MedmnistSource
from Agg2ExpLib.training.preparation import prepare
from Agg2ExpLib.training.shares import held_out_alike
from Agg2ExpLib.training.volume_variation import Variation, fitted

TINY = '{"block_inplanes": [8, 8, 8, 8], "layers": [1, 1, 1, 1], "conv1_t_size": 3, "conv1_t_stride": 1, "no_max_pool": true}'
QUICK = ["--task", "classification", "--accelerator", "cpu", "--threads", "1", "--network-options", TINY]
SIDE = 12


def shapes(counts: dict[str, int]) -> dict[str, np.ndarray]:
    """Bright and dark cubes in the form of MedMNIST's releases; the class is which."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in counts.items():
        labels = np.arange(count) % 2
        images = rng.integers(0, 30, (count, SIDE, SIDE, SIDE))
        images[:, 3:9, 3:9, 3:9] += (60 + 120 * labels)[:, None, None, None]
        arrays[f"{part}_images"], arrays[f"{part}_labels"] = images.astype(np.uint8), labels[:, None].astype(np.uint8)
    return arrays


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    np.savez(tmp_path / "shapes.npz", **shapes({"train": 16, "val": 6, "test": 4}))  # type: ignore[arg-type]
    return tmp_path / "shapes.npz"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_a_classifier_is_trained_tested_and_loads(npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    recipe = ["--steps", "16", "--batch", "8", "--validate-every", "8", "--learning-rate", "5e-3"]
    assert main(["train", *QUICK, *recipe, "--data", str(npz), "--classes", "dark,bright", "--output", str(out)]) == 0
    assert "Test (4)" in capsys.readouterr().out
    model = load_model(out / "model.safetensors")
    assert (model.task, model.labels, model.card.output) == ("classification", ("dark", "bright"), "softmax")
    assert (model.card.spacing, model.card.hu_window, model.card.intensity_range) == ((1, 1, 1), (0, 255), (0, 1))
    assert model.card.intended_use is not None
    assert "Not for CT" in model.card.intended_use
    record = json.loads((out / "model.json").read_text())["metrics"]
    assert record["scores"]["test"]["mean"] == 1.0
    assert record["training"]["class_weights"] == {"dark": 1, "bright": 1}
    assert "NAdam" in record["training"]["recipe"]
    images, labels = (np.load(npz)[f"test_{kind}"] for kind in ("images", "labels"))
    with torch.no_grad():
        logits = model.network(torch.from_numpy(images / np.float32(255))[:, None])
    bright = (logits[:, 1] - logits[:, 0]).numpy()  # 16 steps do not settle the statistics of batch normalisation
    assert bright[labels[:, 0] == 1].min() > bright[labels[:, 0] == 0].max()
    with (out / "model_scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["step"], row["set"], row["class"]) for row in rows[-3:]] == [
        ("16", "validation", c) for c in ("dark", "bright", "mean")
    ]
    assert rows[-1]["auroc"] == "1.0"


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_measures_equal_scikit_learns(output: str) -> None:
    rng = np.random.default_rng(1)
    logits, truth = rng.normal(size=(40, 3)), np.eye(3)[rng.integers(0, 3, 40)]
    found = ClassScores(("a", "b", "c"), output, {"set": (logits, truth)}).to_dict(digits=None)["set"]
    probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True) if output == "softmax" else 1 / (1 + np.exp(-logits))
    chosen = np.eye(3)[probability.argmax(1)] if output == "softmax" else probability > 0.5
    for k, name in enumerate("abc"):
        assert found["classes"][name]["auroc"] == pytest.approx(roc_auc_score(truth[:, k], probability[:, k]))
        assert found["classes"][name]["f1"] == pytest.approx(f1_score(truth[:, k], chosen[:, k]))
    assert found["mean"] == pytest.approx(roc_auc_score(truth, probability, average="macro"))
    if output == "softmax":
        assert found["accuracy"] == pytest.approx(accuracy_score(truth.argmax(1), logits.argmax(1)))
        assert found["mcc"] == pytest.approx(matthews_corrcoef(truth.argmax(1), logits.argmax(1)))


def test_a_class_of_one_kind_is_not_measured() -> None:
    scores = ClassScores(("a", "b"), "sigmoid", {"set": (np.array([[1.0, 2], [-1, 3]]), np.array([[1.0, 1], [0, 1]]))})
    row = scores.to_dict()["set"]
    assert row["classes"]["b"]["auroc"] is None
    assert row["mean"] == scores.mean == 1.0
    assert np.isnan(ClassScores(("b",), "sigmoid", {"set": (np.ones((2, 1)), np.ones((2, 1)))}).mean)


def test_weights_of_classes() -> None:
    targets = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], np.float32)
    assert class_weights(targets, "ab", "softmax", {}) == pytest.approx([4 / 6, 2])
    assert class_weights(targets, "ab", "sigmoid", {"b": 2.0}) == pytest.approx([1 / 3, 6])
    with pytest.raises(InputError, match="'b' has no example"):
        class_weights(targets * [1, 0], "ab", "sigmoid", {})
    with pytest.raises(InputError, match="'a' is true of all"):
        class_weights(np.ones((3, 1), np.float32), "a", "sigmoid", {})
    with pytest.raises(InputError, match="'c', which is no class"):
        class_weights(targets, "ab", "softmax", {"c": 1.0})


AFFINE = np.diag([-4.0, -4.0, 5.0, 1.0])


def write_ct(path: Path, value: int, shape: tuple[int, int, int] = (16, 14, 12)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(path, np.random.default_rng(value).normal(value, 20, shape).astype(np.int16), AFFINE, compress=True)


def test_labelled_data_is_found(tmp_path: Path) -> None:
    for name, value in (("ill/1", 0), ("ill/2", 1), ("well/1", 2)):
        write_ct(tmp_path / "data" / f"{name}.nii.gz", value)
    folders = find_labelled(tmp_path / "data")
    assert (folders.classes, folders.output, folders.patients) == (("ill", "well"), "softmax", ("ill/1", "ill/2", "well/1"))
    assert folders.targets.tolist() == [[1, 0], [1, 0], [0, 1]]
    (tmp_path / "one.csv").write_text("ct,class\ndata/ill/1.nii.gz,ill\ndata/well/1.nii.gz,well\n")
    assert find_labelled(tmp_path / "one.csv").targets.tolist() == [[1, 0], [0, 1]]
    (tmp_path / "many.csv").write_text("patient,ct,cough,fever\nP,data/ill/1.nii.gz,1,0\nP,data/well/1.nii.gz,0,0\n")
    many = find_labelled(tmp_path / "many.csv")
    assert (many.classes, many.output, many.patients) == (("cough", "fever"), "sigmoid", ("P", "P"))
    assert many.targets.tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("ct\na.nii.gz\n", "has no class"),
        ("image,class\na.nii.gz,x\n", "lacks the column ct"),
        ("ct,class\nnone.nii.gz,x\n", "does not exist"),
        ("ct,class\na.nii.gz,\n", "no class: name one"),
        ("ct,class\na.nii.gz,x\n", "All CTs of t.csv are of the class 'x'"),
        ("ct,age\na.nii.gz,63\n", "'63' in the column age"),
        ("ct,class\n", "has no row"),
    ],
)
def test_tables_that_make_no_sense(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").touch()
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=sentence):
        find_labelled(tmp_path / "t.csv")


def test_training_on_cts(tmp_path: Path) -> None:
    for k in range(6):
        write_ct(tmp_path / "data" / ("ill" if k % 2 else "well") / f"{k}.nii.gz", 300 * (k % 2) + k)
    recipe = ["--steps", "2", "--batch", "2", "--roi", "16", "--spacing", "5", "--network", "slice_resnet10", "--pooling", "mean"]
    out = tmp_path / "out"
    data = ["--data", str(tmp_path / "data"), "--validation", "0.34", "--axes", "axial", "coronal", "--output", str(out)]
    assert main(["train", *QUICK, *recipe, *data]) == 0
    model = load_model(out / "model.safetensors")
    assert model.labels == ("ill", "well")
    assert model.card.network is not None
    assert (model.card.network["pooling"], model.card.network["axes"]) == ("mean", [2, 1])
    assert model.card.metrics is not None
    assert model.card.metrics["scores"]["validation"]["volumes"] == 2


def test_cts_are_on_the_grid_of_inference_and_short_ones_refused(tmp_path: Path) -> None:
    for k in range(4):
        write_ct(tmp_path / "data" / "ab"[k % 2] / f"{k}.nii.gz", k)
    settings = settings_of("classification", {"spacing": (5.0, 5.0, 5.0)})
    source = LabelledSource(find_labelled(tmp_path / "data"), {"a/0", "b/1"}, settings, tmp_path / "cache", "data")
    assert list(prepare(source, workers=2)) == ["a/2", "b/3", "a/0", "b/1"]
    assert [case.target.tolist() for case in source.validation()] == [[1, 0], [0, 1]]
    assert source.volume(0).shape == (13, 11, 12)
    write_ct(tmp_path / "data" / "a" / "2.nii.gz", 5, (16, 14, 5))
    for workers in (0, 2):  # the error of another process arrives whole
        with pytest.raises(InputError, match="only 5 slices"):
            list(prepare(source, workers))
    with pytest.raises(InputError, match="No class is both there and not there"):
        LabelledSource(find_labelled(tmp_path / "data"), {"a/0"}, settings, tmp_path / "cache", "data")


def test_a_process_that_the_system_ends_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    deadly: Any = SimpleNamespace(items=partial(range, 1, 3), make=os._exit)

    def train(_args: object) -> int:
        return len(list(prepare(deadly, workers=2)))

    monkeypatch.setattr("Agg2ExpLib.commands.train.main", train)
    assert main(["train", "--output", "never"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("agg2exp: A process that prepares the data was ended by the system, most often for lack of memory.")
    assert "fewer --workers" in told


def test_broken_npz(tmp_path: Path, npz: Path) -> None:
    whole = npz.read_bytes()
    bad = tmp_path / "bad.npz"
    bad.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read as"):
        MedmnistSource(bad)
    arrays = shapes({"train": 4, "val": 2, "test": 2})
    for change, sentence in (
        ({"val_images": None}, "lacks val_images"),
        ({"test_labels": np.zeros(3, np.uint8)}, "one class for each volume"),
        ({"train_images": np.zeros((4, 5, 5), np.uint8)}, "one size are needed"),
        ({"train_labels": np.array([{}] * 4, object)}, "cannot be read as"),
    ):
        np.savez(bad, **{key: value for key, value in {**arrays, **change}.items() if value is not None})  # type: ignore[arg-type]
        with pytest.raises(InputError, match=sentence):
            MedmnistSource(bad)
    with pytest.raises(InputError, match="2 classes, but 1 names"):
        MedmnistSource(npz, ["only"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--roi", "32"], "leave out --roi"),
        (["--network", "unet"], "unet is no network for classification"),
        (["--network", "resnet3d", "--pooling", "max"], "leave out --pooling"),
        (["--heads", "3"], "cannot be shared among 3 heads"),
        (["--classes", "a,a"], "more than once"),
    ],
)
def test_options_that_do_not_go_together(
    options: list[str], sentence: str, npz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *QUICK, "--data", str(npz), *options, "--output", str(tmp_path / "out")]) == 2
    assert sentence in capsys.readouterr().err


def test_examples_repeat_and_every_volume_comes_once_a_pass(npz: Path) -> None:
    source = MedmnistSource(npz)
    settings = settings_of("classification", {"roi": (16, 8, SIDE), "hu_window": (0.0, 255.0), "seed": 3})
    task = ClassificationTask(settings, source)
    first, again = (task.draw(np.random.default_rng(5), 7) for _ in range(2))
    assert torch.equal(first[0], again[0])
    assert first[0].shape == (1, 16, 8, SIDE)
    assert 0 <= first[0].min() <= first[0].max() <= 1
    drawn = torch.stack([task.draw(np.random.default_rng(k), k)[1] for k in range(len(source.targets))])
    assert drawn.sum(0).tolist() == source.targets.sum(0).tolist()


def test_fields_of_view() -> None:
    volume = np.arange(5 * 4 * 3.0).reshape(5, 4, 3)
    assert np.array_equal(fitted(volume, (3, 4, 3), -9), volume[1:4])
    wide = fitted(volume, (5, 7, 3), -9)
    assert np.array_equal(wide[:, 1:5], volume)
    assert (wide[:, [0, 5, 6]] == -9).all()


def test_left_and_right_stay(tmp_path: Path) -> None:
    volume = np.full((24, 24, 24), -1000.0, np.float32)
    volume[2:8, 8:16, 8:16] = 500
    vary = Variation(volume.shape, (-1024, 1024))
    for k in range(10):
        varied = vary(volume, np.random.default_rng(k))
        assert varied[:12].mean() > varied[12:].mean() + 20


def test_shares_keep_the_kinds() -> None:
    kinds = {f"{k}": k % 5 == 0 for k in range(50)}
    out = held_out_alike(kinds, "0.2", 3)
    assert len(out) == 10
    assert sum(kinds[name] for name in out) == 2
    assert held_out_alike(kinds, "0.2", 3) == out != held_out_alike(kinds, "0.2", 4)


def test_choices_equal_the_networks() -> None:
    assert classifier_choice.POOLINGS == POOLINGS
    assert Case("a", "b", np.zeros(1), np.zeros(1)).group == "a"


def test_training_on_painted_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--phantoms", "1", "--findings", "opacified_left_lung,contrast_agent", "--volumes", "8", "--held-out", "4"]
    size = ["--spacing", "20", "--roi", "20", "16", "18", "--steps", "1", "--batch", "2", "--network", "slice_resnet10"]
    assert main(["train", *QUICK, *data, *size, "--output", str(tmp_path)]) == 0
    model = load_model(tmp_path / "model.safetensors")
    assert (model.labels, model.card.output) == (("opacified_left_lung", "contrast_agent"), "sigmoid")
    assert model.card.metrics is not None
    assert model.card.metrics["scores"]["phantom_held_out"]["volumes"] == 4
    assert len(list((tmp_path / "cache").glob("*.npz"))) == 16
    assert main(["train", *QUICK, *data, *size, "--findings", "fracture", "--output", str(tmp_path)]) == 2
    assert "no synthetic finding 'fracture'" in capsys.readouterr().err
