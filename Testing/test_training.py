"""Training: it learns, goes on after an interruption as if nothing had happened, and writes weights that load."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from Agg2ExpLib import synthetic, training
from Agg2ExpLib.errors import InputError
from Agg2ExpLib.labels import PAPER_LABELS
from Agg2ExpLib.model import load_model

# Not more than needed to make the bottleneck more than one voxel.
TINY = training.Settings(
    seed=3,
    steps=12,
    learning_rate=5e-3,
    warmup=2,
    roi=(32, 32, 64),
    network={"feature_size": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 1, 1]},
)
DEMO = Path(__file__).parents[1] / "Agg2ExpModule" / "Resources" / "Demo"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums in one order, and no waiting for busy cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def draw(rng: np.random.Generator) -> synthetic.Example:
    """Three slabs of different HU with noise: easy to learn."""
    labels = np.zeros(TINY.roi, np.uint8)
    labels[:, 10:20], labels[:, 20:] = 1, 8
    return synthetic.Example((labels * 100.0 - 500 + rng.normal(0, 20, TINY.roi)).astype(np.float32), labels)


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_the_loss_falls(tmp_path: Path) -> None:
    trainer = training.Trainer(TINY, draw, tmp_path / "state.pt")
    losses = [trainer.train_step() for _ in range(6)]
    assert losses[-1] < 0.9 * losses[0]
    assert trainer.progress == 0.5
    assert trainer.skipped == 0


def test_interrupted_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    settings = replace(TINY, steps=3)
    straight = training.Trainer(settings, draw, tmp_path / "straight.pt")
    straight.run(save_every=100, report=lambda line: None)
    first = training.Trainer(settings, draw, tmp_path / "parts.pt")
    first.train_step()
    first.save()
    first.train_step()  # lost: the interruption comes before it is saved
    second = training.Trainer(settings, draw, tmp_path / "parts.pt")
    assert second.step == 1
    reports: list[str] = []
    second.run(save_every=1, report=reports.append)
    assert second.step == straight.step == 3
    assert [line.split(":")[0] for line in reports] == ["step 2", "step 3"]
    assert same(straight.network, second.network)
    assert not same(straight.network, first.network)


def test_a_window_without_finite_gradient_changes_nothing(tmp_path: Path) -> None:
    def broken(rng: np.random.Generator) -> synthetic.Example:
        example = draw(rng)
        return synthetic.Example(np.full_like(example.ct, np.nan), example.labels)

    trainer = training.Trainer(TINY, broken, tmp_path / "state.pt")
    before = training.Trainer(TINY, draw, tmp_path / "other.pt").network
    trainer.train_step()
    assert trainer.skipped == 1
    assert same(trainer.network, before)
    trainer.skipped = 100
    with pytest.raises(FloatingPointError, match="no finite gradient"):
        trainer.run()


def test_bfloat16_keeps_the_bottleneck_in_float32(tmp_path: Path) -> None:
    trainer = training.Trainer(replace(TINY, bfloat16=True), draw, tmp_path / "state.pt")
    seen = []
    bottleneck, decoder = trainer.network.get_submodule("encoder10.layer"), trainer.network.get_submodule("decoder1")
    bottleneck.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    decoder.conv_block.conv1.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))  # type: ignore[union-attr]
    assert np.isfinite(trainer.train_step())
    assert seen == [torch.float32, torch.bfloat16]


def test_checkpoints_of_other_networks_are_refused(tmp_path: Path) -> None:
    trainer = training.Trainer(TINY, draw, tmp_path / "state.pt")
    trainer.save()
    other = replace(TINY, network=TINY.network | {"feature_size": 24})
    with pytest.raises(InputError, match="another network"):
        training.Trainer(other, draw, tmp_path / "state.pt")
    whole = (tmp_path / "state.pt").read_bytes()
    (tmp_path / "state.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged"):
        training.Trainer(TINY, draw, tmp_path / "state.pt")


def test_the_learning_rate_rises_and_falls(tmp_path: Path) -> None:
    trainer = training.Trainer(replace(TINY, steps=4, warmup=2), draw, tmp_path / "state.pt")
    rates = []
    for trainer.step in range(4):
        rates.append(trainer.learning_rate)
    assert 0 < rates[0] < rates[1] > rates[2] > rates[3] > 0
    late = training.Trainer(replace(TINY, minutes=1.0), draw, tmp_path / "state.pt")
    late.seconds = 45.0
    assert late.progress == 0.75


def test_dice() -> None:
    reference = np.array([0, 1, 1, 1, 2, 0])
    prediction = np.array([1, 1, 1, 0, 3, 0])
    scores = training.dice(prediction, reference)
    assert scores[1] == pytest.approx(2 * 2 / 6)
    assert scores[2] == 0
    assert np.isnan(scores[[0, 3]]).all()  # background, and a label that is not there


def test_measured_dice_leaves_absent_labels_out() -> None:
    example = draw(np.random.default_rng(0))

    class Oracle(torch.nn.Module):
        """Right about label 1, blind to label 8."""

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            logits = torch.zeros(image.shape[0], len(PAPER_LABELS), *image.shape[2:])
            logits[:, 0] = 1
            logits[:, 1, :, 10:20] = 2
            return logits

    measured = training.measure(Oracle(), [example], TINY.roi)
    assert measured["aorta"] == 1
    assert measured["heart"] == 0
    assert measured["sternum"] is None
    assert measured["mean"] == 0.5
    assert measured["volumes"] == 1


def test_the_command_writes_weights_and_a_card_that_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--phantoms", "1", "--steps", "1", "--held-out", "1", "--threads", "1", "--output", str(tmp_path), "--name", "net"]
    assert training.main(command) == 0
    model = load_model(tmp_path / "net.safetensors")
    assert [label.name for label in model.card.labels] == [label.name for label in PAPER_LABELS]
    assert model.card.spacing == (4, 4, 4)
    assert model.card.roi_size == (64, 64, 64)
    assert model.card.hu_window == training.HU_WINDOW
    assert not model.warnings
    trained = torch.load(tmp_path / "net.checkpoint.pt", weights_only=True)["network"]
    for name, value in model.network.state_dict().items():
        assert torch.allclose(value, trained[name], rtol=2e-3, atol=1e-6), name
    card = json.loads((tmp_path / "net.json").read_text())
    assert {"network", "groups", "citation", "licence", "intended_use", "metrics"} <= set(card)
    assert card["network"]["class"] == "SwinUNETR"
    assert "Not for diagnosis" in card["intended_use"]
    [only] = card["metrics"]["training"]["runs"]
    assert only["from_step"] == 0
    assert only["command"].startswith("python -m Agg2ExpLib.training --phantoms 1 --steps 1")
    assert card["metrics"]["training"]["settings"]["steps_taken"] == 1
    assert 0 <= card["metrics"]["dice"]["phantom_held_out"]["mean"] <= 1
    assert "step 1" in capsys.readouterr().out


def test_bad_options_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert training.main(["--output", str(tmp_path)]) == 2
    assert "nothing to train on" in capsys.readouterr().err
    assert training.main(["--output", str(tmp_path), "--label-maps", str(tmp_path / "none.nii.gz")]) == 2
    assert "none.nii.gz" in capsys.readouterr().err
    for wrong in (["--steps", "0"], ["--minutes", "-1"], ["--learning-rate", "nan"]):
        with pytest.raises(SystemExit) as stop:
            training.main(["--output", str(tmp_path), *wrong])
        assert stop.value.code == 2


@pytest.mark.skipif(not (DEMO / "agg2exp_demo.safetensors").exists(), reason="the demo weights are not in place")
def test_shipped_weights_segment_the_phantom() -> None:
    model = load_model(DEMO / "agg2exp_demo.safetensors")
    assert (DEMO / "agg2exp_demo.safetensors").stat().st_size < 10e6
    assert model.card.metrics
    [example] = training.held_out_phantoms(training.Settings(), 1)
    scores = training.dice(training.predict(model.network, example.ct, model.card.roi_size), example.labels)
    assert np.nanmean(scores) > 0.5
