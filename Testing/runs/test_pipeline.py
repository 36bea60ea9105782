"""A job from CT and weights to the results folder, against direct computation with MONAI and autograd."""

import json
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.inferers import sliding_window_inference
from monai.transforms import Compose, EnsureChannelFirst, LoadImage, Orientation, ScaleIntensityRange, Spacing

from Agg2ExpLib.attribution.smoothgrad import SmoothGrad
from Agg2ExpLib.errors import Cancelled, InputError
from Agg2ExpLib.io.read import read_volume
from Agg2ExpLib.io.write import write_volume
from Agg2ExpLib.models.model import load_model
from Agg2ExpLib.monitor import Monitor
from Agg2ExpLib.runs.job import Job
from Agg2ExpLib.runs.pipeline import run_job
from Agg2ExpLib.runs.recompute import recompute_importance
from Agg2ExpLib.runs.results import Results
from support.networks import ABSENT, CT_AFFINE, NAMES, small_chest, write_small_model


def do(ct, weights, output, monitor=None, **options):
    options = {"device": "cpu", "precision": "float64", "samples": 3, **options}
    return Results.open(run_job(Job.of(str(ct), str(weights), str(output), **options), monitor or Monitor()))


@pytest.fixture(scope="module")
def result(small_ct, small_weights, small_lesion, tmp_path_factory):
    output = tmp_path_factory.mktemp("out") / "result"
    return do(small_ct, small_weights, output, extra_rois=(f"{small_lesion}:left lesion,right lesion",))


def model_input(ct):
    load = Compose(
        [
            LoadImage(reader="NibabelReader", image_only=True, dtype=np.float64),
            EnsureChannelFirst(),
            Orientation("RAS", labels=None),
            Spacing((6.0, 6.0, 6.0), mode="bilinear", padding_mode="border", dtype=np.float64),
            ScaleIntensityRange(-1024, 1024, 0, 1, clip=True),
        ]
    )
    return load(str(ct))


def test_segmentation_and_maps_equal_a_direct_computation(result, small_ct, small_weights):
    image = model_input(small_ct)
    np.testing.assert_allclose(result.segmentation().affine, image.affine.numpy(), atol=1e-4)
    image = image.as_tensor().to(torch.float64)
    network = load_model(small_weights).network.double()
    assert result.explained
    # The CT on the model grid is float32 in ours, float64 in the reference.
    logits = sliding_window_inference(image[None], (32, 32, 32), 1, network, overlap=0.25)[0]
    np.testing.assert_array_equal(result.segmentation().array, logits.argmax(0).numpy())
    label = next(label for label in result.labels if label.name == result.explained[0])
    method = SmoothGrad(samples=3)
    expected = torch.zeros_like(image[0])
    for sample in range(method.samples):
        copy = method.copy(image[0], sample)[None, None].requires_grad_(True)
        noisy = sliding_window_inference(copy, (32, 32, 32), 1, network, overlap=0.25)[0, label.index]
        value = noisy[logits.argmax(0) == label.index].sum()
        expected += torch.autograd.grad(value, copy)[0][0, 0] / method.samples
    ours = result.attribution(label.name)
    assert ours.array.dtype == np.float32
    assert np.linalg.norm(ours.array - expected.numpy()) < 1e-4 * np.linalg.norm(expected.numpy())
    np.testing.assert_allclose(ours.affine, result.segmentation().affine, atol=1e-6)


def test_matrix_follows_from_the_files(result):
    matrix = result.importance()
    assert matrix.columns == (*NAMES, "left lesion", "right lesion")
    assert matrix.extra == ("left lesion", "right lesion")
    segmentation, rois = result.segmentation().array, result.extra_rois()
    for i, row in enumerate(matrix.rows):
        e = np.abs(result.attribution(row).array.astype(np.float64))
        for value in range(len(NAMES)):
            assert matrix.mass[i, value] == pytest.approx(e[segmentation == value].sum() / e.sum(), rel=1e-6)
        lesion = rois["left lesion"].array > 0
        assert matrix.mass[i, len(NAMES)] == pytest.approx(e[lesion].sum() / e.sum(), rel=1e-6)
    np.testing.assert_allclose(matrix.mass[:, : len(NAMES)].sum(axis=1), 1, atol=1e-9)
    assert (matrix.standard_error[:, matrix.roi_voxels > 0] > 0).all()


def test_run_json_is_complete_and_names_no_place(result, small_ct, small_weights):
    text = (result.folder / "run.json").read_text()
    run = json.loads(text)
    assert str(small_ct.parent) not in text
    assert str(small_weights.parent) not in text
    assert run["patient"] == "chest"
    assert len(run["ct"]["sha256"]) == len(run["weights"]["sha256"]) == 64
    assert run["parameters"]["seed"] == 0
    assert run["parameters"]["overlap"] == 0.25
    assert set(run["explained"]) | set(run["absent"]) == set(NAMES[1:])
    assert run["seconds"]["total"] > 0
    volumes = {entry["name"]: entry["volume_ml"] for entry in run["labels"]}
    assert sum(volumes.values()) == pytest.approx(result.segmentation().array.size * 0.216)


