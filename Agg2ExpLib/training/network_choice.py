"""The networks that ``agg2exp train`` offers: MONAI classes with the settings people train them with on CT."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:
    import torch

# name → MONAI class and its arguments; the Swin UNETRs are the paper's.
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "swin_unetr": ("SwinUNETR", {"feature_size": 48}),
    "swin_unetr_v2": ("SwinUNETR", {"feature_size": 48, "use_v2": True}),
    "unetr": ("UNETR", {}),
    "unet": (
        "UNet",
        {"spatial_dims": 3, "channels": [32, 64, 128, 256, 320], "strides": [2, 2, 2, 2], "num_res_units": 2, "norm": "INSTANCE"},
    ),
}


def network_spec(name: str, options: Mapping[str, Any], channels: int, roi: Sequence[int]) -> dict[str, Any]:
    """Class and arguments of a network, as the model card keeps them.

    Args:
        name: a key of :data:`NETWORKS`.
        options: arguments of the MONAI class that differ from the table.
        channels: labels with the background.
        roi: window in voxels, which UNETR must know.

    Raises:
        InputError: unknown name.
    """
    if name not in NETWORKS:
        raise InputError(f"There is no network '{name}': choose one of {', '.join(NETWORKS)}.")
    kind, defaults = NETWORKS[name]
    spec: dict[str, Any] = {"class": kind, "in_channels": 1, "out_channels": channels, **defaults, **options}
    if kind == "UNETR":
        spec.setdefault("img_size", list(roi))
    return spec


def new_network(spec: Mapping[str, Any], roi: Sequence[int]) -> torch.nn.Module:
    """A network with fresh weights (from torch's seed).

    Raises:
        InputError: MONAI refuses an argument, or the window does not suit the network.
    """
    import torch
    from monai.networks import nets

    arguments = {key: tuple(value) if isinstance(value, list) else value for key, value in spec.items() if key != "class"}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MONAI's notices to its own callers
            network: torch.nn.Module = getattr(nets, spec["class"])(**arguments).eval()
            with torch.no_grad():
                produced = tuple(network(torch.zeros(1, 1, *roi)).shape[1:])
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{spec['class']} cannot be built with {_words(spec)} for windows of {'x'.join(map(str, roi))} voxels "
            f"({reason}): change ⟨network_options⟩ or ⟨roi⟩."
        ) from None
    if produced != (spec["out_channels"], *roi):
        raise InputError(
            f"{spec['class']} turns a window of {'x'.join(map(str, roi))} voxels into {'x'.join(map(str, produced[1:]))}: "
            "choose a ⟨roi⟩ whose sides are multiples of 32."
        )
    return network.train()


def _words(spec: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in spec.items() if key not in ("class", "in_channels", "out_channels"))
