"""What a bundle does to its images and we do not is refused by name; nothing passes without a word."""

from __future__ import annotations

import inspect
import json

import pytest

from Agg2ExpLib.errors import InputError
from Agg2ExpLib.models import bundle_steps
from Agg2ExpLib.models.bundle import read_bundle
from Agg2ExpLib.models.bundle_outputs import read_output, read_windows
from Agg2ExpLib.models.bundle_steps import FOLLOWED, Unsuited, read_steps

LOAD = {"_target_": "LoadImaged", "keys": "image"}
SPACING = {"_target_": "Spacingd", "keys": "image", "pixdim": [1.5, 1.5, 2]}
INFERER = {"_target_": "SlidingWindowInferer", "roi_size": [32, 32, 32]}


def steps_of(*transforms: object, **more: object) -> tuple:
    return read_steps({"preprocessing": {"_target_": "Compose", "transforms": [LOAD, *transforms]}, **more}, "preprocessing")


def dictionary_transforms() -> list[str]:
    import monai.transforms
    from monai.transforms import MapTransform

    found = ((name, getattr(monai.transforms, name)) for name in dir(monai.transforms))
    return [name for name, kind in found if inspect.isclass(kind) and issubclass(kind, MapTransform)]


def test_every_transform_of_monai_that_is_not_followed_is_refused_by_its_name():
    names = dictionary_transforms()
    assert len(names) > 400
    refused = set()
    for name in names:
        for target in (name, f"monai.transforms.{name}"):
            reason = ""
            try:
                steps_of({"_target_": target, "keys": ["image"]})
            except Unsuited as refusal:
                reason = str(refusal)
            if reason:
                refused.add(name if f" {target}" in reason else f"{name} is not named in '{reason}'")
    assert refused <= set(names)
    followed = {f"{base}{suffix}" for base in FOLLOWED for suffix in ("d", "D", "Dict")}
    assert {name for name in names if name not in followed} <= refused
    # what is followed and needs no settings passes
    assert {"LoadImaged", "EnsureChannelFirstD", "NormalizeIntensityDict", "ScaleIntensityd"} <= set(names) - refused


@pytest.mark.parametrize("name", ["Spacing", "ScaleIntensityRange", "NormalizeIntensity", "Orientation", "ScaleIntensity"])
def test_aliases_are_one(name):
    settings = {
        "Spacing": {"pixdim": 2}, "ScaleIntensityRange": {"a_min": 0, "a_max": 1}, "Orientation": {"axcodes": "LPS"},
    }.get(name, {})  # fmt: skip
    spelt = [f"{name}d", f"{name}D", f"{name}Dict", f"monai.transforms.{name}d", f"monai.transforms.spatial.dictionary.{name}d"]
    found = [steps_of({"_target_": one, "keys": "image", **settings}) for one in spelt]
    assert len(found[0]) == 1
    assert all(steps == found[0] for steps in found)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"_target_": "scripts.own.Sharpend"}, "scripts.own.Sharpend"),
        ({"_target_": "my.monai.transforms.Spacingd", "pixdim": 2}, "my.monai.transforms.Spacingd"),
        ({"_target_": "ScaleIntensityRange", "a_min": 0, "a_max": 1}, "ScaleIntensityRange"),
        ({"_target_": "Lambdad", "func": "$lambda x: x * 2"}, "Lambdad"),
        ({"_target_": "Orientationd", "axcodes": "$@codes"}, "Orientationd whose 'axcodes'"),
        ({"_target_": "Orientationd", "axcodes": "RAT"}, "Orientationd"),
        ({"_target_": "Orientationd", "axcodes": "RAS", "labels": [["R", "L"]]}, "Orientationd with 'labels'"),
        ({"_target_": "Spacingd", "pixdim": [1.5, 1.5, 1.5], "scale_extent": True}, "Spacingd with"),
        ({"_target_": "Spacingd", "pixdim": [1.5, 1.5, 1.5], "recompute_affine": True}, "Spacingd with"),
        ({"_target_": "Spacingd", "pixdim": [1.5, 1.5, 1.5], "mode": "bicubic"}, "Spacingd"),
        ({"_target_": "Spacingd", "pixdim": [1.5, 1.5, 1.5], "lazy": True}, "Spacingd with 'lazy'"),
        ({"_target_": "Spacingd"}, "Spacingd with 'pixdim' None"),
        ({"_target_": "Spacingd", "pixdim": 1.5, "new_setting": 3}, "Spacingd with 'new_setting'"),
        ({"_target_": "Spacingd", "pixdim": 1.5, "_requires_": "$print('run')"}, "Spacingd with '_requires_'|whose '_requires_'"),
        ({"_target_": "Spacingd", "pixdim": 1.5, "_mode_": "callable"}, "Spacingd with '_mode_'"),
        ({"_target_": "Spacingd", "pixdim": 1.5, "_disabled_": "$not @fast"}, "Spacingd whose '_disabled_'"),
        ({"_target_": "CropForegroundd", "source_key": "label"}, "CropForegroundd by another image"),
        ({"_target_": "CropForegroundd", "source_key": "image", "select_fn": "$x"}, "CropForegroundd whose 'select_fn'"),
        ({"_target_": "CropForegroundd", "source_key": "image", "mode": "reflect", "margin": 1}, "CropForegroundd with 'mode'"),
        ({"_target_": "NormalizeIntensityd", "subtrahend": [1, 2]}, "NormalizeIntensityd with 'subtrahend'"),
        ({"_target_": "ScaleIntensityRanged", "a_min": 1, "a_max": 1}, "ScaleIntensityRanged"),
        ({"_target_": "ClipIntensityPercentilesd", "lower": 1, "upper": 99, "sharpness_factor": 10}, "with 'sharpness_factor'"),
        ({"_target_": "ShiftIntensityd", "offset": 1, "factor_key": "slope"}, "ShiftIntensityd with 'factor_key'"),
        ({"_target_": "EnsureChannelFirstd", "channel_dim": 2}, "EnsureChannelFirstd with 'channel_dim'"),
        ({"_target_": "CastToTyped", "dtype": "$torch.int16"}, "CastToTyped with a 'dtype'"),
        ({"_target_": "EnsureTyped", "dtype": "$torch.float16"}, "EnsureTyped with a 'dtype'"),
        ({"_target_": "LoadImaged", "reader": "scripts.MyReader"}, "LoadImaged with the reader"),
        ({"_target_": "LoadImaged", "reverse_indexing": True}, "LoadImaged with 'reverse_indexing'"),
        ({"_target_": "Compose", "transforms": [SPACING], "lazy": True}, "Compose with 'lazy'"),
        ({"_target_": "Compose", "transforms": [{"_target_": "Flipd", "keys": "image"}]}, "Flipd"),
        ({"_target_": "ConcatItemsd", "keys": ["ct", "pet"], "name": "image"}, "ConcatItemsd"),
        ({"_target_": "CopyItemsd", "keys": ["other"], "names": ["image"]}, "CopyItemsd"),
        ({"_target_": "Spacingd", "pixdim": 2, "keys": "$['image']+@more"}, "Spacingd whose 'keys'"),
    ],
)  # fmt: skip
def test_settings_that_are_not_followed(step, said):
    with pytest.raises(Unsuited, match=said):
        steps_of({"keys": "image", **step} if step["_target_"] != "Compose" else step)


