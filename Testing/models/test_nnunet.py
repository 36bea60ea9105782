"""A trained nnU-Net sees, draws and is explained as nnU-Net's own inference and autograd over the whole volume have it."""

import json
import shutil

import numpy as np
import pytest
import torch

from Agg2ExpLib.api.what_if import what_if
from Agg2ExpLib.attribution.stitched import Target
from Agg2ExpLib.commands.cli import main
from Agg2ExpLib.errors import InputError
from Agg2ExpLib.inference.averaged import averaged
from Agg2ExpLib.inference.compute import choose_compute
from Agg2ExpLib.inference.network import at_work
from Agg2ExpLib.io.read import read_ct, read_volume
from Agg2ExpLib.models.label_names import clean_names
from Agg2ExpLib.models.model import load_model
from Agg2ExpLib.monitor import Monitor, Stage
from Agg2ExpLib.runs.case import make_case
from Agg2ExpLib.runs.job import Job
from Agg2ExpLib.runs.pipeline import run_job
from support.geometry import AIR, found_place, make_grid, marker_place, paint, save_nifti
from support.networks import small_chest
from support.nnunet_chain import predict
from support.nnunet_model import LABELS, arch_block, network_of, plans_of, save_checkpoint, see_bright, write_nnunet

# Voxel axes run to the patient's anterior, left and inferior, turned by some degrees.
OBLIQUE = make_grid((24, 19, 14), (1.9, 2.3, 4.4), order=(1, 0, 2), signs=(1, -1, -1), angles=(6.0, -9.0, 14.0))
SMALL = make_grid((15, 13, 9), (2.1, 2.4, 4.4), order=(1, 0, 2), signs=(1, -1, -1), angles=(6.0, -9.0, 14.0))
REGIONS = {"background": 0, "thorax": [1, 2, 3], "heart": [2, 3], "bone": 3}


def write_ct(folder, grid=OBLIQUE, rim=False):
    hu = small_chest(grid.shape)
    if rim:  # a rim of nothing, unequal on the two sides
        hu[:, :3] = 0
        hu[-1] = 0
        hu[..., -2:] = 0
    return save_nifti(folder / "ct.nii.gz", hu, grid.affine)


def our_logits(case):
    """The stitched logits on the model grid, put together here from the plan alone."""
    padded = case.plan.pad(case.image.double(), case.pad_value)
    total, weights = 0.0, case.plan.weight_sum(torch.float64)
    for window in case.plan.windows:
        with torch.no_grad():
            logits = case.network(padded[window][None, None])[0] * case.plan.weight.double()
        whole = torch.zeros((len(logits), *padded.shape), dtype=torch.float64)
        whole[(slice(None), *window)] = logits
        total = total + whole
    return (total / weights)[(slice(None), *case.plan.inside)].numpy()


