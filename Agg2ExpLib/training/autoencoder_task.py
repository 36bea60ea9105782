"""Training of slice autoencoders: slices of CT, absolute error of HU and of their edges, HU error by tissue on CTs kept out."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..models.autoencoders import SLICE_AUTOENCODER, new_autoencoder
from ..models.model_card import AUTOENCODER, WHOLE, ModelCard
from ..system.files import replacing
from .card import training_record
from .monitor import Progress
from .reconstruction import TISSUES, Errors, errors_of, give_back
from .scores import device_of
from .settings import TrainSettings
from .slices_source import SlicesSource
from .sources import scale

if TYPE_CHECKING:
    import torch

NETWORK = "slice_autoencoder"
RECIPE = "absolute error of intensities and of their differences between neighbours, {optimizer}, cosine annealing"
_DEFAULTS = {"channels": [32, 64, 96], "latent_channels": 32, "blocks": [1, 2]}
_EDGES = 0.5  # weight of the differences between neighbouring pixels


class AutoencoderTask:
    """Slices that are to come back as they were.

    Args:
        settings: of the run; the first two sides of ``roi`` are a slice.
        source: where slices come from.

    Raises:
        InputError: the network cannot be built.
    """

    measure, title, higher_is_better = "hu_error", "HU error", False

    def __init__(self, settings: TrainSettings, source: SlicesSource):
        self.settings, self.source = settings, source
        self.outputs: tuple[str, ...] = ()
        self.spec: dict[str, Any] = {"class": SLICE_AUTOENCODER, **_DEFAULTS, **settings.network_options}

    def new_network(self, device: str) -> torch.nn.Module:
        """See :meth:`~Agg2ExpLib.training.task.Task.new_network`."""
        import torch

        # Pixels with their channels side by side: a third faster on CPUs, and what GPUs want in half precision.
        network = new_autoencoder(self.spec).train()
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.settings.precision in ("bfloat16", "float16"):
            # Half precision knows HU to about 4 only: the last convolution, which makes them, stays precise.
            last = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)][-1]
            _keep_float32(last, device)
        return network

    def make_loss(self, device: torch.device) -> Callable[[Any, torch.Tensor], torch.Tensor]:
        """``mean |d| + 0.5 (mean |∂_x d| + mean |∂_y d|)`` of the difference ``d`` of intensities: edges count beside HU."""

        def loss(back: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
            difference = back.float() - wanted
            edges = difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()
            return difference.abs().mean() + _EDGES * edges

        return loss

    def draw(self, rng: np.random.Generator, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """A slice ``[1, x, y, 1]`` and itself without the noise that was added to it."""
        import torch

        seen, wanted = self.source.slice(rng)
        window = self.settings.hu_window
        return torch.from_numpy(scale(seen, window))[None], torch.from_numpy(scale(wanted, window))[None]

    def validate(self, network: torch.nn.Module, fabric: Any = None) -> Errors:
        """HU error by tissue on the source's validation cases."""
        import torch

        rank, ranks = (fabric.global_rank, fabric.world_size) if fabric else (0, 1)
        device = device_of(network)
        training, window = network.training, self.settings.hu_window
        network.eval()
        rows: dict[str, list[np.ndarray]] = {}
        try:
            for number, (group, _, hu) in enumerate(self.source.validation()):
                row = np.zeros(1 + len(TISSUES))
                if number % ranks == rank:
                    row = errors_of(hu.clip(*window), give_back(network, hu, window, device))
                if ranks > 1:
                    row = fabric.all_reduce(torch.from_numpy(row).to(device), reduce_op="sum").cpu().numpy()
                rows.setdefault(group, []).append(row)
        finally:
            network.train(training)
        return Errors({group: np.stack(table) for group, table in rows.items()})

    def examine(self, network: torch.nn.Module) -> Errors:
        """The same."""
        return self.validate(network)

    def write_history(self, path: Path, history: Sequence[Mapping[str, Any]]) -> None:
        """Columns step, loss, set, tissue, hu_error, volumes."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["step", "loss", "set", "tissue", self.measure, "volumes"])
        for entry in history:
            for group, values in entry[self.measure].items():
                for tissue, value in values.items():
                    if tissue != "volumes":
                        shown = "" if value is None else value
                        writer.writerow([entry["step"], entry["loss"], group, tissue, shown, values["volumes"]])
        with replacing(path) as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8")

    def card(self, progress: Progress, scores: Mapping[str, Any], licence: str | None, citation: str | None) -> ModelCard:
        """See :meth:`~Agg2ExpLib.training.task.Task.card`."""
        told = self.source.describe()
        record = training_record(self.settings, progress, RECIPE)
        return ModelCard(
            labels=(),
            spacing=self.settings.spacing,
            hu_window=self.settings.hu_window,
            roi_size=WHOLE,
            network=self.spec,
            citation=citation,
            licence=licence or told.get("licence"),
            intended_use=told["intended_use"],
            metrics={self.measure: dict(scores), "data": told["data"], "training": record},
            task=AUTOENCODER,
        )


def _keep_float32(module: torch.nn.Module, device: str) -> None:
    """Let a module calculate in float32 within autocast."""
    import torch

    forward: Callable[[torch.Tensor], torch.Tensor] = module.forward

    def in_float32(value: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device, enabled=False):
            return forward(value.float())

    module.forward = in_float32
