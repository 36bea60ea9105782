"""The Python API: the same numbers as the command line, from anything people have in memory."""

import json
import logging
import subprocess
import sys
from dataclasses import dataclass, replace

import nibabel
import numpy as np
import pytest
import SimpleITK
import torch
from monai.data import MetaTensor
from monai.networks.nets import BasicUNet

import Agg2ExpLib as agg2exp
from Agg2ExpLib.attribution.methods import METHODS, Registry
from Agg2ExpLib.commands.cli import main
from Agg2ExpLib.inference.network import check_frozen
from Agg2ExpLib.io.write import write_volume
from Agg2ExpLib.runs.results import Results
from support.networks import CT_AFFINE, small_chest
from support.paths import ROOT

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.xdist_group("api")]
NAMES = ["background", "lung", "heart"]
SETTINGS = {"spacing": (6, 6, 6), "roi_size": 32}
# One window of so few channels goes another way through torch, which takes four times as long as two in a batch.
FAST = {"device": "cpu", "window_batch": 2}


def own_network() -> torch.nn.Module:
    torch.manual_seed(5)
    return BasicUNet(3, 1, 3, features=(8, 8, 16, 16, 16, 8)).eval()


@pytest.fixture(scope="module")
def model() -> agg2exp.Model:
    return agg2exp.Model(own_network(), NAMES, **SETTINGS)


@pytest.fixture(scope="module")
def result(model) -> agg2exp.Result:
    return agg2exp.explain((small_chest(), CT_AFFINE), model, ["lung", "heart"], samples=4, **FAST)


def test_the_example_of_ten_lines_gives_the_numbers_of_the_command_line(tmp_path, warm_python):
    script = ROOT / "examples" / "own_network.py"
    text = script.read_text(encoding="utf-8")
    code = [line for line in text.splitlines() if line.strip() and not line.startswith(("#", '"""'))]
    assert len(code) <= 10
    write_volume(tmp_path / "chest.nii.gz", small_chest((24, 20, 36)), CT_AFFINE, compress=True)
    torch.save(own_network().state_dict(), tmp_path / "network.pt")
    network = {"class": "BasicUNet", "out_channels": 3, "features": [8, 8, 16, 16, 16, 8]}
    card = {"labels": NAMES, "spacing": 6, "hu_window": [-1024, 1024], "roi_size": 32, "network": network}
    (tmp_path / "network.json").write_text(json.dumps(card))
    done = subprocess.run([warm_python, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "heart" in done.stdout
    assert (tmp_path / "heart.png").stat().st_size > 10_000
    words = ["--ct", str(tmp_path / "chest.nii.gz"), "--weights", str(tmp_path / "network.pt"), "--labels", "lung,heart"]
    assert main(["explain", *words, "--samples", "5", "--output", str(tmp_path / "command")]) == 0
    python, command = Results.open(tmp_path / "result"), Results.open(tmp_path / "command")
    assert (tmp_path / "result/roi_importance.csv").read_text() == (tmp_path / "command/roi_importance.csv").read_text()
    assert np.nanmax(command.importance().standard_error) > 0
    for name in ("lung", "heart"):
        np.testing.assert_array_equal(python.attribution(name).array, command.attribution(name).array)
    kept = ("ct", "explained", "absent", "parameters", "model_grid", "labels", "notices", "windows", "precision")
    assert {key: python.run[key] for key in kept} == {key: command.run[key] for key in kept}


def test_import_is_light_and_complete():
    code = "import sys, Agg2ExpLib; assert not {'numpy', 'torch', 'pandas'} & set(sys.modules)\n"
    code += "[getattr(Agg2ExpLib, name) for name in Agg2ExpLib.__all__]; import Agg2ExpLib.roi_importance.matrix\n"
    code += "assert all(callable(getattr(Agg2ExpLib, name)) for name in ('importance', 'cohort', 'evaluate'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="no attribute 'explane'"):
        _ = agg2exp.explane


def test_every_kind_of_ct_is_the_same_ct(tmp_path):
    hu = small_chest().astype(np.int16)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ CT_AFFINE
    itk = SimpleITK.GetImageFromArray(hu.transpose())
    itk.SetSpacing(np.linalg.norm(lps[:3, :3], axis=0).tolist())
    itk.SetDirection((lps[:3, :3] / np.linalg.norm(lps[:3, :3], axis=0)).ravel().tolist())
    itk.SetOrigin(lps[:3, 3].tolist())
    image = nibabel.Nifti1Image(hu, CT_AFFINE)
    nibabel.save(image, tmp_path / "ct.nii.gz")
    sources = [(hu, CT_AFFINE), image, itk, MetaTensor(torch.from_numpy(hu)[None], affine=torch.from_numpy(CT_AFFINE))]
    for source in (*sources, tmp_path / "ct.nii.gz", agg2exp.read_ct(hu, CT_AFFINE)):
        found = agg2exp.read_ct(source)
        np.testing.assert_array_equal(found.array, hu)
        np.testing.assert_allclose(found.affine, CT_AFFINE, atol=1e-4)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (np.zeros((4, 4, 4)), "give its affine"),
        ((np.zeros((4, 4)), np.eye(4)), "must be 3D"),
        ((np.zeros((4, 4, 4)), np.zeros((4, 4))), "affine must be"),
        ((np.zeros((4, 4, 4), dtype=complex), np.eye(4)), "must hold numbers"),
        ((np.full((4, 4, 4), np.nan), np.eye(4)), "NaN"),
        ({"ct": 1}, "Cannot read a dict"),
    ],
)
def test_what_is_no_ct_is_refused(source, words):
    with pytest.raises(agg2exp.InputError, match=words):
        agg2exp.read_ct(source)


