"""An autoencoder that gives back exactly what it gets, so that what is measured is the shift alone."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from Agg2ExpLib.models.autoencoders import new_autoencoder
from Agg2ExpLib.models.model import Model

SPEC = {"class": "SliceAutoencoder", "channels": [4], "latent_channels": 4, "blocks": [0, 0]}


def exact_network() -> torch.nn.Module:
    """Its latents are the four pixels of each 2 x 2 field."""
    network = new_autoencoder(SPEC)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                torch.nn.init.dirac_(layer.weight)
                torch.nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return network.eval().requires_grad_(False)


def exact_autoencoder(spacing: float = 6.0) -> Model:
    """The same in memory."""
    return Model(exact_network(), (), spacing=(spacing,) * 3, hu_window=(-1024, 1024), task="autoencoder", name="exact")


def write_exact_autoencoder(folder: Path, name: str = "exact", **changes: object) -> Path:
    """The same as weights of this name with their card; ``changes`` replace entries of the card."""
    path = folder / f"{name}.safetensors"
    save_file(exact_network().state_dict(), path)
    card = {"task": "autoencoder", "spacing": [6, 6, 6], "hu_window": [-1024, 1024], "network": SPEC} | changes
    path.with_suffix(".json").write_text(json.dumps(card))
    return path
