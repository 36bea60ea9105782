"""Small Swin UNETRs and the files they come in, for the tests of models and bundles."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from Agg2ExpLib.models import swin_unetr

SWIN_ARGUMENTS = {
    "in_channels": 1,
    "out_channels": 3,
    "feature_size": 12,
    "depths": (1, 1, 1, 1),
    "num_heads": (1, 2, 2, 4),
    "window_size": 3,
}
SWIN_CARD = {"labels": ["background", "aorta", "heart"], "spacing": 2, "hu_window": [-500, 500], "roi_size": [64, 32, 32]}


def swin(seed: int = 0, **changes) -> torch.nn.Module:
    """A small Swin UNETR; tensors with a constant start (norms, running statistics) are made random, so that each matters."""
    torch.manual_seed(seed)
    network = swin_unetr.build({**SWIN_ARGUMENTS, **changes}).eval()
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point() and tensor.ndim == 1:
                tensor.copy_(0.5 + torch.rand_like(tensor))
    return network


def same_outputs(one: torch.nn.Module, other: torch.nn.Module, size: tuple[int, int, int] = (64, 32, 32)) -> bool:
    """Whether two networks give the very same output for a random image."""
    image = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return torch.equal(one(image), other(image))


def save(folder: Path, tensors: dict, card: dict | None = None, name: str = "w.safetensors") -> Path:
    """Write tensors as a weights file, with a model card beside it if one is given."""
    if name.endswith(".safetensors"):
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / name)
    else:
        torch.save(tensors, folder / name)
    if card is not None:
        (folder / name).with_suffix(".json").write_text(json.dumps(card))
    return folder / name