def test_a_network_in_training_mode_is_refused():
    with pytest.raises(agg2exp.InputError, match=r"training mode.*eval\(\)"):
        agg2exp.Model(own_network().train(), NAMES, **SETTINGS)
    model = agg2exp.Model(own_network(), NAMES, **SETTINGS)
    model.network.train()
    with pytest.raises(agg2exp.InputError, match="training mode"):
        agg2exp.segment((small_chest(), CT_AFFINE), model, device="cpu")


def test_the_network_is_left_as_it_was():
    network = own_network()
    frozen = next(network.parameters()).requires_grad_(False)
    with pytest.raises(agg2exp.InputError, match="require gradients"):
        check_frozen(network)
    model = agg2exp.Model(network, NAMES, **SETTINGS)
    options = {"method": "gradient", "device": "cpu"}
    agg2exp.explain((small_chest(), CT_AFFINE), model, "heart", precision="float64", **options)
    assert not frozen.requires_grad
    assert sum(not weight.requires_grad for weight in network.parameters()) == 1
    assert {weight.dtype for weight in network.parameters()} == {torch.float32}


class Odd(torch.nn.Module):
    """Returns what no segmentation network should."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    def forward(self, x):
        return {"tuple": (x, x), "half": x[..., ::2].expand(-1, 3, -1, -1, -1), "one": x}[self.what]


@pytest.mark.parametrize(
    ("what", "words"), [("tuple", "returns a tuple"), ("half", "the same size"), ("one", "1 output channels, but")]
)
def test_outputs_that_are_no_logits_are_refused(what, words):
    model = agg2exp.Model(Odd(what).eval(), NAMES, **SETTINGS)
    with pytest.raises(agg2exp.InputError, match=words):
        agg2exp.segment((small_chest(), CT_AFFINE), model, device="cpu")


def test_bad_questions_are_refused(model):
    ct = (small_chest(), CT_AFFINE)
    with pytest.raises(agg2exp.InputError, match="did you mean 'samples'"):
        agg2exp.explain(ct, model, "heart", sample=5)
    with pytest.raises(agg2exp.InputError, match="samples must be a whole number"):
        agg2exp.explain(ct, model, "heart", samples="five")
    with pytest.raises(agg2exp.InputError, match="did you mean 'heart'"):
        agg2exp.explain(ct, model, "hart")
    with pytest.raises(agg2exp.InputError, match=r"is an array of shape \(2, 2, 2\)"):
        agg2exp.explain(ct, model, "heart", regions={"a": np.ones((2, 2, 2))}, method="gradient")
    with pytest.raises(agg2exp.InputError, match="two regions named 'lung'"):
        agg2exp.explain(ct, model, "heart", regions={"lung": np.ones(small_chest().shape)}, method="gradient")
    with pytest.raises(agg2exp.InputError, match=r"needs a torch\.nn\.Module"):
        agg2exp.Model("weights.pt", NAMES)


def test_result_saved_and_opened_again(result, tmp_path):
    folder = result.save(tmp_path / "r")
    again = agg2exp.Result.open(folder)
    np.testing.assert_array_equal(again.segmentation, result.segmentation)
    np.testing.assert_allclose(again.affine, result.affine)
    assert again.run == result.run
    assert list(again.maps) == list(result.maps) == ["lung", "heart"]
    for name, attribution in result.maps.items():
        np.testing.assert_array_equal(again.maps[name], attribution)
    np.testing.assert_allclose(again.matrix.to_frame(), result.matrix.to_frame(), rtol=1e-12)
    assert str(again) == str(result)
    with pytest.raises(agg2exp.InputError, match="exists already"):
        result.save(folder)
    assert agg2exp.Result.open(result.save(folder, overwrite=True)).patient == "ct"


def test_frames(result):
    mass = result.matrix.to_frame()
    assert list(mass.index) == ["lung", "heart"]
    assert list(mass.columns) == NAMES
    np.testing.assert_allclose(mass.sum(axis=1), 1)
    tidy = result.matrix.to_frame("tidy").set_index(["label", "roi"])
    assert tidy.loc[("heart", "lung"), "mass"] == mass.loc["heart", "lung"]
    assert tidy.loc[("heart", "lung"), "standard_error"] == result.matrix.to_frame("standard_error").loc["heart", "lung"] > 0
    with pytest.raises(ValueError, match="no variant"):
        result.matrix.to_frame("mas")


def test_regions_now_or_later(result, model):
    mask = np.zeros(small_chest().shape, dtype=bool)
    mask[5:15, 8:20, 10:30] = True
    ct = (small_chest(), CT_AFFINE)
    now = agg2exp.explain(ct, model, ["lung", "heart"], samples=4, regions={"box": mask}, **FAST)
    later = agg2exp.importance(result, {"box": (mask.astype(np.uint8), CT_AFFINE)})
    np.testing.assert_allclose(later.matrix.mass, now.matrix.mass, rtol=1e-6)
    assert later.matrix.extra == ("box",)
    assert result.matrix.extra == (), "the given result stays as it was"
    assert 0 < later.matrix.to_frame().loc["heart", "box"] < 1


def test_a_drawn_target(model):
    mask = np.zeros(small_chest().shape, dtype=bool)
    mask[10:20, 8:20, 10:30] = True
    found = agg2exp.explain((small_chest(), CT_AFFINE), model, "heart", "gradient", target_mask=mask, **FAST)
    assert found.target_mask.sum() > 100
    assert found.run["target_mask"]


def test_notices_go_to_the_log(model, caplog):
    with caplog.at_level(logging.WARNING, logger="agg2exp"):
        found = agg2exp.segment((small_chest() * 0.1, CT_AFFINE), model, device="cpu")
    assert "do not look like Hounsfield units" in caplog.text
    assert any("Hounsfield" in notice for notice in found.notices)
    assert found.matrix is None
    assert "segmented in" in str(found)


def test_cohort_and_evaluation_from_memory(result, model, tmp_path):
    others = [result, replace(result, run={**result.run, "patient": "second"})]
    summary = agg2exp.cohort(others, resamples=100)
    assert summary.cohort.patients == ("ct", "second")
    np.testing.assert_allclose(summary.overall.mass, result.matrix.best())
    agg2exp.cohort(others, tmp_path / "cohort", resamples=100)
    assert (tmp_path / "cohort" / "global_importance.csv").is_file()
    with pytest.raises(agg2exp.InputError, match="no option 'samples'"):
        agg2exp.cohort(others, samples=2)
    found = agg2exp.evaluate(
        {"a": (small_chest(), CT_AFFINE)}, model, "gradient", ["heart"], runs=4, subset_voxels=500, copies=1, **FAST
    )
    assert {row.metric for row in found.rows} >= {"faithfulness", "sensitivity", "complexity"}
    assert not found.failures
    alone = agg2exp.evaluate((small_chest(), CT_AFFINE), model, "gradient", ["heart"], metrics=("complexity",), **FAST)
    assert {row.patient for row in alone.rows} == {"ct"}


@dataclass
class Brightness(agg2exp.Method):
    """A method of somebody else: the image times the label's mask."""

    name = "brightness"
    title = "Brightness"
    summary = "The image inside the label."
    when = "Never: it is an example."

    power: float = agg2exp.parameter(1.0, "exponent of the intensity")

    def explain(self, request):
        image = request.image.to(request.engine.compute.dtype)
        return {target.name: image**self.power * torch.from_numpy(target.mask) for target in request.engine.targets}