def check_against_nnunet(root, ct, plans, networks, mirror=(), **variant):
    """Image, place of every voxel, logits, labels and gradient; returns model and case."""
    expected = predict(ct, plans, networks, mirror)
    model = load_model(root, mirror=bool(mirror), **variant)
    compute, monitor = choose_compute("cpu", "float64"), Monitor()
    case = make_case(read_ct(ct), model, compute, monitor)
    turn = case.prepared.turn
    np.testing.assert_allclose(turn.forth(case.prepared.image), expected.image, rtol=0, atol=2e-6)
    index = np.stack(np.meshgrid(*(np.arange(size) for size in case.grid.shape), indexing="ij"), axis=-1)
    places = np.stack([turn.forth(part) for part in np.moveaxis(case.grid.to_ras(index), -1, 0)], axis=-1)
    np.testing.assert_allclose(places, expected.places, rtol=0, atol=1e-4)  # mm; NIfTI's affine is in single precision
    stage = Stage(monitor, "segment", 0, 1)
    with at_work(model.network, compute):
        logits = np.stack([turn.forth(part) for part in our_logits(case)])
        np.testing.assert_allclose(logits, expected.logits.detach().numpy(), rtol=0, atol=1e-5)
        drawn = case.segment(stage)
        if model.card.output == "softmax":
            labels = expected.logits.detach().numpy().argmax(0)
            np.testing.assert_array_equal(turn.forth(drawn.labels), labels)
            masks = {label.index: labels == label.index for label in model.card.labels[1:]}
        else:
            masks = {label.index: expected.logits[label.index - 1].detach().numpy() > 0 for label in model.card.labels[1:]}
            for number, mask in masks.items():
                np.testing.assert_array_equal(turn.forth(drawn.mask(number)), mask)
        found = [label for label in model.card.labels[1:] if masks[label.index].any()]
        assert len(found) >= 2, "the network draws too little to tell"
        targets = [Target(label.name, model.card.channel(label), drawn.mask(label.index)) for label in found]
        engine = case.engine(targets)
        sums = engine.new_buffers()
        engine.add([case.image.double()], sums, stage, 0, 1)
    for label, target in zip(found, targets, strict=True):
        own = expected.gradient(target.channel, masks[label.index])
        ours = turn.forth(sums[target.name][case.plan.inside].numpy())
        np.testing.assert_allclose(ours, own, rtol=0, atol=1e-5 * np.abs(own).max())
    return model, case


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"old": True},
        {"residual": True, "transpose_forward": [1, 0, 2], "spacing": [2.0, 3.3, 1.6]},
        {"old": True, "residual": True, "resampling_fn_data": "resample_torch_fornnunet", "resampling_fn_data_kwargs": {}},
        {"image_reader_writer": "NibabelIOWithReorient", "transpose_forward": [2, 0, 1], "spacing": [1.5, 5.1, 1.6]},
        {"normalization_schemes": ["ZScoreNormalization"], "use_mask_for_norm": [True], "patch_size": [24, 28, 16]},
        {"normalization_schemes": ["ZScoreNormalization"], "resampling_fn_data_kwargs": {"order": 1, "order_z": 1}},
    ],
    ids=["plain", "old keys", "transposed", "torch", "thick", "masked", "zscore"],
)
def test_equals_nnunets_own_inference(tmp_path, changes):
    plans = plans_of(**changes)
    network = network_of(plans, len(LABELS))
    root = write_nnunet(tmp_path, plans, networks={"0": network})
    model, case = check_against_nnunet(root, write_ct(tmp_path, rim=True), plans, [network])
    assert model.labels == tuple(LABELS)
    assert model.card.roi_size == tuple(plans["configurations"]["3d_fullres"]["patch_size"])
    assert (case.plan.scheme, case.plan.overlap, case.plan.blend) == ("nnunet", 0.5, "gaussian")


def test_folds_and_mirrored_windows_are_averaged(tmp_path):
    plans = plans_of(patch_size=[12, 20, 12])
    networks = {name: network_of(plans, len(LABELS), seed) for seed, name in enumerate(("1", "3"))}
    root = write_nnunet(tmp_path, plans, networks=networks, inference_allowed_mirroring_axes=(0, 2))
    ct = write_ct(tmp_path, SMALL)
    model, _ = check_against_nnunet(root, ct, plans, list(networks.values()))
    assert "mean of 2 folds" in model.architecture
    assert any("2 folds" in warning for warning in model.warnings)
    one, _ = check_against_nnunet(root / "fold_1", ct, plans, [networks["1"]], mirror=(0, 2))
    assert "mirrored along 2 axes" in one.architecture
    assert load_model(root, folds="all").sha256 == model.sha256 != load_model(root, folds="3,1").sha256
    assert one.sha256 == load_model(root, folds="1").sha256 == load_model(root / "fold_1" / "checkpoint_final.pth").sha256


def test_regions_overlap_and_ignored_voxels_are_no_label(tmp_path):
    plans = plans_of()
    labels = {**REGIONS, "ignore": 4}
    network = network_of(plans, 3, seed=5)
    root = write_nnunet(tmp_path, plans, labels, {"0": network}, dataset={"regions_class_order": [1, 2, 3]})
    model, _ = check_against_nnunet(root, write_ct(tmp_path), plans, [network])
    assert model.labels == ("background", "thorax", "heart", "bone")
    assert (model.card.output, model.card.channels) == ("sigmoid", 3)
    plain = load_model(write_nnunet(tmp_path / "plain", labels={**LABELS, "ignore": 4}))
    assert plain.labels == tuple(LABELS)


def test_checkpointed_passes_need_the_memory_of_one(tmp_path):
    """What is kept for the way back does not grow with the number of passes."""
    networks = [network_of(plans_of(), 4, seed).requires_grad_(False).eval() for seed in range(3)]
    for network in networks:
        network.decoder.deep_supervision = False
    windows = torch.rand(1, 1, 12, 20, 16, requires_grad=True)

    def kept(network):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda tensor: sizes.append(tensor.numel()) or tensor, lambda tensor: tensor):
            network(windows)
        return sum(sizes)

    assert averaged(networks[:1]) is networks[0]
    assert kept(averaged(networks, (0, 1, 2))) < kept(networks[0]) / 2


