"""Builds autoencoders of CT slices from their description in a model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:
    import torch

SLICE_AUTOENCODER = "SliceAutoencoder"
AUTOENCODERS = (SLICE_AUTOENCODER,)
_SETTINGS = ("channels", "latent_channels", "blocks", "axis")


def new_autoencoder(spec: Mapping[str, Any]) -> torch.nn.Module:
    """An autoencoder with fresh weights (from torch's seed), float32, on the CPU.

    Args:
        spec: ``class`` and the arguments of :class:`~Agg2ExpLib.models.slice_autoencoder.SliceAutoencoder`.

    Raises:
        InputError: an unknown class, or a setting that makes no sense.
    """
    from .slice_autoencoder import SliceAutoencoder

    if spec.get("class") not in AUTOENCODERS:
        raise InputError(f"The network class {spec.get('class')!r} is no autoencoder: 'class' can be {', '.join(AUTOENCODERS)}.")
    arguments = {key: value for key, value in spec.items() if key != "class"}
    if unknown := [key for key in arguments if key not in _SETTINGS]:
        raise InputError(f"A SliceAutoencoder has no setting '{unknown[0]}': it has {', '.join(_SETTINGS)}.")
    return SliceAutoencoder(**arguments)


def describe(network: torch.nn.Module) -> str:
    """One line for people."""
    slices = ("sagittal", "coronal", "axial")[getattr(network, "axis", 2)]
    millions = sum(part.numel() for part in network.parameters()) / 1e6
    return f"SliceAutoencoder of {slices} slices, {getattr(network, 'stride', 8)} times down, {millions:.1f} million weights"