def test_geometry_after_the_place_is_forgotten():
    assert steps_of({"_target_": "EnsureTyped", "keys": "image", "data_type": "numpy"}) == ()
    with pytest.raises(Unsuited, match="Spacingd after EnsureTyped"):
        steps_of({"_target_": "EnsureTyped", "keys": "image", "data_type": "numpy"}, SPACING)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("$@a + @b", "by the expression"),
        ({"_target_": "Compose", "transforms": "$@a + @b"}, "lists its preprocessing by an expression"),
        ({"_target_": "Compose", "transforms": [LOAD, "$@a"]}, "expression as step 2"),
        ({"_target_": "Compose", "transforms": [LOAD, "%other.json::step"]}, "expression as step 2"),
        ({"transforms": [LOAD]}, "without a plain '_target_'"),
        ([LOAD, 5], "without a plain '_target_'"),
    ],
)
def test_preprocessing_that_is_no_plain_list(value, said):
    with pytest.raises(Unsuited, match=said):
        read_steps({"preprocessing": value}, "preprocessing")


def test_what_is_switched_off_or_for_others_is_left_out():
    found = steps_of(
        {"_target_": "Flipd", "keys": "image", "_disabled_": True},
        {"_target_": "Flipd", "keys": "image", "_disabled_": "@off"},
        {"_target_": "Flipd", "keys": "label"},
        "@steps#0",
        {"_target_": "Compose", "transforms": [{**SPACING, "keys": ["label", "image"], "mode": ["nearest", "bilinear"]}]},
        off=True,
        steps=[{"_target_": "ThresholdIntensityd", "keys": "image", "threshold": 5}],
    )
    assert [step.name for step in found] == ["threshold", "spacing"]
    assert found[1].mode == "bilinear"
    assert read_steps({}, "preprocessing") is None


def test_crop_that_never_leaves_the_image_may_pad_as_it_likes():
    crop = {"_target_": "CropForegroundd", "keys": ["image"], "source_key": "image", "mode": ["minimum"]}
    (found,) = steps_of(crop)
    assert found.margin == (0, 0, 0)
    with pytest.raises(Unsuited, match="with 'mode' 'minimum'"):
        steps_of({**crop, "k_divisible": 8})


