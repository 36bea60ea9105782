"""What nnU-Net's ``plans.json`` says of one configuration: preprocessing, window, architecture. Old plans name the keys otherwise.

Facts as of nnU-Net 2.8 (https://github.com/MIC-DKFZ/nnUNet, ``plans_handler.py`` and ``default_preprocessor.py``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..preprocessing.crop_nonzero import CropNonzero
from ..preprocessing.ct_normalisation import CtNormalisation
from ..preprocessing.nnunet_resampling import NnunetResampling
from ..preprocessing.orientation import Orientation
from ..preprocessing.preprocessing import Preprocessing
from ..preprocessing.step import Step
from ..preprocessing.transposed import Transposed
from ..preprocessing.zscore import Zscore

_READERS = {
    "SimpleITKIO": False,
    "NibabelIO": False,
    "SimpleITKIOWithReorient": True,
    "NibabelIOWithReorient": True,
}
_MOST_INHERITED = 20


@dataclass(frozen=True)
class Plans:
    """One configuration of the plans.

    Attributes:
        configuration: its name, such as ``3d_fullres``.
        dataset: name of the data set.
        spacing: mm, along the network's axes.
        patch_size: window in voxels, same axes.
        preprocessing: from the CT as it is stored.
        architecture: class name of the network.
        arguments: of that class, as the plans give them, but for input and output channels.
    """

    configuration: str
    dataset: str
    spacing: tuple[float, float, float]
    patch_size: tuple[int, int, int]
    preprocessing: Preprocessing
    architecture: str
    arguments: dict[str, Any]


def read_plans(plans: object, configuration: str, source: str) -> Plans:
    """One configuration of a ``plans.json``.

    Args:
        plans: its content.
        configuration: the name that the checkpoint gives.
        source: the model's name, for messages.

    Raises:
        InputError: it is none that is supported, or lacks something.
    """
    said = _Said(plans, source)
    if not isinstance(said.values.get("configurations"), dict):
        raise InputError(f"The plans.json of {source} has no configurations, so it is none of nnU-Net v2: give another model.")
    own = _inherited(said, configuration, source)
    if own.values.get("previous_stage"):
        raise InputError(
            f"{source} is the second stage of a cascade ({configuration}), which needs the segmentation of another model: give the "
            "3d_fullres or 3d_lowres model."
        )
    if own.numbers("patch_size", 2, False):
        raise InputError(f"{source} is a 2D model ({configuration}), and Agg2Exp explains 3D models: give the 3d_fullres model.")
    if own.values.get("preprocessor_name", "DefaultPreprocessor") != "DefaultPreprocessor":
        raise InputError(
            f"{source} prepares its images with {str(own.values['preprocessor_name'])[:60]}, which is not nnU-Net's own: it "
            "cannot be explained."
        )
    x, y, z = own.numbers("patch_size", 3)
    if not all(side.is_integer() and 1 <= side <= 1024 for side in (x, y, z)):
        raise InputError(f"The plans.json of {source} has a patch_size that cannot be: {own.values['patch_size']}.")
    first, second, third = own.numbers("spacing", 3)
    spacing = (first, second, third)
    architecture, arguments = _architecture(own, source)
    dataset = said.values.get("dataset_name")
    return Plans(
        configuration,
        dataset if isinstance(dataset, str) else "",
        spacing,
        (int(x), int(y), int(z)),
        _preprocessing(said, own, spacing, source),
        architecture,
        arguments,
    )


class _Said:
    """The values of an object, with sentences about those that are missing or wrong."""

    def __init__(self, values: object, source: str):
        self.values: dict[str, Any] = values if isinstance(values, dict) else {}
        self.source = source

    def wanted(self, key: str) -> Any:
        if self.values.get(key) is None:
            raise InputError(f"The plans.json of {self.source} lacks '{key}': copy the model's folder again.")
        return self.values[key]

    def numbers(self, key: str, count: int, must: bool = True) -> list[float]:
        """So many finite numbers; with ``must`` off nothing where there are not so many."""
        value = self.wanted(key)
        good = isinstance(value, list) and len(value) == count
        if good and all(isinstance(part, int | float) and not isinstance(part, bool) and math.isfinite(part) for part in value):
            return [float(part) for part in value]
        if must:
            raise InputError(f"'{key}' in the plans.json of {self.source} must be {count} numbers, not {str(value)[:80]}.")
        return []

    def first(self, key: str) -> Any:
        """Of a list with one entry for each channel."""
        value = self.wanted(key)
        if not isinstance(value, list) or len(value) != 1:
            raise InputError(
                f"'{key}' in the plans.json of {self.source} is for {str(value)[:60]}, not for one channel as a CT is."
            )
        return value[0]


def _inherited(said: _Said, configuration: str, source: str) -> _Said:
    """The values of a configuration over those that it inherits."""
    configurations = said.values["configurations"]
    values: dict[str, Any] = {}
    name: Any = configuration
    for _ in range(_MOST_INHERITED):
        if not isinstance(name, str) or not isinstance(configurations.get(name), dict):
            known = ", ".join(map(str, configurations))[:120]
            raise InputError(
                f"The plans.json of {source} has no configuration '{str(name)[:60]}', which its checkpoint was trained with "
                f"(it has {known}): plans and checkpoint are of different models."
            )
        values = {**configurations[name], **values}
        name = configurations[name].get("inherits_from")
        if name is None:
            return _Said(values, source)
    raise InputError(f"The configurations in the plans.json of {source} inherit from each other in a circle: correct it.")


def _preprocessing(said: _Said, own: _Said, spacing: tuple[float, float, float], source: str) -> Preprocessing:
    """nnU-Net's order: axes, crop, intensities, spacing."""
    reader = said.values.get("image_reader_writer", "SimpleITKIO")
    if reader not in _READERS:
        raise InputError(f"{source} reads its images with {str(reader)[:60]}, and not as CT: give a model of CT.")
    transpose = said.numbers("transpose_forward", 3)
    if sorted(transpose) != [0, 1, 2]:
        raise InputError(f"'transpose_forward' in the plans.json of {source} must name the axes 0, 1 and 2, not {transpose}.")
    # nnU-Net's readers give [z, y, x].
    first, second, third = (2 - int(axis) for axis in transpose)
    steps: list[Step] = [Orientation("RAS")] if _READERS[reader] else []
    steps += [Transposed((first, second, third)), CropNonzero(), *_normalisation(said, own, source)]
    return Preprocessing((*steps, *_resampling(own, spacing, source)), 0.0)


