"""Small networks for tests, with instance norm and non-linearities like the real ones, and the weights files they come in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

# Voxel axes run to the patient's left, posterior and superior, as in most CT files.
CT_AFFINE = np.diag([-6.0, -6.0, 6.0, 1.0])
CT_AFFINE[:3, 3] = (100.0, 80.0, -300.0)
NAMES = ("background", "lung", "heart", "bone", "vessel")


def random_network(channels: int = 5, seed: int = 0, width: int = 6) -> torch.nn.Module:
    """A float64 network whose every output depends on the whole window (instance norm sees all of it)."""
    torch.manual_seed(seed)
    network = torch.nn.Sequential(
        torch.nn.Conv3d(1, width, 3, padding=1),
        torch.nn.InstanceNorm3d(width),
        torch.nn.GELU(),
        torch.nn.Conv3d(width, width, 3, padding=1),
        torch.nn.Softplus(),
        torch.nn.Conv3d(width, channels, 1),
        torch.nn.InstanceNorm3d(channels),  # no class wins everywhere
    )
    return network.double().eval().requires_grad_(False)


ABSENT = "vessel"


def write_small_model(folder: Path, spacing: float = 6.0, seed: int = 1) -> Path:
    """Weights and model card of a small U-Net with five labels, of which it never predicts the last; returns the weights file."""
    from monai.networks.nets import UNet

    torch.manual_seed(seed)
    arguments: dict[str, Any] = {"spatial_dims": 3, "in_channels": 1, "out_channels": len(NAMES)}
    arguments |= {"channels": [4, 8], "strides": [2]}
    state = UNet(**arguments).state_dict()
    bias = [name for name, value in state.items() if value.shape == (len(NAMES),)][-1]
    state[bias][NAMES.index(ABSENT)] = -1000.0
    weights = folder / "small.pt"
    torch.save({"state_dict": state}, weights)
    card = {
        "labels": list(NAMES),
        "spacing": [spacing] * 3,
        "hu_window": [-1024, 1024],
        "roi_size": [32, 32, 32],
        "network": {"class": "UNet", **arguments},
    }
    weights.with_suffix(".json").write_text(json.dumps(card))
    return weights


def small_chest(shape: tuple[int, int, int] = (34, 28, 40)) -> np.ndarray:
    """HU of an asymmetric body in air, int16 ``[x, y, z]``: fat, two lungs of unequal size, a bright heart off the middle."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")

    def ball(cx: float, cy: float, cz: float, rx: float, ry: float, rz: float) -> np.ndarray:
        return ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2 < 1

    hu = np.full(shape, -1000.0)
    hu[ball(0, 0, 0, 0.9, 0.8, 1.4)] = -90
    hu[ball(0.4, 0, 0.1, 0.35, 0.5, 0.7)] = -830
    hu[ball(-0.4, 0, 0.1, 0.3, 0.5, 0.7)] = -860
    hu[ball(-0.1, 0.25, -0.2, 0.35, 0.35, 0.4)] = 160
    hu[ball(0, -0.6, 0, 0.15, 0.15, 1.2)] = 420
    hu += np.random.default_rng(0).normal(0, 12, shape)
    return hu.round().astype(np.int16)