def test_a_marker_stays_at_its_patient_coordinates_in_all_outputs(tmp_path):
    grid = make_grid((40, 36, 22), (1.4, 1.6, 3.1), order=(2, 0, 1), signs=(-1, 1, -1), angles=(8.0, -12.0, 20.0))
    place = marker_place(grid)
    ct = save_nifti(tmp_path / "ct.nii.gz", paint(grid, place, width=4.0), grid.affine)
    plans = plans_of(transpose_forward=[1, 2, 0], spacing=[1.9, 2.2, 1.7])
    plans["foreground_intensity_properties_per_channel"]["0"]["percentile_99_5"] = 3000.0
    labels = {"background": 0, "marker": 1}
    root = write_nnunet(tmp_path, plans, labels, {"0": see_bright(network_of(plans, 2))})
    job = Job.of(str(ct), str(root), str(tmp_path / "out"), method="gradient_x_input")
    folder = run_job(job, Monitor())
    for name in ("ct.nii.gz", "segmentation.nii.gz", "attributions/marker.nrrd"):
        volume = read_volume(folder / name)
        values = volume.array.astype(float)
        values = np.abs(values - (values.min() if name.startswith("ct") else 0))
        values[values < 0.2 * values.max()] = 0  # each window's norm makes every voxel count a little
        np.testing.assert_allclose(found_place(values + AIR, volume.affine), place, atol=0.5, err_msg=name)


def break_plans(root, change):
    plans = json.loads((root / "plans.json").read_text())
    change(plans, plans["configurations"]["3d_fullres"])
    (root / "plans.json").write_text(json.dumps(plans))


def break_network(root, **changes):
    break_plans(root, lambda _, own: own["architecture"]["arch_kwargs"].update(changes))


def break_dataset(root, **changes):
    dataset = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps({**dataset, **changes}))


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])


