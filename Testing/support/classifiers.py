"""Small slice classifiers for tests, as networks and as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from Agg2ExpLib.models.classifiers import new_classifier

CLASSES = ("opacity", "effusion", "contrast")


def classifier_spec(pooling: str = "attention", axes: tuple[int, ...] = (2,), classes: int = len(CLASSES)) -> dict[str, Any]:
    """Description of a network of some ten thousand weights."""
    backbone: dict[str, Any] = {"class": "ResNet", "block": "basic", "layers": [1, 1, 1, 1], "block_inplanes": [4, 8, 16, 16]}
    backbone |= {"conv1_t_size": 3, "conv1_t_stride": 1, "no_max_pool": True, "feed_forward": False}
    return {
        "class": "SliceClassifier",
        "pooling": pooling,
        "axes": list(axes),
        "heads": 4,
        "out_channels": classes,
        "backbone": backbone,
    }


def small_classifier(pooling: str = "attention", axes: tuple[int, ...] = (2,), seed: int = 0) -> Any:
    """A float32 network in evaluation mode whose normalisation has seen something and whose attention prefers some slices."""
    torch.manual_seed(seed)
    network: Any = new_classifier(classifier_spec(pooling, axes))
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                statistics: Any = part
                statistics.running_mean.normal_(0, 0.1)
                statistics.running_var.uniform_(0.05, 0.3)
        if network.attention is not None:
            network.attention.in_proj_weight.mul_(6)
    return network.eval().requires_grad_(False)


def write_small_classifier(folder: Path, pooling: str = "attention", axes: tuple[int, ...] = (2,), output: str = "sigmoid") -> Path:
    """Weights and card; returns the weights file."""
    file = folder / f"classifier_{pooling}.safetensors"
    save_file({name: value.contiguous() for name, value in small_classifier(pooling, axes).state_dict().items()}, file)
    card = {"task": "classification", "classes": list(CLASSES), "spacing": 6, "hu_window": [-1024, 1024], "output": output}
    file.with_suffix(".json").write_text(json.dumps(card | {"network": classifier_spec(pooling, axes)}))
    return file
