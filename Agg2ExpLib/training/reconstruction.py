"""How far what an autoencoder gives back is from the CT, by tissue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .sources import scale

if TYPE_CHECKING:
    import torch

# HU of tissues in the CT as it was; what lies above may be bone or contrast agent.
TISSUES: dict[str, tuple[float, float]] = {
    "air": (-np.inf, -950.0),
    "lung": (-950.0, -500.0),
    "fat": (-150.0, -30.0),
    "soft tissue": (-30.0, 100.0),
    "bone and contrast agent": (100.0, np.inf),
}
_SLICES = 8  # pass the network together


@dataclass(frozen=True)
class Errors:
    """Mean absolute HU errors of a validation.

    Attributes:
        tables: for each set of cases ``[cases, 1 + tissues]``, all voxels first; NaN where a case has none of a tissue.
    """

    tables: Mapping[str, np.ndarray]

    @property
    def mean(self) -> float:
        """Over the tissues, then cases, then sets: the air around a body must not hide what is within; NaN for nothing."""
        found = [float(np.nanmean(table[:, 1:])) for table in self.tables.values() if table.size]
        return float(np.mean(found)) if found else float("nan")

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """For each set: cases, mean, and the error of each tissue in HU, rounded to a tenth."""
        result: dict[str, dict[str, Any]] = {}
        for group, table in self.tables.items():
            entry: dict[str, Any] = {"volumes": len(table), "mean": round(float(np.nanmean(table[:, 1:])), 1)}
            for number, name in enumerate(("all voxels", *TISSUES)):
                column = table[:, number]
                entry[name] = None if np.isnan(column).all() else round(float(np.nanmean(column)), 1)
            result[group] = entry
        return result

    def lines(self) -> Sequence[str]:
        """For people."""
        told = []
        for group, values in self.to_dict().items():
            told.append(f"Mean absolute error in HU, {group.replace('_', ' ')} ({values['volumes']}):")
            told += [f"  {name:26} {value}" for name, value in values.items() if name != "volumes" and value is not None]
        return told


def errors_of(hu: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Mean absolute error of all voxels and of each tissue of :data:`TISSUES`, HU; NaN where there are none.

    Args:
        hu: the CT.
        back: what came back, same shape.
    """
    difference = np.abs(np.asarray(back, np.float32) - hu)
    found = [float(difference.mean())]
    for low, high in TISSUES.values():
        within = (hu >= low) & (hu < high)
        found.append(float(difference[within].mean()) if within.any() else float("nan"))
    return np.array(found)


def give_back(network: torch.nn.Module, hu: np.ndarray, window: Sequence[float], device: Any = "cpu") -> np.ndarray:
    """What comes back of a CT ``[x, y, z]``, float32 HU, by chunks of axial slices."""
    import torch

    parts = []
    with torch.no_grad():
        for start in range(0, hu.shape[2], _SLICES):
            image = torch.from_numpy(scale(hu[..., start : start + _SLICES], window))[None, None].to(device)
            parts.append(network(image)[0, 0].float().cpu().numpy())
    intensity = np.concatenate(parts, axis=2)
    return (intensity * np.float32(window[1] - window[0]) + np.float32(window[0])).astype(np.float32)
