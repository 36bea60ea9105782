"""A bundle's preprocessing, windows and outputs give what MONAI itself gives with them: image, place, logits, labels, gradient."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch
from monai.bundle import ConfigParser
from monai.networks import nets

from Agg2ExpLib.api.explain import explain
from Agg2ExpLib.errors import InputError
from Agg2ExpLib.inference.compute import choose_compute
from Agg2ExpLib.io.read import read_ct
from Agg2ExpLib.io.volume import Volume
from Agg2ExpLib.models.model import load_model
from Agg2ExpLib.models.model_card import parse_model_card
from Agg2ExpLib.monitor import Monitor
from Agg2ExpLib.preprocessing.preprocessing import Preprocessing
from Agg2ExpLib.runs.case import make_case
from support.monai_reference import PLACE, assert_same, by_monai, by_us, inferer, write_ct

pytestmark = pytest.mark.usefixtures("one_thread")

NETWORK = {
    "_target_": "SegResNet", "spatial_dims": 3, "init_filters": 8, "in_channels": 1, "out_channels": 3, "blocks_down": [1, 1],
    "blocks_up": [1],
}  # fmt: skip
LOAD = [{"_target_": "LoadImaged", "keys": "image"}, {"_target_": "EnsureChannelFirstd", "keys": "image"}]


def step(target: str, **settings) -> dict:
    return {"_target_": target, "keys": "image", **settings}


RAS = step("Orientationd", axcodes="RAS")
SCALE = step("ScaleIntensityRanged", a_min=-500, a_max=900, b_min=0.0, b_max=1.0, clip=True)
GAUSSIAN = {"_target_": "SlidingWindowInferer", "roi_size": [16, 8, 12], "overlap": 0.5, "mode": "gaussian", "sw_batch_size": 2}

CASES = {
    "as most": ([RAS, step("Spacingd", pixdim=[2.5, 3.1, 2.0], mode="bilinear"), SCALE], GAUSSIAN),
    "other axes, not clipped": (
        [
            step("monai.transforms.OrientationD", axcodes="PIR"),
            step("SpacingDict", pixdim=[3.0, 2.2, 2.9], mode=["bilinear"]),
            step("ScaleIntensityRanged", a_min=-300, a_max=300, b_min=-1, b_max=1),
        ],
        {"_target_": "SlidingWindowInferer", "roi_size": [12, 16, 8]},
    ),
    "spacing first, cropped, normalised": (
        [
            step("Spacingd", pixdim=[3.2, 2.7, -1]),
            step("Orientationd", axcodes="LPS"),
            step("CropForegroundd", source_key="image", margin=[1, 2, 0], k_divisible=[4, 1, 2]),
            step("NormalizeIntensityd", nonzero=True, channel_wise=True),
        ],
        GAUSSIAN,
    ),
    "scaled before it is resampled": (
        [
            step("ThresholdIntensityd", threshold=-900, cval=-900),
            step("ClipIntensityPercentilesd", lower=1, upper=99),
            step("ShiftIntensityd", offset=30),
            SCALE,
            step("CropForegroundd", source_key="image", allow_smaller=True, margin=2),
            RAS,
            step("Spacingd", pixdim=[2.0, 2.0, 4.0], min_pixdim=[1.5, 1.5, 3.0], max_pixdim=[2.4, 2.4, 4.2]),
            step("ScaleIntensityRanged", a_min=0, a_max=0.8, b_min=0.1, b_max=2.0),
        ],
        {"_target_": "monai.inferers.SlidingWindowInferer", "roi_size": 16, "overlap": [0.3, 0.3, 0.3], "cval": -0.4},
    ),
    "normalised and scaled, as the whole-body bundle": (
        [
            RAS,
            step("Spacingd", pixdim=[3, 3, 3]),
            step("NormalizeIntensityd", nonzero=True),
            step("ScaleIntensityd", minv=-1, maxv=1),
        ],
        {"_target_": "SlidingWindowInferer", "roi_size": [8, 8, 8], "overlap": 0.25},
    ),
    "percentiles, nearest, as it lies": (
        [
            step("Spacingd", pixdim=[2.9, 2.9, 2.9], mode="nearest", padding_mode="zeros"),
            step("ScaleIntensityRangePercentilesd", lower=3, upper=95, b_min=0, b_max=1, clip=True, relative=True),
        ],
        GAUSSIAN,
    ),
    "spline, corners aligned, no resampling in the end": (
        [
            step("Spacingd", pixdim=[2.9, 3.9, 2.9], mode=3, padding_mode="nearest"),
            step("Spacingd", pixdim=[2.5, 3.3, 2.6], align_corners=True),
            step("NormalizeIntensityd", subtrahend=40, divisor=350),
        ],
        GAUSSIAN,
    ),
    "diagonal": ([step("Spacingd", pixdim=[4.1, 4.2, 4.3], diagonal=True), SCALE], GAUSSIAN),
}  # fmt: skip


def network(channels: int = 3) -> torch.nn.Module:
    torch.manual_seed(0)
    return nets.SegResNet(3, 8, 1, channels, blocks_down=(1, 1), blocks_up=(1,)).eval().requires_grad_(False)


def write_bundle(folder: Path, made: torch.nn.Module, preprocessing, infer, metadata: dict | None = None, **more) -> Path:
    for name in ("configs", "models"):
        (folder / "tiny" / name).mkdir(parents=True, exist_ok=True)
    config = {
        "network_def": {**NETWORK, "out_channels": len(made.conv_final[2].conv.bias)},
        "preprocessing": {"_target_": "Compose", "transforms": preprocessing},
        "inferer": infer,
        **more,
    }
    (folder / "tiny" / "configs" / "inference.json").write_text(json.dumps(config))
    (folder / "tiny" / "configs" / "metadata.json").write_text(json.dumps(metadata or {"monai_version": "1.5.0"}))
    torch.save(made.state_dict(), folder / "tiny" / "models" / "model.pt")
    return folder / "tiny"


@pytest.mark.parametrize("name", CASES)
def test_preprocessing_and_windows(tmp_path, name):
    steps, infer = CASES[name]
    made = network()
    folder = write_bundle(tmp_path, made, LOAD + steps, infer)
    ct = write_ct(tmp_path / "ct.nii.gz")
    transforms = ConfigParser({"_target_": "Compose", "transforms": LOAD + steps}).get_parsed_content()
    theirs = by_monai(ct, transforms, inferer(infer), made.double())
    made.float()
    model = load_model(folder)
    ours = by_us(model, ct, inferer(infer))
    assert_same(ours, theirs)
    # the card tells the same preprocessing again
    told = model.card.to_dict()
    again = Preprocessing.from_json(told["preprocessing"], "a card", told["pad_value"])
    np.testing.assert_array_equal(again.prepare(read_ct(ct)).image, model.card.preprocessing.prepare(read_ct(ct)).image)


SIGMOID = {
    "postprocessing": [
        {"_target_": "Activationsd", "keys": "pred", "sigmoid": True}, {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5}
    ]
}  # fmt: skip


@pytest.mark.parametrize(
    ("channels", "defined", "labels"),
    [
        (3, ["background", "Liver", "Tumour"], ["background", "liver", "tumour"]),
        (2, ["liver", "tumour"], ["background", "liver", "tumour"]),
        (2, ["background", "liver"], ["background", "liver"]),
        (3, [], ["background", "label_1", "label_2", "label_3"]),
    ],
)
def test_overlapping_labels(tmp_path, channels, defined, labels):
    """A background among channels that are labels of their own is none of them."""
    steps, infer = CASES["other axes, not clipped"]
    made = network(channels)
    names = {"network_data_format": {"outputs": {"pred": {"channel_def": {str(at): name for at, name in enumerate(defined)}}}}}
    model = load_model(write_bundle(tmp_path, made, LOAD + steps, infer, names, **SIGMOID))
    assert list(model.labels) == labels
    assert (model.card.output, model.card.channels) == ("sigmoid", len(labels) - 1)
    if channels == 2 and len(labels) == 2:
        return  # the numbers are those of the others
    ct = write_ct(tmp_path / "ct.nii.gz")
    transforms = ConfigParser({"_target_": "Compose", "transforms": LOAD + steps}).get_parsed_content()
    theirs = by_monai(ct, transforms, inferer(infer), made.double(), sigmoid=True, drop=channels - len(labels) + 1)
    assert_same(by_us(model, ct, inferer(infer)), theirs)


@pytest.mark.parametrize("name", ["spacing first, cropped, normalised", "scaled before it is resampled"])
def test_files_of_a_run_lie_where_monai_says(tmp_path, name):
    """Segmentation, CT and map as saved, looked up at the patient coordinates of MONAI's voxels."""
    steps, infer = CASES[name]
    ct = write_ct(tmp_path / "ct.nii.gz")
    made = network()
    transforms = ConfigParser({"_target_": "Compose", "transforms": LOAD + steps}).get_parsed_content()
    theirs = by_monai(ct, transforms, inferer(infer), made.double())
    made.float()
    model = load_model(write_bundle(tmp_path, made, LOAD + steps, infer))
    explain(ct, model, "label_1", "gradient", precision="float64").save(tmp_path / "result")
    voxels = np.argwhere(np.ones(theirs.image.shape, dtype=bool))
    places = voxels @ theirs.affine[:3, :3].T + theirs.affine[:3, 3]

    def found(file: str) -> np.ndarray:
        image = SimpleITK.ReadImage(str(tmp_path / "result" / file))
        directions = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
        index = np.linalg.solve(directions, (places * [-1, -1, 1] - image.GetOrigin()).T)  # ITK counts to the left and posterior
        assert np.abs(index - np.rint(index)).max() < 1e-3
        return SimpleITK.GetArrayFromImage(image).T[tuple(np.rint(index).astype(int))]

    np.testing.assert_array_equal(found("segmentation.nii.gz"), theirs.labels.argmax(axis=0).ravel())
    gradient = theirs.gradients[1].ravel()
    np.testing.assert_allclose(found("attributions/label_1.nrrd"), gradient, rtol=0, atol=2e-5 * np.abs(gradient).max())