def test_a_method_of_ones_own(model, monkeypatch):
    monkeypatch.setattr(METHODS, "_methods", dict(METHODS._methods))
    assert agg2exp.register(Brightness) is Brightness
    agg2exp.register(Brightness)  # as a notebook that runs a cell again does
    assert agg2exp.methods()["brightness"] is Brightness
    found = agg2exp.explain((small_chest(), CT_AFFINE), model, "heart", "brightness", power=2.0, device="cpu")
    assert found.matrix.to_frame().loc["heart", "heart"] == 1
    assert found.run["parameters"]["power"] == 2.0


def test_registration_refuses_what_would_break():
    registry = Registry(tuple(METHODS.values()))

    @dataclass
    class SameName(Brightness):
        name = "gradient"

    @dataclass
    class Reserved(Brightness):
        name = "reserved"
        overlap: float = agg2exp.parameter(0.5, "taken")

    @dataclass
    class OtherKind(Brightness):
        name = "other_kind"
        samples: float = agg2exp.parameter(0.5, "a number")

    for method, words in ((SameName, "a method gradient already"), (Reserved, "'overlap'"), (OtherKind, "elsewhere int")):
        with pytest.raises(ValueError, match=words):
            registry.add(method)
    with pytest.raises(TypeError, match="is no method"):
        registry.add(int)


def test_entry_points_of_other_packages(tmp_path):
    (tmp_path / "their_methods.py").write_text(
        "from dataclasses import dataclass\nfrom Agg2ExpLib.attribution.gradient import Gradient\n"
        "@dataclass\nclass Theirs(Gradient):\n    name = 'theirs'\n    title = 'Theirs'\n"
    )
    info = tmp_path / "their_methods-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-methods\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[agg2exp.methods]\ntheirs = their_methods:Theirs\nbroken = no_such_module:Nothing\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport Agg2ExpLib as a; print(list(a.methods()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "'theirs'" in done.stdout
    assert "'broken'" in done.stderr, "what cannot be used is said, and the other methods stay"
