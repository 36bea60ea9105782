"""Classifiers explained by the engine of segmentation networks: exact against autograd, in files, refused where they do not fit."""

import json
import re

import numpy as np
import pytest
import torch

import Agg2ExpLib as agg2exp
from Agg2ExpLib.commands.cli import main
from Agg2ExpLib.errors import InputError
from Agg2ExpLib.models.model import demo_weights
from Agg2ExpLib.runs.results import Results
from support.classifiers import CLASSES, small_classifier, write_small_classifier


@pytest.fixture(scope="module")
def ct(small_ct):
    return agg2exp.read_ct(small_ct)


def model_of(network, **settings):
    return agg2exp.Model(
        network, CLASSES, task="classification", output="sigmoid", spacing=(6, 6, 6), hu_window=(-1024, 1024), **settings
    )


def logits_of(network, image):
    """By plain autograd: logits, and the gradient of each with respect to the image ``[x, y, z]``."""
    seen = torch.from_numpy(image).double()[None, None].requires_grad_()
    logits = network.double()(seen)[0]
    return logits.detach().numpy(), [torch.autograd.grad(logit, seen, retain_graph=True)[0][0, 0].numpy() for logit in logits]


@pytest.mark.parametrize("pooling", ["attention", "mean"])
def test_gradient_is_autograds(ct, pooling):
    network = small_classifier(pooling, (0, 1, 2))
    network.chunk_pixels = 4000
    model = model_of(network)
    result = agg2exp.explain(ct, model, method="gradient", precision="float64")
    image = model.card.preprocessing.prepare(ct).image
    logits, gradients = logits_of(network, image)
    for index, name in enumerate(CLASSES):
        assert np.abs(result.maps[name] - gradients[index]).max() < 1e-6 * np.abs(gradients[index]).max()
        assert result.run["classes"][index]["logit"] == pytest.approx(logits[index], abs=1e-6)
    assert network.chunk_pixels == 4000
    # The contributions of all slices, with what is the same for every CT, are the logit.
    constant = network.slice_parts(network.slice_features(torch.from_numpy(image).double()[None, None])[0])[2]
    for index in range(len(CLASSES)):
        shares = sum(axis.contribution[index].sum() for axis in result.slices.axes)
        assert shares + constant[index].item() == pytest.approx(logits[index], abs=1e-6)
    assert sum(axis.weight.sum() for axis in result.slices.axes) == pytest.approx(1)


def test_the_axioms_of_other_methods_hold(ct, small_weights):
    change = {}
    for pooling, method, options in (
        ("mean", "integrated_gradients", {"steps": 100, "baseline": "air"}),
        ("attention", agg2exp.methods()["kernel_shap"](supervoxels="cubes", regions=6, coalitions=80, baseline="air"), {}),
    ):
        network = small_classifier(pooling, (2,))
        model = model_of(network)
        result = agg2exp.explain(ct, model, ["opacity"], method, precision="float64", segmenter=small_weights, **options)
        prepared = model.card.preprocessing.prepare(ct)
        air = np.full_like(prepared.image, prepared.intensity(np.array([-1024.0]))[0])
        wanted = logits_of(network, prepared.image)[0][0] - logits_of(network, air)[0][0]
        change[pooling] = float(result.maps["opacity"].sum(dtype=np.float64)) / wanted
    assert change["attention"] == pytest.approx(1, abs=1e-5)
    assert change["mean"] == pytest.approx(1, abs=0.02)


def test_slices_are_numbered_and_placed_as_the_patient_lies(ct):
    result = agg2exp.explain(ct, model_of(small_classifier("mean", (2,))), ["opacity"], "gradient")
    axial = result.slices.along("axial")
    assert axial.axis == 2
    strongest = result.slices.strongest("opacity", "axial")[0]
    plane = np.abs(result.maps["opacity"]).sum((0, 1))
    assert strongest == plane.argmax()
    assert axial.mass[0, strongest] == pytest.approx(plane.max() / plane.sum(), rel=1e-5)
    assert axial.position_mm[strongest] == pytest.approx((result.affine @ [0, 0, strongest, 1])[2])
    assert np.isnan(result.slices.along("coronal").weight).all()
    assert np.isfinite(result.slices.along("coronal").mass).all()


