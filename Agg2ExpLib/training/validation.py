"""Dice of every label on the cases kept out of training, and its table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..inference.sliding_window import OVERLAP
from ..models.labels import Label
from ..roi_importance.dice import dice_per_label
from ..system.files import replacing
from .scores import device_of
from .settings import TrainSettings
from .sources import Source, scale

if TYPE_CHECKING:
    import torch

FEWEST_VOXELS = 20  # a label cut down to less than this says nothing about the network


@dataclass(frozen=True)
class Scores:
    """Dice of a validation.

    Attributes:
        labels: of the network, background first.
        tables: for each set of cases float ``[cases, labels]``, NaN where the reference lacks a label (and for the background).
    """

    labels: tuple[Label, ...]
    tables: Mapping[str, np.ndarray]

    @property
    def mean(self) -> float:
        """Mean over labels of the mean over cases, then over sets; NaN when there is nothing to measure."""
        means = [np.nanmean(columns) for table in self.tables.values() if len(columns := _column_means(table))]
        return float(np.mean(means)) if means else float("nan")

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """For each set: cases, mean, and Dice by label (None where no case has it), rounded to three places."""
        result: dict[str, dict[str, Any]] = {}
        for group, table in self.tables.items():
            known = _column_means(table)
            entry: dict[str, Any] = {"volumes": len(table), "mean": round(float(known.mean()), 3) if len(known) else None}
            for label in self.labels[1:]:
                column = table[:, label.index]
                entry[label.name] = None if np.isnan(column).all() else round(float(np.nanmean(column)), 3)
            result[group] = entry
        return result

    def lines(self) -> list[str]:
        """For people: Dice of every label."""
        found = []
        for group, values in self.to_dict().items():
            found.append(f"Dice, {group.replace('_', ' ')} ({values['volumes']}):")
            for name, value in values.items():
                if name not in ("volumes", "mean"):
                    found.append(f"  {name:26} {'not there' if value is None else f'{value:.3f}'}")
            found.append(f"  {'mean':26} {values['mean']}")
        return found


def _column_means(table: np.ndarray) -> np.ndarray:
    """Mean of every label that at least one case has."""
    columns = table[:, ~np.isnan(table).all(axis=0)]
    return np.nanmean(columns, axis=0) if columns.size else np.empty(0)


def predict(network: torch.nn.Module, hu: np.ndarray, settings: TrainSettings, device: Any = "cpu") -> np.ndarray:
    """Labels (uint8 ``[x, y, z]``) of a CT in HU on the model grid, by sliding windows with Gaussian blending."""
    import torch
    from monai.inferers import sliding_window_inference

    with torch.no_grad():
        image = torch.from_numpy(scale(hu, settings.hu_window))[None, None].to(device)
        logits = sliding_window_inference(image, settings.roi, 1, network, overlap=OVERLAP, mode="gaussian")
    assert isinstance(logits, torch.Tensor)
    return logits[0].argmax(0).cpu().numpy().astype(np.uint8)


def validate(network: torch.nn.Module, source: Source, settings: TrainSettings, fabric: Any = None) -> Scores:
    """Dice on the source's validation cases; with several processes each takes its share of the cases."""
    import torch

    rank, ranks = (fabric.global_rank, fabric.world_size) if fabric else (0, 1)
    device = device_of(network)
    training = network.training
    network.eval()
    rows: dict[str, list[np.ndarray]] = {}
    try:
        for number, case in enumerate(source.validation()):
            row = np.zeros(len(source.labels))
            if number % ranks == rank:
                prediction = predict(network, case.example.ct, settings, device)
                row = dice_per_label(prediction, case.example.labels, range(len(source.labels)))
                voxels = np.bincount(case.example.labels.ravel(), minlength=len(row))[: len(row)]
                row[voxels < FEWEST_VOXELS] = np.nan
                row[0] = np.nan
            if ranks > 1:
                row = fabric.all_reduce(torch.from_numpy(row).to(device), reduce_op="sum").cpu().numpy()
            rows.setdefault(case.group, []).append(row)
    finally:
        network.train(training)
    return Scores(source.labels, {group: np.stack(table) for group, table in rows.items()})


def write_history(path: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """All validations as a tidy CSV: step, loss, set, label, dice, volumes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "loss", "set", "label", "dice", "volumes"])
    for entry in history:
        for group, values in entry["dice"].items():
            for label, value in values.items():
                if label != "volumes":
                    shown = "" if value is None else value
                    writer.writerow([entry["step"], entry["loss"], group, label, shown, values["volumes"]])
    with replacing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
