"""Training: it learns, goes on after an interruption as if nothing had happened, and its state is checked before it is used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.models.labels import PAPER_LABELS
from Agg2ExpLib.synthetic.scans import Example
from Agg2ExpLib.training.network_choice import NETWORKS, network_spec, new_network
from Agg2ExpLib.training.segmentation_task import SegmentationTask
from Agg2ExpLib.training.settings import TrainSettings
from Agg2ExpLib.training.sources import Draws, Validation, step_indices
from Agg2ExpLib.training.trainer import Trainer, write_weights
from Agg2ExpLib.training.validation import Scores, predict, validate, write_history

ROI = (32, 32, 64)  # not more than needed to make the bottleneck more than one voxel
TINY = TrainSettings(
    seed=3,
    steps=12,
    batch=1,
    learning_rate=5e-3,
    warmup=2,
    roi=ROI,
    spacing=(4, 4, 4),
    precision="float32",
    accelerator="cpu",
    validate_every=100,
    network_options={"feature_size": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 1, 1], "window_size": [4, 4, 4]},
)


# Where any network will do: a smaller one for smaller windows.
UNET = replace(TINY, roi=(16, 16, 32), network="unet", network_options={"channels": [4, 8, 8, 8, 8]})


class Slabs:
    """Three slabs of different HU with noise: easy to learn."""

    labels = PAPER_LABELS
    value = 100.0

    def __init__(self, settings: TrainSettings = TINY):
        self.roi = settings.roi

    def window(self, rng: np.random.Generator, index: int) -> Example:
        labels, step = np.zeros(self.roi, np.uint8), self.roi[1] * 10 // 32
        labels[:, step : 2 * step], labels[:, 2 * step :] = 1, 8
        return Example((labels * self.value - 500 + rng.normal(0, 20, self.roi)).astype(np.float32), labels)

    def validation(self) -> Iterator[Validation]:
        for k in range(2):
            yield Validation("slabs", f"slab {k}", self.window(np.random.default_rng(1000 + k), 0))

    def describe(self) -> dict:
        return {"data": ["slabs"]}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums in one order, and no waiting for busy cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_it_learns_and_keeps_the_best_weights(tmp_path: Path) -> None:
    # Two windows at once take a fraction of the time of one after the other.
    small = replace(UNET, network_options={"channels": [8, 8, 8, 8, 8]}, learning_rate=1e-2, batch=2)
    trainer = Trainer(SegmentationTask(replace(small, steps=20, validate_every=10, save_every=20), Slabs(UNET)), tmp_path, "net")
    assert trainer.run("command")
    first, last = trainer.progress.history
    assert (first["step"], last["step"]) == (10, 20)
    assert last["loss"] < first["loss"]
    assert last["dice"]["slabs"]["heart"] > 0.8
    assert last["dice"]["slabs"]["sternum"] is None
    assert trainer.progress.best == pytest.approx(max(entry["dice"]["slabs"]["mean"] for entry in (first, last)), abs=1e-3)
    assert trainer.progress.runs == [{"from_step": 0, "command": "command"}]
    assert trainer.weights.exists()


def test_interrupted_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    settings = replace(UNET, steps=3, batch=2)
    straight = Trainer(SegmentationTask(settings, Slabs(UNET)), tmp_path, "straight")
    straight.run()
    first = Trainer(SegmentationTask(replace(settings, save_every=1), Slabs(UNET)), tmp_path, "parts")
    first.monitor = stopper = StopAfter(first, 1)
    assert not first.run("first")
    assert first.progress.step == stopper.count == 1
    second = Trainer(SegmentationTask(settings, Slabs(UNET)), tmp_path, "parts")
    assert second.progress.step == 1
    assert second.run("second")
    assert same(straight.network, second.network)
    assert not same(straight.network, first.network)
    assert [run["from_step"] for run in second.progress.runs] == [0, 1]
    third = Trainer(SegmentationTask(settings, Slabs(UNET)), tmp_path, "parts")
    assert third.finished
    assert third.run("third")
    assert len(third.progress.runs) == 2  # nothing was left to do


class StopAfter:
    """Asks the trainer to stop after so many steps."""

    def __init__(self, trainer: Trainer, steps: int):
        self.trainer, self.steps, self.count = trainer, steps, 0

    def step(self, progress: object, steps: int, loss: float) -> None:
        self.count += 1
        if self.count == self.steps:
            self.trainer.stop()

    def validated(self, progress: object, scores: Scores) -> None:
        pass


def test_a_window_without_finite_gradient_changes_nothing(tmp_path: Path) -> None:
    class Broken(Slabs):
        value = np.nan

    trainer = Trainer(SegmentationTask(replace(UNET, steps=1), Broken(UNET)), tmp_path, "broken")
    before = Trainer(SegmentationTask(UNET, Slabs(UNET)), tmp_path, "other").network
    trainer.run()
    assert trainer.progress.skipped == 1
    assert same(trainer.network, before)
    many = Trainer(SegmentationTask(replace(UNET, steps=4), Slabs(UNET)), tmp_path, "many")
    many.progress.skipped = 100
    with pytest.raises(FloatingPointError, match="no finite gradient"):
        many.run()


def test_bfloat16_keeps_the_bottleneck_in_float32(tmp_path: Path) -> None:
    trainer = Trainer(SegmentationTask(replace(TINY, precision="bfloat16", steps=1), Slabs()), tmp_path, "half")
    seen = []
    bottleneck, decoder = trainer.network.get_submodule("encoder10.layer"), trainer.network.get_submodule("decoder1")
    bottleneck.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    decoder.conv_block.conv1.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))  # type: ignore[union-attr]
    [(image, target)] = list(trainer._batches())
    assert np.isfinite(trainer._train_step(image, target))
    assert seen == [torch.float32, torch.bfloat16]


def test_states_of_other_runs_are_refused(tmp_path: Path) -> None:
    Trainer(SegmentationTask(UNET, Slabs(UNET)), tmp_path, "net").save()
    state = tmp_path / "net.checkpoint.pt"
    for change, word in (
        ({"seed": 4}, "seed"),
        ({"learning_rate": 1e-3}, "learning_rate"),
        ({"network_options": {"channels": [4, 8, 8, 8, 16]}}, "network_options"),
    ):
        with pytest.raises(InputError, match=f"other {word}"):
            Trainer(SegmentationTask(replace(UNET, **change), Slabs(UNET)), tmp_path, "net")  # type: ignore[arg-type]
    assert (
        Trainer(SegmentationTask(replace(UNET, steps=99, save_every=3), Slabs(UNET)), tmp_path, "net").progress.step == 0
    )  # a longer run may go on
    whole = state.read_bytes()
    state.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged"):
        Trainer(SegmentationTask(UNET, Slabs(UNET)), tmp_path, "net")


def test_the_learning_rate_rises_and_falls() -> None:
    settings = replace(TINY, steps=4, warmup=2)
    rates = [settings.learning_rate_at(step) for step in range(4)]
    assert 0 < rates[0] < rates[1] > rates[2] > rates[3] > 0
    assert settings.learning_rate_at(4) == 0
    assert replace(TINY, warmup=0).learning_rate_at(0) == TINY.learning_rate


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"steps": 0}, "steps"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"hu_window": (5.0, 5.0)}, "hu_window"),
        ({"roi": (0, 32, 32)}, "roi"),
        ({"label_weights": {"aorta": -1.0}}, "label_weights"),
    ],
)
def test_settings_out_of_range(change: dict, word: str) -> None:
    with pytest.raises(InputError, match=word):
        replace(TINY, **change)


def test_label_weights_of_unknown_labels(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'liver'"):
        Trainer(SegmentationTask(replace(TINY, label_weights={"liver": 2.0}), Slabs()), tmp_path, "net")


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "unetr"])
def test_networks_are_built(name: str) -> None:
    options = {"feature_size": 12} if name.startswith("swin") else {"channels": [8, 16, 32, 64, 64]}
    network = new_network(network_spec(name, options, 3, (64, 64, 64)), (64, 64, 64))
    assert network.training
    assert sum(part.numel() for part in network.parameters()) > 1000


def test_unetr_knows_its_window() -> None:
    small = {"hidden_size": 48, "mlp_dim": 64, "num_heads": 4, "feature_size": 4}
    spec = network_spec("unetr", small, 3, (32, 32, 48))
    assert spec["img_size"] == [32, 32, 48]
    assert new_network(spec, (32, 32, 48)).training


def test_networks_that_cannot_be() -> None:
    with pytest.raises(InputError, match="no network 'vnet'"):
        network_spec("vnet", {}, 3, ROI)
    with pytest.raises(InputError, match="network_options"):
        new_network(network_spec("swin_unetr", {"no_such": 1}, 3, ROI), ROI)
    with pytest.raises(InputError, match="roi"):
        new_network(network_spec("swin_unetr", {"feature_size": 12}, 3, (30, 32, 64)), (30, 32, 64))


def test_windows_of_a_step_are_shared_out_once() -> None:
    shares = [step_indices(2, 4, 3, rank, 2) for rank in range(2)]
    assert shares == [[[6, 8], [9, 11]], [[7], [10]]]
    windows = Draws(SegmentationTask(replace(TINY, steps=4, batch=3), Slabs()).draw, replace(TINY, steps=4, batch=3))
    assert len(windows) == 12
    image, target = windows[7]
    expected = Slabs().window(np.random.default_rng((3, 2, 1)), 7)
    assert torch.allclose(image[0], torch.from_numpy((expected.ct.clip(-1024, 1024) + 1024) / 2048))
    assert target.dtype == torch.int64
    assert target.shape == (1, *ROI)


class Oracle(torch.nn.Module):
    """Right about the aorta, blind to the heart."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(image.shape[0], len(PAPER_LABELS), *image.shape[2:])
        logits[:, 0] = 1
        logits[:, 1, :, 10:20] = 2
        return logits