def _normalisation(said: _Said, own: _Said, source: str) -> list[Step]:
    scheme = own.first("normalization_schemes")
    if scheme == "NoNormalization":
        return []
    if scheme == "ZScoreNormalization":
        return [Zscore(bool(own.first("use_mask_for_norm")))]
    if scheme != "CTNormalization":
        raise InputError(f"{source} scales intensities with {str(scheme)[:60]}, which is not for CT: give a model of CT.")
    key = "foreground_intensity_properties_per_channel"
    found = said.values.get(key, said.values.get("foreground_intensity_properties_by_modality"))
    properties = found.get("0") if isinstance(found, dict) else None
    names = ("percentile_00_5", "percentile_99_5", "mean", "std")
    numbers = [properties.get(name) if isinstance(properties, dict) else None for name in names]
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
        raise InputError(f"The plans.json of {source} lacks the intensities of the training ('{key}'): copy the folder again.")
    low, high, mean, deviation = (float(number) for number in numbers if number is not None)
    return [CtNormalisation((low, high), mean, deviation)]


def _resampling(own: _Said, spacing: tuple[float, float, float], source: str) -> list[Step]:
    """The step behind one of nnU-Net's resampling functions."""
    name, given = own.wanted("resampling_fn_data"), own.values.get("resampling_fn_data_kwargs") or {}
    settings: Mapping[str, Any] = given if isinstance(given, dict) else {}
    separate = settings.get("force_separate_z")
    if name == "no_resampling_hack":
        return []
    if name == "resample_data_or_seg_to_shape":
        known: dict[str, Any] = {
            "is_seg": False,
            "order": None,
            "order_z": None,
            "force_separate_z": None,
            "separate_z_anisotropy_threshold": 3,
        }
        step = NnunetResampling(spacing, settings.get("order", 3), settings.get("order_z", 0), separate)
    elif name == "resample_torch_fornnunet":
        known = {"is_seg": False, "mode": "linear", "aniso_axis_mode": "nearest-exact", "memefficient_seg_resampling": None}
        known |= {"num_threads": None, "device": None, "force_separate_z": None, "separate_z_anisotropy_threshold": 3}
        step = NnunetResampling(spacing, 1, 0, separate)
    else:
        raise InputError(f"{source} resamples its images with {str(name)[:60]}, which is unknown here: it cannot be explained.")
    for key, value in settings.items():
        if key not in known or (known[key] is not None and value != known[key]):
            raise InputError(f"{source} resamples its images with {key} = {str(value)[:40]}, which is unknown here.")
    return [step]


def _architecture(own: _Said, source: str) -> tuple[str, dict[str, Any]]:
    """Class name and arguments of the network, from the block ``architecture`` or the keys of plans before nnU-Net 2.4."""
    block = own.values.get("architecture")
    if isinstance(block, dict):
        name, arguments = block.get("network_class_name"), block.get("arch_kwargs")
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise InputError(f"The plans.json of {source} does not say what its network is: copy the model's folder again.")
        return name.rsplit(".", 1)[-1], dict(arguments)
    name = own.wanted("UNet_class_name")
    depths = own.wanted("n_conv_per_stage_encoder")
    base, most = own.wanted("UNet_base_num_features"), own.wanted("unet_max_num_features")
    if not isinstance(depths, list) or len(depths) > 20 or not isinstance(base, int) or not isinstance(most, int):
        raise InputError(
            f"The plans.json of {source} describes its network in a way that cannot be: copy the model's folder again."
        )
    return str(name), {
        "n_stages": len(depths),
        "features_per_stage": [min(base * 2**stage, most) for stage in range(len(depths))],
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": own.wanted("conv_kernel_sizes"),
        "strides": own.wanted("pool_op_kernel_sizes"),
        "n_conv_per_stage" if name == "PlainConvUNet" else "n_blocks_per_stage": depths,
        "n_conv_per_stage_decoder": own.wanted("n_conv_per_stage_decoder"),
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