def test_a_ct_smaller_than_a_window_of_a_model_that_repeats_its_border(tmp_path):
    steps, infer = CASES["as most"]
    model = load_model(write_bundle(tmp_path, network(), LOAD + steps, {**infer, "padding_mode": "replicate"}))
    assert parse_model_card(model.card.to_dict(), "a card")[0].padding == "replicate"
    ct, compute = read_ct(write_ct(tmp_path / "ct.nii.gz")), choose_compute("cpu", "float64")
    assert make_case(ct, model, compute, Monitor()).plan.shape == make_case(ct, model, compute, Monitor()).plan.padded_shape
    small = Volume(ct.array[:5, :5, :5], ct.affine)
    with pytest.raises(InputError, match=r"fewer than a window.*'replicate' padding"):
        make_case(small, model, compute, Monitor())


def test_one_channel_is_one_label(tmp_path):
    steps, infer = CASES["as most"]
    names = {"network_data_format": {"outputs": {"pred": {"channel_def": {"0": "background", "1": "spleen"}}}}}
    assert load_model(write_bundle(tmp_path, network(1), LOAD + steps, infer, names, **SIGMOID)).labels == ("background", "spleen")
    with pytest.raises(InputError, match="1 output channel"):
        load_model(write_bundle(tmp_path, network(1), LOAD + steps, infer, names))


def test_a_marker_lies_where_it_lies_in_the_patient(tmp_path):
    ct = read_ct(write_ct(tmp_path / "ct.nii.gz"))
    for name, (steps, infer) in CASES.items():
        model = load_model(write_bundle(tmp_path, network(), LOAD + steps, infer))
        prepared = model.card.preprocessing.prepare(ct)
        smooth = torch.nn.functional.avg_pool3d(torch.from_numpy(prepared.hu.copy())[None, None], 3, 1, 1)[0, 0].numpy()
        brightest = np.unravel_index(smooth.argmax(), smooth.shape)
        distance = np.abs(prepared.grid.to_ras(np.array(brightest)) - PLACE).max()
        assert distance < 6, f"{name}: {distance:.1f} mm off"