def test_old_monai_crops_to_the_image():
    crop = {"_target_": "CropForegroundd", "keys": "image", "source_key": "image"}
    config = {"preprocessing": [LOAD, crop]}
    assert [read_steps(config, "preprocessing", old)[0].allow_smaller for old in (True, False)] == [True, False]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"_target_": "SimpleInferer"}, "SimpleInferer"),
        ({"_target_": "scripts.SlidingWindowInferer"}, "scripts.SlidingWindowInferer"),
        ({"roi_size": [32, 32]}, r"\[32, 32\]"),
        ({"roi_size": [32, 32, -1]}, "-1"),
        ({"roi_size": "$@roi"}, "'roi_size' of its inferer by an expression"),
        ({"overlap": [0.5, 0.5, 0.25]}, "overlaps its windows"),
        ({"sigma_scale": 0.25, "mode": "gaussian"}, "sigma_scale"),
        ({"mode": "other"}, "blends"),
        ({"cval": "x"}, "no number"),
        ({"padding_mode": "zeros"}, "padding_mode"),
        ({"with_coord": True}, "where each window lies"),
        ({"process_fn": "$lambda x: x"}, "'process_fn' of its inferer"),
        ({"extra": 1}, "'extra' of its inferer"),
    ],
)
def test_inferers_that_are_not_followed(change, said):
    assert read_windows({"inferer": INFERER})["overlap"] == 0.25
    with pytest.raises(Unsuited, match=said):
        read_windows({"inferer": {**INFERER, **change}})
    with pytest.raises(Unsuited, match="expression"):
        read_windows({"inferer": "$make()"})


def post(*transforms: dict) -> dict:
    return {"postprocessing": {"_target_": "Compose", "transforms": [{"keys": "pred", **step} for step in transforms]}}


SIGMOID, SOFTMAX = {"_target_": "Activationsd", "sigmoid": True}, {"_target_": "Activationsd", "softmax": True}


@pytest.mark.parametrize(
    ("transforms", "output", "left"),
    [
        ((), "softmax", ()),
        ((SOFTMAX, {"_target_": "AsDiscreted", "argmax": True}), "softmax", ()),
        ((SIGMOID, {"_target_": "AsDiscreteD", "threshold": 0.5}), "sigmoid", ()),
        ((SIGMOID,), "sigmoid", ()),
        (({"_target_": "AsDiscreted", "threshold": 0},), "sigmoid", ()),
        ((SIGMOID, {"_target_": "AsDiscreted", "argmax": True}), "softmax", ()),
        (
            ({"_target_": "AsDiscreted", "keys": ["pred", "label"], "argmax": [True, False]}, {"_target_": "FillHolesd"}),
            "softmax",
            ("FillHolesd",),
        ),
        (({"_target_": "Activationsd", "sigmoid": True, "_disabled_": True},), "softmax", ()),
    ],
)
def test_outputs(transforms, output, left):
    assert read_output(post(*transforms)) == (output, left)


@pytest.mark.parametrize(
    ("transforms", "said"),
    [
        ((SIGMOID, {"_target_": "AsDiscreted", "threshold": 0.3}), "sigmoid output reaches 0.3"),
        ((SOFTMAX, {"_target_": "AsDiscreted", "threshold": 0.5}), "softmax output reaches"),
        (({"_target_": "Activationsd", "sigmoid": "$@sigmoid"},), "'sigmoid' of Activationsd by an expression"),
        (({"_target_": "Activationsd", "other": "$torch.tanh"},), "'other' of Activationsd"),
    ],
)
def test_outputs_that_are_not_followed(transforms, said):
    with pytest.raises(Unsuited, match=said):
        read_output(post(*transforms))


@pytest.mark.parametrize(
    ("image", "config", "said"),
    [
        ({"modality": "MR"}, {}, "is for MR images"),
        ({"modality": "PET"}, {}, "is for PET images"),
        ({"modality": "CT", "num_channels": 2}, {}, "takes 2 input channels"),
        ({"modality": "CT", "spatial_shape": [256, 256]}, {}, "is for 2D images"),
        ({"modality": "CT/MR"}, {"dataset": {"_target_": "Dataset", "transform": "@other"}}, "another transform"),
    ],
)
def test_bundles_for_other_images(tmp_path, image, config, said):
    for name in ("configs", "models"):
        (tmp_path / "b" / name).mkdir(parents=True)
    (tmp_path / "b" / "models" / "model.pt").write_bytes(b"not read")
    (tmp_path / "b" / "configs" / "inference.json").write_text(json.dumps(config))
    (tmp_path / "b" / "configs" / "metadata.json").write_text(json.dumps({"network_data_format": {"inputs": {"image": image}}}))
    with pytest.raises(InputError, match=said):
        read_bundle(tmp_path / "b").check()


def test_every_followed_transform_is_one_of_monai():
    import monai.transforms

    gone = {"AddChannel", "RandIdentity"}  # of older versions, and without an image
    for base in set(bundle_steps.FOLLOWED) - gone:
        assert hasattr(monai.transforms, f"{base}d"), base