def test_validation_leaves_absent_labels_out(tmp_path: Path) -> None:
    scores = validate(Oracle().train(), Slabs(), TINY)
    measured = scores.to_dict()["slabs"]
    assert measured["aorta"] == 1
    assert measured["heart"] == 0
    assert measured["sternum"] is None
    assert measured["mean"] == scores.mean == 0.5
    assert measured["volumes"] == 2
    write_history(tmp_path / "dice.csv", [{"step": 5, "loss": 1.5, "dice": scores.to_dict()}])
    lines = (tmp_path / "dice.csv").read_text().splitlines()
    assert lines[0] == "step,loss,set,label,dice,volumes"
    assert "5,1.5,slabs,aorta,1.0,2" in lines
    assert "5,1.5,slabs,sternum,,2" in lines


def test_predictions_equal_the_network_on_one_window() -> None:
    example = Slabs().window(np.random.default_rng(0), 0)
    labels = predict(Oracle(), example.ct, TINY)
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, np.where(example.labels == 1, 1, 0))


def test_half_weights(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    network = Trainer(SegmentationTask(TINY, Slabs()), tmp_path, "net").network
    for half in (False, True):
        write_weights(tmp_path / "w.safetensors", network, half)
        for name, tensor in load_file(tmp_path / "w.safetensors").items():
            assert tensor.dtype == (torch.float16 if half else torch.float32)
            assert torch.allclose(tensor.float(), network.state_dict()[name], rtol=2e-3, atol=1e-6)
