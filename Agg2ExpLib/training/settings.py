"""What determines a training run; the defaults are the recipe of the Agg2Exp paper."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import InputError
from ..models.model_card import PAPER_HU_WINDOW, PAPER_ROI_SIZE, PAPER_SPACING, SEGMENTATION

PRECISIONS = ("auto", "float32", "bfloat16", "float16")
KEEP = ("best", "last")
OPTIMIZERS = {"adamw": "AdamW", "nadam": "NAdam"}  # with decoupled weight decay; how they are called in torch.optim
# A run that goes on may change these: they do not touch what was learnt so far.
_FREE = ("steps", "validate_every", "save_every", "keep", "float16_weights", "devices", "accelerator", "workers")


@dataclass(frozen=True)
class TrainSettings:
    """One training run.

    Attributes:
        task: what kind of network, a name of :data:`~Agg2ExpLib.training.kinds.KINDS`.
        seed: of the first weights, the windows drawn and their augmentation.
        steps: optimiser steps of the whole run.
        batch: windows a step, over all devices together.
        optimizer: a name of :data:`OPTIMIZERS`.
        learning_rate: at its peak; from there a cosine to 0 at the last step.
        weight_decay: decoupled from the gradient.
        warmup: steps over which the learning rate rises linearly.
        clip_norm: gradients are scaled down to this norm.
        roi: window in voxels; of networks that see whole volumes the field of view in training.
        spacing: mm per voxel of the model grid.
        hu_window: HU range that is clipped and scaled to [0, 1].
        network: a name that the task knows.
        network_options: arguments of its class that differ from the defaults.
        label_weights: weight in the loss of labels (or classes) that do not count once.
        precision: ``auto`` takes bfloat16 on a GPU that is fast at it, float32 elsewhere; others as named, mixed.
        accelerator, devices: of Lightning Fabric: ``auto``, ``cpu``, ``cuda``, ``mps``; how many, or ``auto``.
        workers: processes that prepare windows; 0 prepares them in the training process.
        validate_every: steps between validations.
        save_every: steps between checkpoints.
        keep: whether the weights of the best validation or the last ones are kept.
        float16_weights: write the weights in half the size.
    """

    seed: int = 0
    steps: int = 30000
    batch: int = 4
    learning_rate: float = 1e-4
    weight_decay: float = 1e-5
    warmup: int = 0
    clip_norm: float = 2.0
    roi: tuple[int, int, int] = PAPER_ROI_SIZE
    spacing: tuple[float, float, float] = PAPER_SPACING
    hu_window: tuple[float, float] = PAPER_HU_WINDOW
    network: str = "swin_unetr"
    network_options: Mapping[str, Any] = field(default_factory=dict)
    label_weights: Mapping[str, float] = field(default_factory=dict)
    task: str = SEGMENTATION
    optimizer: str = "adamw"
    precision: str = "auto"
    accelerator: str = "auto"
    devices: str = "1"
    workers: int = 0
    validate_every: int = 500
    save_every: int = 100
    keep: str = "best"
    float16_weights: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "validate_every", "save_every"):
            if getattr(self, name) < 1:
                raise InputError(f"⟨{name}⟩ must be at least 1, not {getattr(self, name)}.")
        if self.optimizer not in OPTIMIZERS:
            raise InputError(f"There is no ⟨optimizer⟩ '{self.optimizer}': choose one of {', '.join(OPTIMIZERS)}.")
        for name in ("seed", "warmup", "workers"):
            if getattr(self, name) < 0:
                raise InputError(f"⟨{name}⟩ must be 0 or more, not {getattr(self, name)}.")
        for name in ("learning_rate", "clip_norm"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"⟨{name}⟩ must be a number above 0, not {getattr(self, name)}.")
        if not 0 <= self.weight_decay < math.inf:
            raise InputError(f"⟨weight_decay⟩ must be 0 or more, not {self.weight_decay}.")
        if min(self.roi) < 1 or not all(0 < size < math.inf for size in self.spacing):
            raise InputError("⟨roi⟩ and ⟨spacing⟩ must be above 0.")
        if not self.hu_window[0] < self.hu_window[1]:
            raise InputError(f"⟨hu_window⟩ must rise, not {self.hu_window[0]} to {self.hu_window[1]}.")
        for label, weight in self.label_weights.items():
            if not 0 <= weight < math.inf:
                raise InputError(f"The weight of '{label}' in ⟨label_weights⟩ must be 0 or more, not {weight}.")

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of a step (from 0): a linear rise over the warm-up times a cosine to 0 at the end of the run."""
        rise = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        return self.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps)))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the model card and the checkpoint."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """Names of the entries that a run cannot change once it has begun and that are not those of ``other``."""
        return [key for key, value in self.to_dict().items() if key not in _FREE and other.get(key, value) != value]
