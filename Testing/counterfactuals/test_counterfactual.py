"""A counterfactual from command line and Python to its folder and back, and what cannot be asked."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import Agg2ExpLib as agg2exp
from Agg2ExpLib.commands.cli import main
from Agg2ExpLib.counterfactuals.outcome import Counterfactual, curve_text
from Agg2ExpLib.counterfactuals.read import is_counterfactual, read_counterfactual
from Agg2ExpLib.errors import InputError
from Agg2ExpLib.inference.compute import Compute
from Agg2ExpLib.io.read import read_volume
from Agg2ExpLib.io.write import write_volume
from support.autoencoders import exact_autoencoder, write_exact_autoencoder
from support.networks import CT_AFFINE, random_network, small_chest

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_exact_autoencoder(tmp_path_factory.mktemp("autoencoder"))


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, small_ct: Path, small_weights: Path, autoencoder: Path, small_lesion: Path
) -> Path:
    output = tmp_path_factory.mktemp("answer") / "heart"
    command = ["counterfactual", "--ct", str(small_ct), "--weights", str(small_weights), "--label", "heart", "--frames", "3"]
    command += ["--autoencoder", str(autoencoder), "--extra-rois", f"{small_lesion}:left,right", "--patient-id", "p1"]
    assert main([*command, "--output", str(output), "--device", "cpu", "--no-picture"]) == 0
    return output


def test_the_folder_holds_the_way_and_what_it_did(folder: Path) -> None:
    assert is_counterfactual(folder)
    run = json.loads((folder / "run.json").read_text())
    assert run["task"] == "counterfactual"
    assert run["target"] == {"kind": "label", "name": "heart"}
    assert run["patient"] == "p1"
    assert "chest" not in json.dumps(run["ct"])
    with (folder / "curve.csv").open() as file:
        curve = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    amounts = [row["lambda"] for row in curve]
    assert amounts == sorted(amounts)
    zero = amounts.index(0)
    outputs = [row["output"] for row in curve]
    assert outputs == sorted(outputs)  # less to the left, more to the right
    assert outputs[0] < outputs[zero] < outputs[-1]
    assert curve[0]["heart_ml"] < curve[zero]["heart_ml"]
    assert all(row["change_percent"] <= 5 for row in curve)
    for number, row in enumerate(curve):
        frame = read_volume(folder / "frames" / f"{number:02d}.nrrd")
        drawn = read_volume(folder / "segmentations" / f"{number:02d}.nii.gz")
        assert frame.array.dtype == np.int16
        assert row["heart_ml"] == pytest.approx((drawn.array == 2).sum() * 0.216, abs=1e-6)
    # what the exact autoencoder gives back is the CT
    back, ct = read_volume(folder / "frames" / f"{zero:02d}.nrrd").array, read_volume(folder / "ct.nii.gz").array
    assert np.abs(back - ct.clip(-1024, 1024)).max() <= 1
    with (folder / "reconstruction.csv").open() as file:
        told = {(row["what"], row["name"]): row["value"] for row in csv.DictReader(file)}
    assert float(told["dice", "heart"]) == 1
    assert float(told["hu_error", "lung"]) < 0.01
    assert not list(folder.glob("*.gif"))


def test_differences_and_their_importance_by_region(folder: Path) -> None:
    found = read_counterfactual(folder)
    assert found.matrix.rows == ("less", "more")
    assert found.matrix.extra == ("left", "right")
    assert set(found.extra_rois) == {"left", "right"}
    difference = np.asarray(found.differences["less"])
    first, zero = found.steps[0], found.start
    np.testing.assert_allclose(difference, first.hu.astype(float) - zero.hu, atol=1.01)
    heart = found.drawn == 2
    share = np.abs(difference[heart]).sum() / np.abs(difference).sum()
    assert found.matrix.mass[0, found.matrix.columns.index("heart")] == pytest.approx(share, rel=1e-4)
    less = [step.hu.astype(float) for step in found.steps if step.amount <= 0]
    path = np.mean([np.abs(b - a) for a, b in itertools.pairwise(less)], axis=0)
    np.testing.assert_allclose(found.paths["less"], path, atol=1.01)
    assert curve_text(found.steps) == (folder / "curve.csv").read_text()


def test_pictures_of_a_folder(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", str(folder), "--output", str(tmp_path / "views")]) == 0
    pictures = [tmp_path / "views" / f"counterfactual.{kind}" for kind in ("png", "gif")]
    assert capsys.readouterr().out.split() == [str(path) for path in pictures]
    with Image.open(pictures[0]) as strip:
        assert np.asarray(strip.convert("HSV"))[..., 1].max() > 150  # outlines and differences are in colour
    with Image.open(pictures[1]) as moving:
        assert moving.n_frames == 2 * 6  # there and back, both ends once


def test_it_is_not_taken_for_an_explanation(folder: Path, tmp_path: Path) -> None:
    for read in (agg2exp.Result.open, agg2exp.importance):
        with pytest.raises(InputError, match="is a counterfactual, no explanation"):
            read(folder, *(["x.nrrd"] if read is agg2exp.importance else []))
    with pytest.raises(InputError, match="is no counterfactual"):
        read_counterfactual(tmp_path)


@pytest.fixture(scope="module")
def classifier() -> agg2exp.Model:
    """Says "dense" of a CT that is dense in a box, and knows nothing else."""

    class Dense(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = torch.nn.Parameter(torch.tensor(8.0), requires_grad=False)

        def forward(self, volumes: torch.Tensor) -> torch.Tensor:
            value = self.gain * (volumes[:, 0, 14:20, 10:16, 15:20].mean(dim=(1, 2, 3)) - 0.5)
            return torch.stack([-value, value], 1)

    return agg2exp.Model(Dense().eval(), ["light", "dense"], spacing=(6, 6, 6), hu_window=(-1024, 1024), task="classification")


def ask(model: agg2exp.Model, target: str, **more: object) -> Counterfactual:
    ct = agg2exp.Volume(small_chest(), np.diag([6.0, 6, 6, 1]), "chest")
    return agg2exp.counterfactual(ct, model, target, autoencoder=more.pop("autoencoder", exact_autoencoder()), device="cpu", **more)


def test_a_class_that_depends_on_one_region_changes_there_alone(classifier: agg2exp.Model, small_weights: Path) -> None:
    box = np.zeros((34, 28, 40), bool)
    box[14:20, 10:16, 15:20] = True
    found = ask(classifier, "dense", frames=2, end=30, smooth=0, regions={"box": box}, segmenter=small_weights)
    for direction, sign in (("less", -1), ("more", 1)):
        inside = found.matrix.mass[found.matrix.rows.index(direction), found.matrix.columns.index("box")]
        assert inside == pytest.approx(1, abs=1e-6)
        assert sign * found.differences[direction][box].mean() > 0
    assert [step.amount for step in found.steps] == pytest.approx([-30, -15, 0, 15, 30])
    assert found.steps[0].probability < found.start.probability < found.steps[-1].probability
    assert found.start.volumes["lung"] > 0
    assert found.run["segmenter"]["name"] == "small"
    assert "Dense: output" in str(found)


def test_without_a_segmenter_there_are_no_volumes(
    classifier: agg2exp.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_itself = Compute(torch.device("cpu"), torch.float32, torch.bfloat16, by_itself=True)  # as on a GPU
    monkeypatch.setattr("Agg2ExpLib.api.counterfactual.choose_compute", lambda *_: by_itself)
    found = ask(classifier, "dense", direction="less", frames=1, end=5, slices=(16, 17))
    assert found.run["precision"] == "float32", "that which was computed in"
    assert found.drawn is None
    again = read_counterfactual(found.save(tmp_path / "dense"))
    assert again.to_frame().columns.tolist() == ["frame", "lambda", "output", "probability", "change_percent", "mean_abs_hu"]
    assert not np.delete(again.differences["less"], [16, 17], axis=2).any()
    assert again.differences["less"][..., 16].any()
    with pytest.raises(InputError, match="exists already"):
        found.save(tmp_path / "dense")
    found.save(tmp_path / "dense", overwrite=True)


def test_what_cannot_be_asked_gets_one_sentence(classifier: agg2exp.Model, small_weights: Path, tmp_path: Path) -> None:
    model = agg2exp.Model.load(small_weights)
    coarse, soft = exact_autoencoder(9.0), write_exact_autoencoder(tmp_path, hu_window=[-200, 300])
    wrong = [
        (model, "hart", {}, "did you mean 'heart'"),
        (model, "vessel", {}, "draws no 'vessel' on this CT as the autoencoder gives it back"),
        (model, "heart", {"end": 0.0}, "A λ of 0 changes nothing"),
        (model, "heart", {"slices": (30, 40)}, "The CT has 40 slices"),
        (model, "heart", {"slices": (5, 3)}, "FIRST:LAST"),
        (model, "heart", {"autoencoder": model}, "needs an autoencoder, but small is a segmentation network"),
        (model, "heart", {"autoencoder": coarse}, "was made for slices of 9 x 9 mm"),
        (model, "heart", {"autoencoder": soft}, "gives back -200 to 300 HU, but small sees -1024 to 1024 HU"),
        (model, "heart", {"segmenter": model}, "draws its own regions"),
        (model, "heart", {"smooth": -1.0}, "smooth must be from 0 to 100 mm"),
        (model, "heart", {"direction": "up"}, "Unknown direction"),
        (model, "heart", {"frames": 0}, "frames must be from 1"),
        (exact_autoencoder(), "heart", {}, "needs a segmentation network, but exact is an autoencoder"),
        (classifier, "dense", {"target_mask": np.ones((34, 28, 40))}, "whose output has no voxels"),
        (classifier, "dense", {"objective": "volume"}, "draws no volume"),
        (classifier, "dense", {"segmenter": exact_autoencoder()}, "needs a segmentation network"),
    ]
    for asked, target, more, said in wrong:
        with pytest.raises(InputError, match=said) as caught:
            ask(asked, target, **more)
        assert "\n" not in str(caught.value)


def test_a_certain_class_and_an_output_that_does_not_move_are_told(classifier: agg2exp.Model) -> None:
    certain = agg2exp.Model(classifier.network, classifier.card, name="certain")
    certain.network.gain.data.fill_(400.0)
    try:
        with pytest.raises(InputError, match=r"certain already that way: the probability of 'light' is above 0\.95"):
            ask(certain, "light", direction="more")
    finally:
        certain.network.gain.data.fill_(8.0)
    still = agg2exp.Model(_Constant().eval(), ["a", "b"], spacing=(6, 6, 6), hu_window=(-1024, 1024), task="classification")
    with pytest.raises(InputError, match="does not depend on the CT here"):
        ask(still, "a")


class _Constant(torch.nn.Module):
    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        return 0 * volumes.mean(dim=(1, 2, 3, 4))[:, None].expand(-1, 2)


def test_a_label_appears_where_it_is_drawn_to(small_weights: Path) -> None:
    wanted = np.zeros((34, 28, 40), bool)
    wanted[8:14, 10:16, 15:20] = True
    found = ask(agg2exp.Model.load(small_weights), "heart", direction="more", frames=1, target_mask=wanted)
    assert found.target_mask is not None
    last = found.steps[-1]
    assert last.probability > found.start.probability
    assert (last.drawn[wanted] == 2).sum() > (found.start.drawn[wanted] == 2).sum()


def test_a_coarser_model_is_answered_on_the_autoencoders_grid(small_weights: Path) -> None:
    found = ask(agg2exp.Model.load(small_weights), "heart", direction="less", frames=1, end=20, autoencoder=exact_autoencoder(4.0))
    assert found.grid.spacing == pytest.approx((4, 4, 4))
    assert found.steps[0].hu.shape == found.drawn.shape == found.differences["less"].shape == found.grid.shape
    assert found.steps[0].output < found.start.output
    assert found.steps[0].volumes["heart"] < found.start.volumes["heart"]
    assert "finer grid" in found.run["notices"][-1]


def test_a_stop_ends_it(classifier: agg2exp.Model) -> None:
    class Stopping(agg2exp.Monitor):
        def progress(self, stage: str, fraction: float, message: str = "", eta_s: float | None = None) -> None:
            if stage == "less":
                self.stop()

    with pytest.raises(agg2exp.Cancelled):
        ask(classifier, "dense", monitor=Stopping())


def test_wrong_kind_of_target_on_the_command_line(
    small_ct: Path, small_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["counterfactual", "--ct", str(small_ct), "--weights", str(small_weights), "--class", "heart"]
    assert main([*command, "--output", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err == "agg2exp: small is a segmentation network: name what is to change with --label.\n"
    assert not (tmp_path / "none").exists()


def test_a_ct_smaller_than_a_window_is_padded(tmp_path: Path, autoencoder: Path) -> None:
    write_volume(tmp_path / "thin.nii.gz", small_chest((20, 18, 5)), CT_AFFINE)
    model = agg2exp.Model(random_network(3).float(), ["background", "a", "b"], spacing=(6, 6, 6), roi_size=(16, 16, 16))
    found = agg2exp.counterfactual(
        tmp_path / "thin.nii.gz", model, "b", autoencoder=autoencoder, direction="less", frames=1, end=2, device="cpu"
    )
    assert found.steps[0].output < found.start.output