def test_no_temporary_files_are_left(result):
    assert {path.name for path in result.folder.parent.iterdir()} == {"result"}
    assert not [path for path in result.folder.rglob("*") if path.name.startswith(".")]


def test_patient_id_replaces_every_trace_of_the_file_name(small_weights, tmp_path):
    ct = tmp_path / "DOE_JANE.nii.gz"
    write_volume(ct, small_chest(), CT_AFFINE, compress=True)
    result = do(ct, small_weights, tmp_path / "out", patient_id="case 7", method="gradient")
    content = b"".join(path.read_bytes() for path in result.folder.rglob("*") if path.suffix in (".json", ".csv", ".nrrd"))
    assert b"DOE" not in content
    assert result.patient == "case 7"


def test_notices_do_not_name_the_file_when_the_patient_has_an_id(small_weights, tmp_path):
    import nibabel

    ct = tmp_path / "DOE_JANE.nii.gz"
    image = nibabel.Nifti1Image(small_chest(), CT_AFFINE)
    image.set_sform(None, code=0)
    image.set_qform(None, code=0)
    nibabel.save(image, ct)
    plain = do(ct, small_weights, tmp_path / "plain", method="gradient", labels=("heart",))
    assert any(notice.startswith("DOE_JANE.nii.gz does not say") for notice in plain.run["notices"])
    named = do(ct, small_weights, tmp_path / "named", patient_id="case 7", method="gradient", labels=("heart",))
    assert any(notice.startswith("the CT does not say") for notice in named.run["notices"])
    assert "DOE" not in (named.folder / "run.json").read_text()
    later = recompute_importance(plain.folder, tmp_path / "later", [], "case 7", False, Monitor())
    assert "DOE" not in (later / "run.json").read_text()


def test_same_job_same_bytes(result, small_ct, small_weights, small_lesion, tmp_path):
    rois = (f"{small_lesion}:left lesion,right lesion",)
    again = do(small_ct, small_weights, tmp_path / "again", extra_rois=rois, window_batch=1)
    maps = [str(path.relative_to(result.folder)) for path in (result.folder / "attributions").iterdir()]
    assert maps
    for name in ("roi_importance.csv", "roi_importance_wide.csv", "segmentation.nii.gz", *maps):
        assert (again.folder / name).read_bytes() == (result.folder / name).read_bytes(), name


def test_partial_maps_can_be_read_while_it_runs(small_ct, small_weights, tmp_path):
    class Viewer(Monitor):
        wants_partial = True
        seen: list = []  # noqa: RUF012

        def partial(self, kind, path, **details):
            self.seen.append((kind, details.get("label"), details.get("samples"), read_volume(path).array.copy()))

    viewer = Viewer()
    result = do(small_ct, small_weights, tmp_path / "out", viewer, samples=6)
    assert viewer.seen[0][0] == "segmentation"
    label = result.explained[0]
    maps = [(samples, array) for kind, name, samples, array in viewer.seen if name == label]
    assert [samples for samples, _ in maps] == [2, 4]
    final = result.attribution(label).array
    distances = [np.linalg.norm(array - final) for _, array in maps]
    assert distances[1] < distances[0]


def test_target_mask(small_ct, small_weights, small_lesion, tmp_path):
    result = do(small_ct, small_weights, tmp_path / "out", target_mask=str(small_lesion), labels=("heart",), method="gradient")
    assert result.explained == ("heart",)
    mask = result.target_mask()
    assert mask is not None
    assert mask.array.sum() == 4 * 6 * 6 + 6 * 6 * 10
    assert (result.importance().standard_error == 0).all()
    chosen = do(small_ct, small_weights, tmp_path / "chosen", target_mask=str(small_lesion), method="gradient")
    inside = result.segmentation().array[mask.array > 0]
    counts = np.bincount(inside[inside > 0])
    assert chosen.explained == (NAMES[counts.argmax()],)
    assert "predicts most" in chosen.run["notices"][-1]


