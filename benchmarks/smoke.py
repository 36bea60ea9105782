"""Small things to measure for ``--smoke``: whether a benchmark still runs, in seconds and without any data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    from Agg2ExpLib.models.model import Model

SPACING = 8.0  # the coarsest that a phantom can have
ROI = 16
_TINY: dict[str, Any] = {"spatial_dims": 3, "in_channels": 1, "out_channels": 17, "channels": [4, 8], "strides": [2]}


def tiny_network() -> torch.nn.Module:
    """A network of 17 channels with random weights that takes milliseconds a window."""
    from monai.networks.nets import UNet
    from torch import manual_seed

    manual_seed(0)
    return UNet(**_TINY).eval().requires_grad_(False)


def tiny_weights(folder: Path) -> Path:
    """The tiny network's weights with a card beside them, for coarse grids."""
    from torch import save

    from Agg2ExpLib.models.labels import PAPER_LABELS

    weights = folder / "tiny.pt"
    save(tiny_network().state_dict(), weights)
    card = {
        "labels": [label.name for label in PAPER_LABELS],
        "spacing": [SPACING] * 3,
        "hu_window": [-1024, 1024],
        "roi_size": [ROI] * 3,
        "network": {"class": "UNet", **_TINY},
    }
    weights.with_suffix(".json").write_text(json.dumps(card), encoding="utf-8")
    return weights


def tiny_autoencoder() -> Model:
    """A small autoencoder with random weights, for coarse grids."""
    from torch import manual_seed

    from Agg2ExpLib.models.model import Model
    from Agg2ExpLib.models.slice_autoencoder import SliceAutoencoder

    manual_seed(0)
    network = SliceAutoencoder([4, 6], 3, [1, 1]).eval()
    return Model(network, (), spacing=(SPACING,) * 3, hu_window=(-1024, 1024), task="autoencoder", name="tiny")


def coarse_phantom(path: Path) -> Path:
    """A phantom's CT on a coarse grid."""
    from Agg2ExpLib.io.write import write_volume
    from Agg2ExpLib.synthetic.phantom import make_phantom

    phantom = make_phantom(0, (SPACING, SPACING, SPACING))
    write_volume(path, phantom.ct, phantom.affine, compress=True)
    return path


def invented_table(path: Path, patients: int = 22) -> Path:
    """A wide table as the paper's, of random matrices and Dice."""
    import csv

    from Agg2ExpLib.models.labels import PAPER_LABELS

    names, rng = [label.name for label in PAPER_LABELS], np.random.default_rng(0)
    sizes = rng.uniform(0.5, 2.0, len(names))
    rows: list[dict[str, object]] = []
    for number in range(patients):
        row: dict[str, object] = {"patient": f"p{number:02d}"}
        for label in names:
            mass = rng.dirichlet(np.full(len(names), 5.0))
            row |= {f"{label}_explanation_in_{roi}_mass": value for roi, value in zip(names, mass, strict=True)}
            row |= {f"{label}_explanation_in_{roi}_mean": value for roi, value in zip(names, mass / sizes, strict=True)}
        row |= {f"{label}_dice": rng.uniform(0.6, 0.99) for label in names[1:]}
        rows.append(row)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