CHECKPOINT = "fold_0/checkpoint_final.pth"
BROKEN = {
    "no plans": (lambda root: (root / "plans.json").unlink(), "lacks plans.json"),
    "no dataset": (lambda root: (root / "dataset.json").unlink(), "lacks dataset.json"),
    "no checkpoint": (lambda root: (root / CHECKPOINT).rename(root / "fold_0/checkpoint_latest.pth"), "no checkpoint_final.pth"),
    "cut short": (lambda root: cut(root / CHECKPOINT), "truncated, damaged"),
    "other stages": (
        lambda root: break_plans(root, lambda _, own: own["architecture"]["arch_kwargs"].update(features_per_stage=[6, 8, 8])),
        "do not fit the PlainConvUNet",
    ),
    "other class": (
        lambda root: break_plans(root, lambda _, own: own.update(architecture=arch_block(residual=True))),
        "do not fit the ResidualEncoderUNet",
    ),
    "vast": (
        lambda root: break_plans(root, lambda _, own: own["architecture"]["arch_kwargs"].update(features_per_stage=[9000] * 3)),
        "do not fit",
    ),
    "own class": (
        lambda root: break_plans(root, lambda _, own: own["architecture"].update(network_class_name="os.system")),
        "is a system",
    ),
    "own layer": (
        lambda root: break_plans(root, lambda _, own: own["architecture"]["arch_kwargs"].update(nonlin="subprocess.LeakyReLU")),
        "names subprocess.LeakyReLU as 'nonlin'",
    ),
    **{
        f"{key} {value}": (lambda root, key=key, value=value: break_network(root, **{key: value}), words)
        for key, value, words in (
            ("n_stages", "3", "cannot be"),
            ("n_stages", 400, "cannot be"),
            ("strides", [[1, 1], [1, 2, 2], [2, 2, 2]], "cannot be"),
            ("n_conv_per_stage", [[1], 1, 1], "cannot be"),
            ("n_conv_per_stage", [10**4] * 3, "cannot be built"),
            ("norm_op_kwargs", {"eps": "small"}, "cannot be"),
            ("norm_op_kwargs", {"colour": 1}, "cannot be built"),
            ("more", 1, "'more' that is unknown here"),
        )
    },
    "2d": (lambda root: break_plans(root, lambda _, own: own.update(patch_size=[64, 64])), "2D model"),
    "cascade": (lambda root: break_plans(root, lambda _, own: own.update(previous_stage="3d_lowres")), "second stage of a cascade"),
    "no configuration": (
        lambda root: break_plans(root, lambda plans, _: plans["configurations"].pop("3d_fullres")),
        "of different models",
    ),
    "patch": (lambda root: break_plans(root, lambda _, own: own.update(patch_size=[12, 21, 16])), "does not fit its network"),
    "own preparation": (lambda root: break_plans(root, lambda _, own: own.update(preprocessor_name="Mine")), "with Mine"),
    "own resampling": (lambda root: break_plans(root, lambda _, own: own.update(resampling_fn_data="mine")), "with mine"),
    "colours": (
        lambda root: break_plans(root, lambda _, own: own.update(normalization_schemes=["RGBTo01Normalization"])),
        "RGBTo01Normalization",
    ),
    "MR": (lambda root: break_dataset(root, channel_names={"0": "MR"}), "called 'MR' and not on CT"),
    "T1": (lambda root: break_dataset(root, channel_names={"0": "T1w"}), "called 'T1w' and not on CT"),
    "two channels": (lambda root: break_dataset(root, channel_names={"0": "CT", "1": "PET"}), "2 input channels"),
    "labels of v1": (lambda root: break_dataset(root, labels={"0": "background", "1": "lung"}), "nnU-Net v1"),
    "no order": (lambda root: break_dataset(root, labels=REGIONS), "no regions_class_order"),
    "too few labels": (lambda root: break_dataset(root, labels={"background": 0, "lung": 1}), "do not fit"),
    "v1": (lambda root: (root / "plans.pkl").write_bytes(b"\x80"), "nnU-Net v1"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_nnunet(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_used_is_refused_with_one_sentence(tmp_path, whole, name):
    root = tmp_path / whole.name
    shutil.copytree(whole, root)
    damage, words = BROKEN[name]
    damage(root)
    with pytest.raises(InputError, match=words) as refusal:
        load_model(root)
    assert "\n" not in str(refusal.value)
    assert str(tmp_path) not in str(refusal.value)


def test_the_command_line_refuses_with_status_2(tmp_path, whole, capsys):
    ct = write_ct(tmp_path)
    arguments = ["segment", "--ct", str(ct), "--weights", str(whole), "--output", str(tmp_path / "out")]
    assert main([*arguments, "--folds", "7"]) == 2
    assert "no fold '7': --folds can be all, or some of 0" in capsys.readouterr().err
    assert main([*arguments, "--card", "card.json"]) == 2
    assert main([*arguments, "--mirror", "--folds", "0"]) == 0
    made_by = json.loads((tmp_path / "out" / "run.json").read_text())["weights"]
    assert "mirrored along 3 axes" in made_by["architecture"]
    assert (made_by["folds"], made_by["mirror"]) == ("0", True)


def test_a_question_to_a_result_goes_to_the_folds_that_made_it(tmp_path):
    axes = {"inference_allowed_mirroring_axes": (1,)}
    root = write_nnunet(tmp_path, networks={name: network_of(plans_of(), 4, seed) for seed, name in enumerate("02")}, **axes)
    ct = write_ct(tmp_path, SMALL)
    run_job(
        Job.of(str(ct), str(root), str(tmp_path / "out"), method="gradient", labels=["lung"], folds="2", mirror=True), Monitor()
    )
    answer = what_if(tmp_path / "out", str(root), remove=["heart"], ct=str(ct), monitor=Monitor())
    assert "heart" in str(answer)
    with pytest.raises(InputError, match="same mirror"):
        what_if(tmp_path / "out", load_model(root, folds="2"), remove=["heart"], ct=str(ct), monitor=Monitor())
    with pytest.raises(InputError, match="other weights"):
        what_if(tmp_path / "out", load_model(root, folds="0", mirror=True), remove=["heart"], ct=str(ct), monitor=Monitor())


def test_a_checkpoint_away_from_its_folder_is_told_to_be_one(tmp_path):
    alone = save_checkpoint(tmp_path / "mine.pth", network_of(plans_of(), 4), plans_of())
    with pytest.raises(InputError, match="checkpoint of an nnU-Net, which is described by files beside it"):
        load_model(alone)


def test_what_is_taken_on_trust_is_told(tmp_path):
    told = " ".join(load_model(write_nnunet(tmp_path / "a", name="checkpoint_best.pth", trainer_name="nnUNetTrainerMine")).warnings)
    assert "checkpoint_best.pth was taken" in told
    assert "nnUNetTrainerMine, which is not nnU-Net's own" in told
    root = write_nnunet(tmp_path / "b", dataset={"channel_names": {"0": "angio"}}, inference_allowed_mirroring_axes=None)
    assert any("'angio'" in warning for warning in load_model(root).warnings)
    with pytest.raises(InputError, match="without mirroring"):
        load_model(root, mirror=True)
    with pytest.raises(InputError, match="give the trained model in it, nnUNetTrainer__"):
        load_model(root.parent)


def test_names_become_fit_for_files():
    names = ["background", "left / right", "a,b", "A_b", "-x", "con", "  "]
    assert clean_names(names) == ("background", "left_right", "a_b", "A_b_2", "label_x", "label_con", "label_")
