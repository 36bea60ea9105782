"""Training of slice autoencoders: it learns, measures HU by tissue, and the command writes weights that load."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from Agg2ExpLib.commands.cli import main
from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io.write import write_volume
from Agg2ExpLib.models.autoencoders import new_autoencoder
from Agg2ExpLib.models.model import load_model
from Agg2ExpLib.training import slices_source
from Agg2ExpLib.training.preparation import prepare
from Agg2ExpLib.training.reconstruction import TISSUES, Errors, errors_of, give_back
from Agg2ExpLib.training.settings import TrainSettings
from Agg2ExpLib.training.slices_source import CtFile, SlicesSource, find_cts

pytestmark = pytest.mark.usefixtures("one_thread")
AFFINE = np.diag([6.0, 6.0, 6.0, 1.0])


def chest(seed: int) -> np.ndarray:
    """A soft body in air, with a lighter and a denser part."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(30), np.arange(26), indexing="ij")
    body = (((x - 15) / 12) ** 2 + ((y - 13) / 10) ** 2 < 1)[..., None]
    hu = np.where(body, 40.0, -1000.0) * np.ones(12)
    hu[8:13, 9:17] = -850
    hu[18:21, 9:12] = 400
    return (hu + rng.normal(0, 5, hu.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def cts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cts")
    for number in range(3):
        write_volume(folder / f"chest{number}.nii.gz", chest(number), AFFINE, compress=True)
    return folder


def test_the_command_trains_measures_and_writes_what_loads(cts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = '{"channels": [8, 8], "latent_channels": 4, "blocks": [1, 1]}'
    command = f"train --task autoencoder --data {cts} --validation 0.3 --spacing 6 --roi 32 32 1 --batch 4 --warmup 5".split()
    command += f"--learning-rate 5e-3 --accelerator cpu --output {tmp_path} --name slices --float16-weights".split()
    command += ["--network-options", options]
    assert main([*command, "--steps", "40", "--validate-every", "20"]) == 0
    told = capsys.readouterr().out
    assert "Mean absolute error in HU, held out (1):" in told
    with (tmp_path / "slices_hu_error.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["tissue"] == "mean"]
    assert [row["step"] for row in rows] == ["20", "40"]
    assert float(rows[1]["hu_error"]) < float(rows[0]["hu_error"])
    model = load_model(tmp_path / "slices.safetensors")
    assert model.task == "autoencoder"
    assert model.card.spacing == (6.0, 6.0, 6.0)
    assert model.card.metrics["data"] == [f"2 CTs of {cts.name}, 1 more to validate on"]
    measured = errors_of(chest(9), give_back(model.network, chest(9), (-1024, 1024)))
    assert measured[0] < 350  # without training about 700
    assert model.card.metrics["hu_error"]["held_out"]["all voxels"] == pytest.approx(measured[0], rel=0.2)


def test_slices_depend_on_nothing_but_the_seed_and_fit(cts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices_source, "_SYNTHETIC_SHAPE", (24, 24, 8))
    settings = TrainSettings(roi=(24, 40, 1), spacing=(8, 8, 8))
    source = SlicesSource(find_cts(cts), (), (), 1, settings, tmp_path, volumes=1)
    assert len(list(prepare(source))) == 4
    for seed in range(12):
        seen, wanted = source.slice(np.random.default_rng(seed))
        again, _ = source.slice(np.random.default_rng(seed))
        assert seen.shape == wanted.shape == (24, 40, 1)
        np.testing.assert_array_equal(seen, again)
        assert np.abs(seen - wanted).max() < 150  # the noise that was added
    assert {group for group, _, _ in source.validation()} == {"synthetic_held_out"}
    assert source.describe()["licence"] is None  # the user's to state


def test_errors_are_told_by_tissue() -> None:
    hu = np.array([-1000.0, -800, -100, 0, 50, 300])
    measured = errors_of(hu, hu + np.array([1, 2, 3, 4, 6, 7]))
    np.testing.assert_allclose(measured, [23 / 6, 1, 2, 3, 5, 7])
    nothing = errors_of(np.zeros(3), np.ones(3))
    assert np.isnan(nothing[1:]).tolist() == [name != "soft tissue" for name in TISSUES]
    both = Errors({"a": np.stack([measured, nothing])})
    assert both.mean == pytest.approx((1 + 2 + 3 + 5 + 7 + 1) / 6)
    assert both.to_dict()["a"]["soft tissue"] == 3.0
    assert np.isnan(Errors({}).mean)


def test_what_cannot_be_trained_on_gets_one_sentence(cts: Path, tmp_path: Path) -> None:
    (tmp_path / "cts.csv").write_text(f"ct\n{cts}/none.nii.gz\n")
    with pytest.raises(InputError, match="which does not exist"):
        find_cts(tmp_path / "cts.csv")
    (tmp_path / "twice.csv").write_text(f"ct\n{cts}/chest0.nii.gz\n{cts}/chest0.nii.gz\n")
    with pytest.raises(InputError, match="the CT 'chest0' twice"):
        find_cts(tmp_path / "twice.csv")
    (tmp_path / "twice.csv").write_text(f"ct,patient\n{cts}/chest0.nii.gz,p\n{cts}/chest1.nii.gz,p\n")
    assert [ct.name for ct in find_cts(tmp_path / "twice.csv")] == ["p", "p"]
    for content, sentence in ((b"\xff\xfec\0", "Cannot read the table"), (b"ct,x\n,1\n", "nothing in the column ct")):
        (tmp_path / "bad.csv").write_bytes(content)
        with pytest.raises(InputError, match=sentence):
            find_cts(tmp_path / "bad.csv")
    (tmp_path / "other.csv").write_text("image\nx\n")
    with pytest.raises(InputError, match="lacks the column ct"):
        find_cts(tmp_path / "other.csv")
    with pytest.raises(InputError, match="nothing to train on"):
        SlicesSource((), (), (), 0, TrainSettings(), tmp_path)
    with pytest.raises(InputError, match="equal sides"):
        SlicesSource([CtFile("a", cts)], (), (), 0, TrainSettings(spacing=(1, 2, 3)), tmp_path)


def test_a_patients_name_leads_nowhere(cts: Path, tmp_path: Path) -> None:
    table, cache = tmp_path / "t.csv", tmp_path / "a" / "cache"
    table.write_text(f"ct,patient\n{cts}/chest0.nii.gz,../../x\n{cts}/chest1.nii.gz,b/c\n")
    source = SlicesSource(find_cts(table), (), (), 0, TrainSettings(roi=(24, 24, 1), spacing=(12, 12, 12)), cache)
    assert list(prepare(source)) == ["../../x", "b/c"]
    assert {path.parent for path in tmp_path.rglob("*.npy")} == {cache}


@pytest.mark.parametrize("setting", [{"channels": [4.5]}, {"channels": "ab"}, {"blocks": None}, {"axis": 1.0}, {"axis": True}])
def test_settings_of_another_type_get_one_sentence(setting: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"all whole|axis of slices"):
        new_autoencoder({"class": "SliceAutoencoder", **setting})