def test_regions_added_later_equal_those_given_at_once(result, small_ct, small_weights, small_lesion, tmp_path):
    plain = do(small_ct, small_weights, tmp_path / "plain")
    spec = f"{small_lesion}:left lesion,right lesion"
    later = Results.open(recompute_importance(plain.folder, tmp_path / "later", [spec], None, False, Monitor()))
    ours, expected = later.importance(), result.importance()
    np.testing.assert_allclose(ours.mass, expected.mass, rtol=1e-6)
    np.testing.assert_array_equal(ours.roi_voxels, expected.roi_voxels)
    np.testing.assert_array_equal(ours.standard_error[:, : len(NAMES)], expected.standard_error[:, : len(NAMES)])
    np.testing.assert_array_equal(ours.limit[:, : len(NAMES)], expected.limit[:, : len(NAMES)])
    assert (np.abs(ours.limit - expected.limit) <= ours.limit_error).all()
    assert (np.abs(ours.limit - expected.limit) < 0.03 * expected.limit)[:, len(NAMES) :].all()
    assert np.isfinite(ours.standard_error).all()
    shutil.rmtree(plain.folder / "noise")  # as in results of older versions
    older = recompute_importance(plain.folder, tmp_path / "older", [spec], None, False, Monitor())
    assert np.isnan(Results.open(older).importance().limit[:, len(NAMES) :]).all()
    assert set(later.extra_rois()) == {"left lesion", "right lesion"}


def test_regions_are_not_added_into_the_result_itself(result, tmp_path):
    before = sorted(result.folder.rglob("*"))
    (tmp_path / "link").symlink_to(result.folder)
    for output in (result.folder, result.folder / "more", tmp_path / "link", tmp_path / "link" / "more"):
        with pytest.raises(InputError, match="result itself or lie in it"):
            recompute_importance(result.folder, output, [], None, True, Monitor())
    assert sorted(result.folder.rglob("*")) == before


@settings(max_examples=6, deadline=None, derandomize=True)
@given(
    order=st.permutations(range(3)),
    flips=st.tuples(*[st.sampled_from((1, -1))] * 3),
    angle=st.sampled_from((0.0, 17.0)),
    suffix=st.sampled_from((".nii.gz", ".nrrd", ".mha")),
)
def test_results_lie_where_the_patient_is(order, flips, angle, suffix, tmp_path_factory):
    """The same body stored in any orientation: the bright heart is found at its patient coordinates in every output."""
    import SimpleITK as sitk

    folder = tmp_path_factory.mktemp("oriented")
    ct = np.transpose(small_chest(), order)[tuple(slice(None, None, flip) for flip in flips)]
    affine = np.eye(4)
    for axis, (source, flip) in enumerate(zip(order, flips, strict=True)):
        affine[:3, axis] = flip * CT_AFFINE[:3, source]
        if flip < 0:
            affine[:3, 3] += CT_AFFINE[:3, source] * (small_chest().shape[source] - 1)
    affine[:3, 3] += CT_AFFINE[:3, 3]
    turn = np.eye(4)
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    turn[:2, :2] = [[c, -s], [s, c]]
    affine = turn @ affine
    path = folder / f"ct{suffix}"
    if suffix == ".mha":
        lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
        image = sitk.GetImageFromArray(np.ascontiguousarray(ct.T))
        image.SetSpacing([6.0] * 3)
        image.SetDirection((lps[:3, :3] / 6).ravel())
        image.SetOrigin(lps[:3, 3])
        sitk.WriteImage(image, str(path))
    else:
        write_volume(path, np.ascontiguousarray(ct), affine, compress=True)

    weights = write_small_model(folder)
    result = do(path, weights, folder / "out", method="gradient", labels=NAMES[1:])
    place = np.argwhere(small_chest() > 100)
    expected = (turn @ CT_AFFINE @ np.append(place.mean(axis=0), 1))[:3]
    outputs = [result.ct(), result.segmentation(), *(result.attribution(name) for name in result.explained)]
    for volume in outputs:
        assert volume.array.shape == result.ct().array.shape
        np.testing.assert_allclose(volume.affine, result.ct().affine, atol=1e-4)
    found = result.ct().affine @ np.append(np.argwhere(result.ct().array > 100).mean(axis=0), 1)
    np.testing.assert_allclose(found[:3], expected, atol=3.0)
    spread = np.argwhere(result.ct().array > -500)
    middle = result.ct().affine @ np.append(spread.mean(axis=0), 1)
    assert np.linalg.norm(found[:3] - middle[:3]) > 10, "the body must be asymmetric for this test to mean anything"


