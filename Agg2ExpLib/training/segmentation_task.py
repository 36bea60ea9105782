"""Training of segmentation networks: windows, Dice + cross-entropy, Dice on the cases kept out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..models.model_card import ModelCard
from .card import training_record
from .monitor import Progress
from .network_choice import network_spec, new_network
from .settings import TrainSettings
from .sources import Source, scale
from .validation import Scores, validate, write_history

if TYPE_CHECKING:
    import torch

RECIPE = "Dice + cross-entropy loss over the foreground, {optimizer}, cosine annealing"


class SegmentationTask:
    """Labels of every voxel.

    Args:
        settings: of the run.
        source: where windows come from.

    Raises:
        InputError: there is no such network, or weights are given for a label that does not exist.
    """

    measure, title, higher_is_better = "dice", "Dice", True

    def __init__(self, settings: TrainSettings, source: Source):
        self.settings, self.source = settings, source
        self.outputs = tuple(label.name for label in source.labels)
        self.spec = network_spec(settings.network, settings.network_options, len(self.outputs), settings.roi)
        if unknown := [name for name in settings.label_weights if name not in self.outputs]:
            raise InputError(f"⟨label_weights⟩ names '{unknown[0]}', which is no label: there are {', '.join(self.outputs)}.")

    def new_network(self, device: str) -> torch.nn.Module:
        """See :meth:`~Agg2ExpLib.training.task.Task.new_network`."""
        network = new_network(self.spec, self.settings.roi)
        if self.settings.precision == "bfloat16" and device == "cpu" and self.spec["class"] == "SwinUNETR":
            # oneDNN's bfloat16 weight gradient of the bottleneck's 2x2x2 voxels is at times not finite.
            _keep_float32(network.get_submodule("encoder10"))
        return network

    def make_loss(self, device: torch.device) -> Callable[[Any, torch.Tensor], torch.Tensor]:
        """Dice + cross-entropy over the foreground labels, as in the paper."""
        import torch
        from monai.losses import DiceCELoss

        weight = torch.tensor([float(self.settings.label_weights.get(name, 1.0)) for name in self.outputs])
        loss = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True, weight=weight).to(device)
        return lambda logits, target: loss(logits.float(), target)

    def draw(self, rng: np.random.Generator, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """A window ``[1, x, y, z]`` and its labels."""
        import torch

        example = self.source.window(rng, index)
        image = torch.from_numpy(scale(example.ct, self.settings.hu_window))[None]
        return image, torch.from_numpy(np.ascontiguousarray(example.labels))[None].long()

    def validate(self, network: torch.nn.Module, fabric: Any = None) -> Scores:
        """Dice on the source's validation cases."""
        return validate(network, self.source, self.settings, fabric)

    def examine(self, network: torch.nn.Module) -> Scores:
        """The same."""
        return self.validate(network)

    def write_history(self, path: Path, history: Sequence[Mapping[str, Any]]) -> None:
        """Columns step, loss, set, label, dice, volumes."""
        write_history(path, history)

    def card(self, progress: Progress, scores: Mapping[str, Any], licence: str | None, citation: str | None) -> ModelCard:
        """See :meth:`~Agg2ExpLib.training.task.Task.card`."""
        told = self.source.describe()
        record = training_record(self.settings, progress, RECIPE)
        return ModelCard(
            labels=self.source.labels,
            spacing=self.settings.spacing,
            hu_window=self.settings.hu_window,
            roi_size=self.settings.roi,
            network=self.spec,
            citation=citation or told.get("citation"),
            licence=licence or told.get("licence"),
            intended_use=told.get("intended_use"),
            metrics={self.measure: dict(scores), "data": told["data"], "training": record},
        )


def _keep_float32(module: torch.nn.Module) -> None:
    """Let a module calculate in float32 within autocast."""
    import torch

    forward: Callable[[torch.Tensor], torch.Tensor] = module.forward

    def in_float32(value: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):
            return forward(value.float())

    module.forward = in_float32
