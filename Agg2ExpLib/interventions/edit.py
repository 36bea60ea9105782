"""One change of a CT that somebody asks about: what is done to which region."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from ..system.names import safe_file_name
from .choices import ACTIONS, FILLS
from .fills import fill

_MOST_HU = 10000.0


@dataclass(frozen=True)
class Edit:
    """A change of the CT in some of its regions.

    Attributes:
        action: ``remove`` (filled, see :func:`~.fills.fill`), ``keep`` (everything else is filled), ``noise`` (Gaussian noise is
            added), ``shift`` (HU are added).
        regions: names; several count as one region.
        fill: of ``remove`` and ``keep``.
        amount: HU: standard deviation of the noise, or the shift.
        seed: of the noise.

    Raises:
        InputError: something that makes no sense.
    """

    action: str
    regions: tuple[str, ...]
    fill: str = "surroundings"
    amount: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise InputError(f"Unknown change '{self.action}': use {', '.join(ACTIONS)}.")
        if not self.regions:
            raise InputError("Name at least one region to change.")
        if self.fill not in FILLS:
            raise InputError(f"Unknown ⟨fill⟩ '{self.fill}': use {', '.join(FILLS)}.")
        if not math.isfinite(self.amount) or abs(self.amount) > _MOST_HU:
            raise InputError(f"⟨amount⟩ must be a number of HU within ±{_MOST_HU:g}, not {self.amount:g}.")
        if self.action == "noise" and self.amount <= 0:
            raise InputError("The noise must have a standard deviation above 0 HU: set ⟨amount⟩ to 50, say.")
        if self.action == "shift" and self.amount == 0:
            raise InputError("A shift by 0 HU changes nothing: set ⟨amount⟩ to 100, say.")
        if self.seed < 0:
            raise InputError(f"The ⟨seed⟩ must not be negative, but it is {self.seed}.")

    @property
    def title(self) -> str:
        """What is done, for people: ``without vertebraes (filled from its surroundings)``."""
        names = " and ".join(name.replace("_", " ") for name in self.regions)
        with_what = "filled from its surroundings" if self.fill == "surroundings" else f"filled with {self.fill.replace('_', ' ')}"
        return {
            "remove": f"without {names} ({with_what})",
            "keep": f"only {names} (the rest {with_what})",
            "noise": f"noise of {self.amount:g} HU in {names}",
            "shift": f"{names} {self.amount:+g} HU",
        }[self.action]

    @property
    def folder_name(self) -> str:
        """A name for files."""
        more = {"noise": f"_{self.amount:g}", "shift": f"_{self.amount:+g}"}.get(self.action, f"_{self.fill}")
        return safe_file_name(f"{self.action}_{'_'.join(self.regions)}"[:80] + more)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "action": self.action,
            "regions": list(self.regions),
            "fill": self.fill if self.action in ("remove", "keep") else None,
            "amount": self.amount if self.action in ("noise", "shift") else None,
            "seed": self.seed if self.action == "noise" else None,
        }

    def apply(self, hu: np.ndarray, mask: np.ndarray, spacing: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        """The changed CT, float32 ``[x, y, z]``, and where it may differ, boolean.

        Args:
            hu: the CT ``[x, y, z]``.
            mask: boolean ``[x, y, z]``, the regions.
            spacing: edges of a voxel in mm.

        Raises:
            InputError: the region is empty, or nothing would be changed or left.
        """
        words = " and ".join(self.regions)
        if not mask.any():
            raise InputError(f"The region {words} has no voxel in this result: name another.")
        if self.action == "keep" and mask.all():
            raise InputError(f"The region {words} covers the whole image, so keeping it alone changes nothing: name another.")
        if self.action in ("remove", "keep"):
            where = mask if self.action == "remove" else ~mask
            return fill(hu, where, self.fill, spacing), where
        changed = np.array(hu, dtype=np.float32)
        if self.action == "shift":
            changed[mask] += np.float32(self.amount)
        else:
            noise = np.random.default_rng(self.seed).standard_normal(int(mask.sum()), dtype=np.float32)
            changed[mask] += np.float32(self.amount) * noise
        return changed, mask