def test_command_writes_what_python_finds(tmp_path, small_ct, small_weights, small_lesion, capsys):
    weights = write_small_classifier(tmp_path)
    words = [
        "explain",
        "--ct",
        str(small_ct),
        "--weights",
        str(weights),
        "--segmenter",
        str(small_weights),
        "--method",
        "smoothgrad",
    ]
    words += ["--samples", "4", "--extra-rois", f"{small_lesion}:lesion,node", "--output", str(tmp_path / "out")]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "says " in told
    assert "opacity" in told
    found = Results.open(tmp_path / "out")
    matrix, slices = found.importance(), found.slices()
    assert matrix.rows == CLASSES
    assert [label.name for label in found.classes] == list(CLASSES)
    assert matrix.columns[:3] == ("background", "lung", "heart")
    assert matrix.extra == ("lesion", "node")
    np.testing.assert_allclose(matrix.mass[:, :-2].sum(1), 1, atol=1e-6)
    assert (matrix.limit_error > 0).any()
    assert {entry["name"] for entry in found.run["labels"]} >= {"lung", "heart"}
    assert found.run["segmenter"]["name"] == "small"
    python = agg2exp.explain(
        small_ct, weights, samples=4, segmenter=small_weights, regions=[f"{small_lesion}:lesion,node"], patient_id=found.patient
    )
    np.testing.assert_allclose(python.matrix.mass, matrix.mass, atol=1e-6)
    for one, other in zip(python.slices.axes, slices.axes, strict=True):
        assert one.plane == other.plane
        np.testing.assert_allclose(one.mass, other.mass, atol=1e-6)
        np.testing.assert_allclose(one.weight, other.weight, atol=1e-6)
    again = agg2exp.Result.open(python.save(tmp_path / "again"))
    assert again.slices.to_frame().equals(python.slices.to_frame())
    wider = agg2exp.Result.open(tmp_path / "again")
    assert wider.matrix.rows == CLASSES
    with pytest.raises(agg2exp.InputError, match=f"two regions named '{CLASSES[0]}'"):
        agg2exp.importance(wider, [f"{small_lesion}:{CLASSES[0]},node2"])
    assert (
        main(
            ["importance", str(tmp_path / "out"), "--extra-rois", f"{small_lesion}:{CLASSES[0]},n", "--output", str(tmp_path / "w")]
        )
        == 2
    )


def test_without_regions_there_is_one_column(ct):
    result = agg2exp.explain(ct, model_of(small_classifier("max", (2,))), method="gradient")
    assert result.matrix.columns == ("background",)
    assert (result.matrix.mass == 1).all()


@pytest.mark.parametrize(
    ("words", "options", "told"),
    [
        ("segment", [], "Segmenting needs a segmentation network, but .* is a classifier"),
        ("explain", ["--target-mask", "LESION"], "no voxels: leave out --target-mask"),
        ("explain", ["--mask-coverage", "0.9"], "global mask"),
        ("explain", ["--method", "layer_cam"], "segmentation networks alone"),
        ("explain", ["--labels", "tumour"], "no class 'tumour'"),
        ("explain", ["--segmenter", "CLASSIFIER"], "--segmenter needs a segmentation network"),
        ("explain", ["--extra-rois", "LESION:opacity,node"], "opacity"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, small_ct, small_lesion, capsys, words, options, told):
    weights = write_small_classifier(tmp_path)
    given = [word.replace("LESION", str(small_lesion)).replace("CLASSIFIER", str(weights)) for word in options]
    assert main([words, "--ct", str(small_ct), "--weights", str(weights), "--output", str(tmp_path / "out"), *given]) == 2
    assert re.search(told, capsys.readouterr().err.replace("\n", " "))
    assert not (tmp_path / "out").exists()


def test_a_segmentation_network_needs_no_segmenter(ct, small_weights):
    with pytest.raises(InputError, match="draws its own regions"):
        agg2exp.explain(ct, small_weights, segmenter=small_weights)


def test_an_autoencoder_explains_nothing(ct):
    shipped = agg2exp.Model.load(next(demo_weights().parent.glob("*slices.safetensors")))
    with pytest.raises(InputError, match="an autoencoder, which draws nothing and sorts nothing"):
        agg2exp.explain(ct, shipped)


def test_a_class_with_the_name_of_a_label_is_refused(tmp_path, ct, small_weights):
    weights = write_small_classifier(tmp_path)
    card = weights.with_suffix(".json")
    card.write_text(json.dumps(json.loads(card.read_text()) | {"classes": ["Lung", "b", "c"]}))
    with pytest.raises(InputError, match="'lung' is both a class"):
        agg2exp.explain(ct, weights, segmenter=small_weights)


def test_a_network_that_returns_no_row_of_logits_is_told(ct):
    with pytest.raises(InputError, match=r"\[batch, class\] of 3 classes"):
        agg2exp.explain(ct, model_of(torch.nn.AvgPool3d(2).eval()), method="gradient")


@pytest.mark.parametrize(("axcodes", "axes", "turn"), [("RAI", (2,), lambda image: image[:, :, ::-1]), ("SAR", (0,), np.transpose)])
def test_slices_of_a_network_with_other_axes_are_the_patients(ct, tmp_path, axcodes, axes, turn):
    weights = write_small_classifier(tmp_path, "attention", axes)
    card = json.loads(weights.with_suffix(".json").read_text())
    del card["hu_window"]
    scale = {"step": "scale_range", "a_min": -1024, "a_max": 1024, "b_min": 0, "b_max": 1, "clip": True}
    card["preprocessing"] = [{"step": "orientation", "axcodes": axcodes}, scale]
    weights.with_suffix(".json").write_text(json.dumps(card))
    model = agg2exp.Model.load(weights)
    result = agg2exp.explain(ct, model, ["effusion"], "gradient", precision="float64")
    seen = torch.from_numpy(turn(model.card.preprocessing.prepare(ct).image).copy()).double()[None, None]
    network = model.network.double()
    expected = network.slice_parts(network.slice_features(seen)[0])[1][CLASSES.index("effusion")].numpy()
    axial = result.slices.along("axial")
    np.testing.assert_allclose(axial.contribution[0], expected[::-1] if axcodes == "RAI" else expected, atol=1e-9)
    assert (np.diff(axial.position_mm) > 0).all()
    assert np.isnan(result.slices.along("sagittal").contribution).all()
