"""Auto3DSeg's SegResNet models give what MONAI gives with the transforms, windows and network of their training."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.inferers import SlidingWindowInfererAdapt
from monai.transforms import (
    Compose,
    CropForegroundd,
    EnsureTyped,
    Lambdad,
    LoadImaged,
    NormalizeIntensityd,
    Orientationd,
    ScaleIntensityRanged,
    Spacingd,
)

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.io.read import read_ct
from Agg2ExpLib.models.model import load_model
from support.monai_reference import PLACE, assert_same, by_monai, by_us, write_ct

pytestmark = pytest.mark.usefixtures("one_thread")

NETWORK = {
    "_target_": "SegResNetDS", "init_filters": 4, "blocks_down": [1, 1, 1], "norm": "INSTANCE_NVFUSER", "in_channels": 1,
    "out_channels": 3, "dsdepth": 2, "act": "GELU",
}  # fmt: skip
CONFIG = {
    "network": NETWORK, "modality": "ct", "normalize_mode": "range", "intensity_bounds": [-180.0, 420.0], "orientation_ras": True,
    "crop_foreground": True, "resample": True, "resample_resolution": [3.0, 3.1, 3.2], "roi_size": [16, 12, 20], "sigmoid": False,
    "input_channels": 1, "output_classes": 3, "class_names": ["acc_0", "acc_1"], "extra_modalities": {}, "class_index": None,
}  # fmt: skip
CSV = """LabelValue,Name,\
SegmentedPropertyCategoryCodeSequence.CodingSchemeDesignator,SegmentedPropertyCategoryCodeSequence.CodeValue,\
SegmentedPropertyCategoryCodeSequence.CodeMeaning,SegmentedPropertyTypeCodeSequence.CodingSchemeDesignator,\
SegmentedPropertyTypeCodeSequence.CodeValue,SegmentedPropertyTypeCodeSequence.CodeMeaning,\
SegmentedPropertyTypeModifierCodeSequence.CodingSchemeDesignator,SegmentedPropertyTypeModifierCodeSequence.CodeValue,\
SegmentedPropertyTypeModifierCodeSequence.CodeMeaning
2,cyst of liver,SCT,49755003,Morphologically Altered Structure,SCT,367643001,Cyst
1,left adrenal gland,SCT,123037004,Anatomical Structure,SCT,23451007,Adrenal gland,SCT,7771000,Left
"""


def network(settings: dict = NETWORK) -> torch.nn.Module:
    torch.manual_seed(0)
    plain = {**settings, "norm": "INSTANCE"} if "norm" in settings else settings
    made = ConfigParser(plain).get_parsed_content().eval().requires_grad_(False)
    for weight in made.parameters():  # so that scale and shift of the norms matter
        if weight.ndim == 1:
            weight += 0.3 * torch.randn_like(weight)
    return made


def write_model(folder: Path, config: dict, made: torch.nn.Module | None = None, table: str | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    made = made or network(config["network"])
    content = {"config": config, "state_dict": made.state_dict(), "epoch": 3, "best_metric": np.float64(0.9)}
    torch.save(content, folder / "model.pt")
    if table is not None:
        (folder / "labels.csv").write_text(table)
    return folder / "model.pt"


def transforms(config: dict) -> Compose:
    """The order of ``segmenter.py``: axes, crop, resampling, intensities."""
    steps: list = [
        LoadImaged(keys="image", ensure_channel_first=True, dtype=None),
        EnsureTyped(keys="image", dtype=torch.float),
    ]
    if config.get("orientation_ras"):
        steps.append(Orientationd(keys="image", axcodes="RAS"))
    if config.get("crop_foreground", True):
        steps.append(CropForegroundd(keys="image", source_key="image", margin=10, allow_smaller=True))
    if config.get("resample"):
        size = np.array(config["resample_resolution"])
        limits = {"min_pixdim": size * 0.75, "max_pixdim": size * 1.25}
        steps.append(Spacingd(keys="image", pixdim=list(size), mode="bilinear", dtype=torch.float, **limits))
    mode = config["normalize_mode"]
    if mode in ("range", "ct"):
        low, high = config["intensity_bounds"]
        steps.append(ScaleIntensityRanged(keys="image", a_min=low, a_max=high, b_min=-1, b_max=1, clip=False))
        steps.append(Lambdad(keys="image", func=torch.sigmoid))
    elif mode.startswith("meanstd"):
        steps.append(NormalizeIntensityd(keys="image", nonzero=True, channel_wise=True))
        if mode == "meanstdtanh":
            steps.append(Lambdad(keys="image", func=lambda x: 3 * torch.tanh(x / 3)))
    return Compose(steps)


CASES = {
    "range": CONFIG,
    "meanstd, its own voxels and axes": {**CONFIG, "normalize_mode": "meanstd", "resample": False, "orientation_ras": False},
    "meanstdtanh, no crop, overlapping": {
        **CONFIG, "normalize_mode": "meanstdtanh", "crop_foreground": False, "resample_resolution": [3.4, 3.4, 3.4],
        "roi_size": [16, 16, 16], "sigmoid": True,
    },
    "unequal kernels, background among overlapping": {
        **CONFIG, "normalize_mode": "ct", "resample_resolution": [1.9, 2.0, 5.5], "anisotropic_scales": True, "sigmoid": True,
        "class_index": [[0], [1, 2], [2]], "class_names": ["none", "whole", "core"],
        "network": {**NETWORK, "resolution": [1.9, 2.0, 5.5]}, "roi_size": [16, 16, 8],
    },
    "SegResNet": {
        **CONFIG, "network": {
            "_target_": "monai.networks.nets.SegResNet", "init_filters": 8, "blocks_down": [1, 1], "blocks_up": [1],
            "in_channels": 1,
            "out_channels": 3, "act": "GELU",
        },
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_as_monai_does_it(tmp_path, name):
    config = CASES[name]
    made = network(config["network"])
    model = load_model(write_model(tmp_path / name, config, made))
    assert model.name == name
    assert (model.card.overlap, model.card.blend) == (0.625, "gaussian")
    # MONAI resamples here with coordinates in single precision: of some CT two logits are nearly the same somewhere
    ct = write_ct(tmp_path / "ct.nii.gz", seed=4)
    infer = SlidingWindowInfererAdapt(roi_size=config["roi_size"], sw_batch_size=1, overlap=0.625, mode="gaussian")
    drop = int(bool(config["class_index"]))
    theirs = by_monai(ct, transforms(config), infer, made.double(), config["sigmoid"], drop)
    assert_same(by_us(model, ct, infer), theirs)
    if drop:
        assert model.labels == ("background", "whole", "core")


def test_a_marker_lies_where_it_lies_in_the_patient(tmp_path):
    ct = read_ct(write_ct(tmp_path / "ct.nii.gz"))
    for name, config in CASES.items():
        prepared = load_model(write_model(tmp_path / name, config)).card.preprocessing.prepare(ct)
        smooth = torch.nn.functional.avg_pool3d(torch.from_numpy(prepared.hu.copy())[None, None], 3, 1, 1)[0, 0].numpy()
        brightest = np.unravel_index(smooth.argmax(), smooth.shape)
        assert np.abs(prepared.grid.to_ras(np.array(brightest)) - PLACE).max() < 6, name


def test_voxels_of_nearly_the_wanted_size_are_kept(tmp_path):
    ct = read_ct(write_ct(tmp_path / "ct.nii.gz"))  # 2.3, 4.1, 1.7 mm along AP, IS, RL
    config = {**CONFIG, "resample_resolution": [2.0, 2.0, 4.0], "crop_foreground": False}
    card = load_model(write_model(tmp_path / "m", config)).card
    np.testing.assert_allclose(card.preprocessing.prepare(ct).grid.spacing, (1.7, 2.3, 4.1), atol=1e-5)
    assert card.spacing == (2.0, 2.0, 4.0)


def test_folders_of_the_slicer_extension(tmp_path):
    home = tmp_path / ".MONAIAuto3DSeg" / "models"
    file = write_model(home / "adrenal-v1.0.0" / "adrenal", CONFIG, table=CSV)
    model = load_model(home / "adrenal-v1.0.0")
    assert model.name == "adrenal-v1.0.0"
    assert model.labels == ("background", "left_adrenal_gland", "cyst_of_liver")
    first, second = model.card.labels[1:]
    assert (first.code.value, first.code.meaning, first.side.meaning) == ("23451007", "Adrenal gland", "Left")
    assert second.code is None, "a cyst is no anatomical structure"
    assert load_model(file).labels == load_model(file.parent).labels == model.labels
    assert model.sha256 == load_model(file).sha256
    shutil.copytree(file.parent, home / "adrenal-v1.0.0" / "second")
    with pytest.raises(InputError, match="2 Auto3DSeg models: give one of them, such as adrenal"):
        load_model(home / "adrenal-v1.0.0")


def test_folder_of_a_training(tmp_path):
    write_model(tmp_path / "segresnet_0" / "model", {**CONFIG, "class_names": ["liver", "tumour"]})
    (tmp_path / "segresnet_0" / "configs").mkdir()
    model = load_model(tmp_path / "segresnet_0")
    assert (model.name, model.labels) == ("segresnet_0", ("background", "liver", "tumour"))


def test_a_card_beside_comes_first(tmp_path):
    file = write_model(tmp_path, CONFIG)
    card = load_model(file).card
    file.with_suffix(".json").write_text(card.to_json().replace("label_1", "spleen"))
    again = load_model(file)
    assert again.labels == ("background", "spleen", "label_2")
    assert again.card.preprocessing == card.preprocessing
    assert again.card.network == card.network


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"modality": "mri"}, "is for MRI images"),
        ({"extra_modalities": {"image2": "mri"}}, "several images at once"),
        ({"input_channels": 2}, "several images at once"),
        ({"network": {**NETWORK, "_target_": "SwinUNETR"}}, "'SwinUNETR' of .* is not supported"),
        ({"network": {**NETWORK, "_target_": "scripts.SegResNetDS"}}, "'scripts.SegResNetDS' of .* is not supported"),
        ({"network": {**NETWORK, "act": "$torch.nn.ReLU()"}}, "only running its configuration"),
        ({"network": {**NETWORK, "preprocess": "later"}}, "'preprocess'"),
        ({"network": {**NETWORK, "spatial_dims": 2}}, "2D model"),
        ({"network": {**NETWORK, "init_filters": 8}}, "does not fit"),
        ({"normalize_mode": "pet"}, "'normalize_mode' 'pet'"),
        ({"intensity_bounds": [5, 5]}, "must rise"),
        ({"resample_resolution": [1, 1]}, "'resample_resolution' of .* must be 3 numbers"),
        ({"roi_size": [16, 16, 18]}, "divisible by 4"),
        ({"roi_size": None}, "'roi_size' of .* must be 3 numbers"),
        ({"custom_data_transforms": [{"key": "after_load_transforms"}]}, "custom_data_transforms"),
        ({"cache_image_int16": True}, "cache_image_int16"),
        ({"sliding_inferrer": {"_target_": "SimpleInferer"}}, "SimpleInferer"),
    ],
)
def test_models_that_are_not_followed(tmp_path, change, said):
    file = write_model(tmp_path / "tiny", {**CONFIG, **change}, network())
    with pytest.raises(InputError, match=said) as refused:
        load_model(file)
    assert str(refused.value).count(". ") == 0


def test_damaged_files(tmp_path):
    file = write_model(tmp_path / "tiny", CONFIG, table="Value,Name\n1,liver\n")
    with pytest.raises(InputError, match=r"labels.csv of tiny must have the columns"):
        load_model(file)
    file.with_name("labels.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"labels.csv of tiny must have the columns"):
        load_model(file.parent)
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"truncated|not a weights file|damaged"):
        load_model(file)
    with pytest.raises(InputError, match="not a MONAI bundle"):
        load_model(file.parent)