def test_what_was_left_out_is_told(result, small_ct, small_weights, tmp_path):
    from Agg2ExpLib.runs.summary import summarise

    fewer = do(small_ct, small_weights, tmp_path / "fewer", keep=0.6)
    assert fewer.run["parameters"]["keep"] == 0.6
    assert result.run["parameters"]["keep"] == 1.0
    assert "left_out" not in result.run
    told = fewer.run["left_out"]
    assert set(told) == set(fewer.explained)
    assert all(0 <= entry["weight"] <= 0.4 for entry in told.values())
    assert sum(entry["windows"] for entry in told.values()) > 0
    assert fewer.run["windows"]["passes"] < result.run["windows"]["passes"]
    most = max(entry["weight"] for entry in told.values())
    assert f"at most {100 * most:.2f} %" in summarise(fewer)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"labels": ("hart",)}, "did you mean 'heart'"),
        ({"labels": ("spleen",)}, "the model has background, lung"),
        ({"samples": 0}, "set samples to 20"),
        ({"overlap": 1.0}, "overlap"),
        ({"blend": "linear"}, "blending"),
        ({"keep": 0.0}, "keep must be above 0"),
        ({"keep": 1.5}, "keep must be above 0"),
        ({"method": "magic"}, "smoothgrad"),
        ({"target": "max"}, "sum or mean"),
        ({"window_batch": 0}, "window batch"),
        ({"precision": "int8"}, "precision"),
        ({"ct": "no_such_file.nii.gz"}, "no_such_file"),
        ({"extra_rois": ("no_such_file.nrrd",)}, "no_such_file"),
        ({"target_mask": "no_such_file.nrrd"}, "no_such_file"),
        ({"patient_id": " "}, "patient id"),
    ],
)
def test_bad_input_writes_nothing(change, word, small_ct, small_weights, tmp_path):
    entries = {"ct": str(small_ct), "weights": str(small_weights), "output": str(tmp_path / "out"), "device": "cpu", **change}
    with pytest.raises(InputError, match=word) as caught:
        run_job(Job.of(**entries), Monitor())
    assert str(caught.value).strip().endswith((".", "?", "!"))
    assert not list(tmp_path.iterdir())


def test_region_named_like_a_label_is_refused(small_ct, small_weights, small_lesion, tmp_path):
    with pytest.raises(InputError, match="two regions named 'heart'"):
        do(small_ct, small_weights, tmp_path / "out", extra_rois=(f"{small_lesion}:heart,other",))
    assert not list(tmp_path.iterdir())


def test_absent_labels_are_said_not_invented(result, small_ct, small_weights, tmp_path):
    assert result.run["absent"] == [ABSENT]
    assert ABSENT not in result.importance().rows
    mixed = do(small_ct, small_weights, tmp_path / "mixed", labels=("heart", ABSENT), method="gradient")
    assert mixed.explained == ("heart",)
    assert f"Not found in this CT and so not explained: {ABSENT}." in mixed.run["notices"]
    with pytest.raises(InputError, match="found none of the requested labels"):
        do(small_ct, small_weights, tmp_path / "out", labels=(ABSENT,))
    assert not (tmp_path / "out").exists()


def test_existing_results_are_kept_unless_told(small_ct, small_weights, tmp_path):
    output = tmp_path / "out"
    first = do(small_ct, small_weights, output, method="gradient")
    with pytest.raises(InputError, match="overwrite"):
        do(small_ct, small_weights, output, method="gradient")
    with pytest.raises(InputError, match="did you mean"):
        do(small_ct, small_weights, output, overwrite=True, labels=("hart",))
    assert first.attribution(first.explained[0]).array.any(), "a failed run must leave the old result"
    again = do(small_ct, small_weights, output, overwrite=True, method="gradient", patient_id="new")
    assert again.patient == "new"
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "photo.jpg").touch()
    with pytest.raises(InputError, match="not a results folder"):
        do(small_ct, small_weights, tmp_path / "holiday", overwrite=True)
    assert (tmp_path / "holiday" / "photo.jpg").exists()


def test_folders_made_for_a_failed_run_go_too(small_ct, small_weights, tmp_path):
    with pytest.raises(InputError, match="did you mean"):
        do(small_ct, small_weights, tmp_path / "new" / "deep" / "out", labels=("hart",))
    assert not list(tmp_path.iterdir())
    result = do(small_ct, small_weights, tmp_path / "new" / "deep" / "out", labels=("heart",), method="gradient")
    assert (tmp_path / "new" / "deep" / "out") == result.folder


def test_no_room_on_the_disk(small_ct, small_weights, tmp_path, monkeypatch):
    import shutil

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(InputError, match="make room"):
        do(small_ct, small_weights, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_stop_leaves_nothing(small_ct, small_weights, tmp_path):
    class Impatient(Monitor):
        def progress(self, stage, fraction, message="", eta_s=None):
            if stage == "explain":
                self.stop()

    with pytest.raises(Cancelled):
        do(small_ct, small_weights, tmp_path / "out", Impatient())
    assert not list(tmp_path.iterdir())


def test_magnetic_resonance_is_warned_of(small_weights, tmp_path):
    scaled = (small_chest() + 1000).clip(0, 1500).astype(np.float32) / 1500
    write_volume(tmp_path / "mr.nii.gz", scaled, CT_AFFINE, compress=True)
    result = do(tmp_path / "mr.nii.gz", small_weights, tmp_path / "out", method="gradient")
    assert any("Hounsfield" in notice for notice in result.run["notices"])
