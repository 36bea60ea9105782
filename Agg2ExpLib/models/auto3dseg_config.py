"""What the ``config`` in an Auto3DSeg SegResNet checkpoint says: preprocessing, windows, labels and network.

The order of the steps is that of the training (``segmenter.py`` of MONAI's Auto3DSeg templates): axes, crop, resampling, values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..preprocessing.crop_foreground import CropForeground
from ..preprocessing.normalise import Normalise
from ..preprocessing.orientation import Orientation
from ..preprocessing.preprocessing import Preprocessing
from ..preprocessing.scale_range import ScaleRange
from ..preprocessing.spacing import Spacing
from ..preprocessing.squash import Squash
from .bundle_config import is_plain, resolve
from .bundle_outputs import read_windows
from .bundle_steps import Unsuited
from .card_labels import MAX_LABELS

if TYPE_CHECKING:
    from ..preprocessing.step import Step

MARGIN = 10
# A scan whose voxels are within these parts of the wanted size keeps them.
LEAST, MOST = 0.75, 1.25
OVERLAP = 0.625
NO_BOUNDS = (-250.0, 250.0)
NETWORKS = ("SegResNetDS", "SegResNet")


def read_steps(config: Mapping[str, Any], source: str) -> Preprocessing:
    """Every step from a CT to the network.

    Raises:
        InputError: the model is for other images than one CT, or has a step of its own.
    """
    _refuse_other_images(config, source)
    if config.get("custom_data_transforms"):
        raise InputError(f"{source} prepares its images by 'custom_data_transforms', which are not followed.")
    if config.get("cache_image_int16"):
        raise InputError(f"{source} rounds its images to whole numbers ('cache_image_int16'), which is not followed.")
    steps: list[Step] = []
    if config.get("orientation_ras", False):
        steps.append(Orientation("RAS"))
    if config.get("crop_foreground", True):
        steps.append(CropForeground((MARGIN,) * 3, allow_smaller=True))
    if config.get("resample", config.get("resample_resolution") is not None):
        x, y, z = _numbers(config, "resample_resolution", 3, source)
        least, most = ((x * part, y * part, z * part) for part in (LEAST, MOST))
        steps.append(Spacing((x, y, z), least=least, most=most))
    return Preprocessing((*steps, *_intensities(config, source)), 0.0)


def read_window_settings(config: Mapping[str, Any], source: str) -> dict[str, Any]:
    """A card's values for the sliding windows.

    Raises:
        InputError: they are no three whole numbers, or another inferer is named that cannot be followed.
    """
    if config.get("sliding_inferrer") is not None:
        try:
            windows = read_windows({**config, "inferer": config["sliding_inferrer"]}) or {}
        except Unsuited as reason:
            raise InputError(f"{source} {reason}.") from reason
        if windows.pop("pad_value") != 0:
            raise InputError(f"{source} pads small images by another value than 0, which is not followed.")
        return windows
    sides = _numbers(config, "roi_size", 3, source)
    if not all(side.is_integer() and 8 <= side <= 1024 for side in sides):
        raise InputError(f"'roi_size' of {source} must be three whole numbers from 8 to 1024, not {config.get('roi_size')!r}.")
    return {"roi_size": tuple(int(side) for side in sides), "overlap": OVERLAP, "blend": "gaussian"}


def read_network(config: Mapping[str, Any], source: str) -> dict[str, Any]:
    """``network`` as a card's: class and arguments.

    Raises:
        InputError: it is another than a SegResNet, or not said plainly.
    """
    target = resolve(config.get("network"), dict(config))
    named = target.get("_target_") if isinstance(target, dict) else None
    kind = str(named).removeprefix("monai.networks.nets.").removeprefix("segresnet_ds.").removeprefix("segresnet.")
    if not isinstance(target, dict) or kind not in NETWORKS:
        raise InputError(f"The network {named!r} of {source} is not supported: Auto3DSeg models can be {' or '.join(NETWORKS)}.")
    if not is_plain(target):
        raise InputError(f"The network of {source} has settings that only running its configuration would tell.")
    network = {key: value for key, value in target.items() if not key.startswith("_") and value is not None}
    if network.get("spatial_dims", 3) != 3:
        raise InputError(f"{source} is a 2D model, and Agg2Exp explains 3D networks: give a 3D model.")
    if config.get("anisotropic_scales") and kind == "SegResNetDS":
        network.setdefault("resolution", list(_numbers(config, "resample_resolution", 3, source)))
    if "norm" in network:
        network["norm"] = _plain_norm(network["norm"])
    return {"class": kind, **network}


def drops_background(config: Mapping[str, Any], channels: int) -> bool:
    """Whether the first of several overlapping channels is made of the label 0 alone."""
    index = config.get("class_index")
    return bool(config.get("sigmoid", False)) and channels > 1 and isinstance(index, list) and index[:1] == [[0]]


def label_names(config: Mapping[str, Any], table: Mapping[int, str], count: int, shift: int) -> list[str]:
    """Names of the background and of so many labels, from ``labels.csv``, else ``class_names``, else numbers.

    Args:
        config: of the checkpoint.
        table: names by label value.
        count: labels without the background.
        shift: channels before the first label.

    Raises:
        InputError: there are more labels than Agg2Exp handles.
    """
    if not 1 <= count < MAX_LABELS:
        raise InputError(f"The model has {count} labels, and Agg2Exp handles 1 to {MAX_LABELS - 1}.")
    names = config.get("class_names")
    given = [str(name) for name in names] if isinstance(names, list) else []
    if len(given) == count + shift:
        given = given[shift:]
    elif len(given) == count + 1:  # the background named too
        given = given[1:]
    if len(given) != count or any(name.startswith("acc_") for name in given):
        given = [f"label_{value}" for value in range(1, count + 1)]
    return ["background", *(table.get(value, given[value - 1]) for value in range(1, count + 1))]


def _intensities(config: Mapping[str, Any], source: str) -> list[Step]:
    mode = config.get("normalize_mode")
    if mode is None:
        mode = "range" if str(config.get("modality", "")).lower() == "ct" else "meanstd"
    if mode == "none":
        return []
    if mode in ("range", "ct"):
        given = config.get("intensity_bounds") is not None
        low, high = _numbers(config, "intensity_bounds", 2, source) if given else NO_BOUNDS
        if not low < high:
            raise InputError(f"'intensity_bounds' of {source} must rise, not {low:g} to {high:g}.")
        return [ScaleRange(low, high, -1.0, 1.0), Squash("sigmoid")]
    if mode in ("meanstd", "mri", "meanstdtanh"):
        return [Normalise(nonzero=True), *([Squash("tanh")] if mode == "meanstdtanh" else [])]
    raise InputError(f"{source} prepares its images by 'normalize_mode' {mode!r}, which is not followed.")


def _refuse_other_images(config: Mapping[str, Any], source: str) -> None:
    modality = str(config.get("modality", "ct")).lower()
    if "ct" not in modality:
        raise InputError(f"{source} is for {modality.upper()} images, and Agg2Exp explains networks for CT: give a model for CT.")
    extra, channels = config.get("extra_modalities"), config.get("input_channels", 1)
    if extra or (isinstance(channels, int) and channels > 1):
        raise InputError(f"{source} takes several images at once, and a CT is one: give weights of a network for CT alone.")


def _numbers(config: Mapping[str, Any], key: str, count: int, source: str) -> tuple[float, ...]:
    value = config.get(key)
    parts = list(value) if isinstance(value, list | tuple) else [value]
    numbers = [part for part in parts if isinstance(part, int | float) and not isinstance(part, bool) and math.isfinite(part)]
    if len(numbers) != len(parts) or len(parts) != count:
        raise InputError(f"'{key}' of {source} must be {count} numbers, not {value!r}.")
    return tuple(float(number) for number in numbers)


def _plain_norm(norm: Any) -> Any:
    """The normalisation without NVIDIA's own implementation of it, which computes the same."""
    if isinstance(norm, str):
        return "INSTANCE" if norm.upper() == "INSTANCE_NVFUSER" else norm
    if isinstance(norm, list | tuple) and norm:
        return [_plain_norm(norm[0]), *norm[1:]]
    return norm
