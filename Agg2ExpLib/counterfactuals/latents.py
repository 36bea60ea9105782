"""A CT as an autoencoder's latents: there, back, and how a gradient of the CT is pulled back to them.

Slices pass the autoencoder in chunks, so that memory is that of one chunk, however long the scan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from ..errors import InputError
from ..inference.compute import Compute
from ..models.model import Model
from ..monitor import Monitor

if TYPE_CHECKING:
    import torch

    from ..models.slice_autoencoder import SliceAutoencoder

_CHUNK_PIXELS = 2**18  # of slices that pass together


def check_covers(autoencoder: Model, lowest: float, highest: float, name: str) -> None:
    """That an autoencoder gives back all HU that a model can tell apart.

    Args:
        lowest, highest: HU beyond which the model sees no difference.
        name: of the model.

    Raises:
        InputError: its HU window is narrower by more than 2 % of the model's.
    """
    assert autoencoder.card.hu_window is not None, "checked when it was loaded"
    low, high = autoencoder.card.hu_window
    allowed = 0.02 * (highest - lowest)
    if low > lowest + allowed or high < highest - allowed:
        raise InputError(
            f"The autoencoder {autoencoder.name} gives back {low:g} to {high:g} HU, but {name} sees {lowest:g} to {highest:g} HU: "
            "give an autoencoder with an HU window that holds the model's."
        )


class Latents:
    """What an autoencoder makes of a CT. Its network must be at work.

    Args:
        autoencoder: of slices such as the CT has.
        hu: the CT ``[x, y, z]``.
        compute: device and precision; half precision is not used here.
        monitor: is asked whether to stop.

    Attributes:
        start: latents ``[slices, channels, h, w]`` of the CT.
    """

    def __init__(self, autoencoder: Model, hu: np.ndarray, compute: Compute, monitor: Monitor):
        import torch

        assert autoencoder.card.hu_window is not None, "checked when it was loaded"
        self._network = cast("SliceAutoencoder", autoencoder.network)
        self._window, self._range = autoencoder.card.hu_window, autoencoder.card.intensity_range
        self._compute, self._monitor = compute, monitor
        self.axis = int(getattr(autoencoder.network, "axis", 2))
        slices = np.moveaxis(np.clip(hu, *self._window), self.axis, 0)
        self.size = (int(slices.shape[1]), int(slices.shape[2]))
        parts = []
        for chunk in self._chunks(slices.shape[0]):
            intensity = torch.from_numpy(np.ascontiguousarray(slices[chunk], dtype=np.float32)).to(compute.device, compute.dtype)
            intensity = (intensity - self._window[0]) * self._rise + self._range[0]
            with torch.no_grad(), compute.arithmetic():
                parts.append(self._network.encode(intensity[:, None]))
        self.start: torch.Tensor = torch.cat(parts)

    @property
    def slices(self) -> int:
        """How many there are."""
        return int(self.start.shape[0])

    @property
    def _rise(self) -> float:
        """Intensity that one HU is."""
        return (self._range[1] - self._range[0]) / (self._window[1] - self._window[0])

    def decode(self, latents: torch.Tensor) -> np.ndarray:
        """The CT ``D(z)`` that latents stand for, HU ``[x, y, z]`` in the compute's precision, clipped to the HU window."""
        import torch

        parts = []
        for chunk in self._chunks(self.slices):
            with torch.no_grad(), self._compute.arithmetic():
                parts.append(self._hu(latents[chunk]).clamp(*self._window)[:, 0].cpu().numpy())
        return np.ascontiguousarray(np.moveaxis(np.concatenate(parts), 0, self.axis))

    def pull_back(self, latents: torch.Tensor, gradient: np.ndarray, chosen: slice = slice(None)) -> torch.Tensor:
        """``∂f/∂z = (∂D/∂z)ᵀ ∂f/∂D``, by vector-Jacobian products of one chunk of slices at a time: exact.

        Args:
            latents: where the derivative is taken.
            gradient: of f with respect to the HU of ``D(z)``, ``[x, y, z]``.
            chosen: slices whose latents may change; the rest get a gradient of 0, as the paper does to save memory.
        """
        import torch

        result = torch.zeros_like(latents)
        cotangents = np.moveaxis(gradient, self.axis, 0)
        wanted = range(self.slices)[chosen]
        for chunk in self._chunks(len(wanted)):
            place = slice(wanted[chunk].start, wanted[chunk].stop)
            point = latents[place].detach().requires_grad_(True)
            cotangent = torch.from_numpy(np.ascontiguousarray(cotangents[place])).to(point.device, point.dtype)
            with torch.enable_grad(), self._compute.arithmetic():
                back = self._hu(point).clamp(*self._window)
            (result[place],) = torch.autograd.grad(back, point, cotangent[:, None])
        return result

    def _hu(self, latents: torch.Tensor) -> torch.Tensor:
        intensity: torch.Tensor = self._network.decode(latents, self.size)
        return (intensity - self._range[0]) / self._rise + self._window[0]

    def _chunks(self, count: int) -> list[slice]:
        size = max(_CHUNK_PIXELS // (self.size[0] * self.size[1]), 1)
        chunks = []
        for start in range(0, count, size):
            self._monitor.check()
            chunks.append(slice(start, min(start + size, count)))
        return chunks


def parse_slices(first: int, last: int, count: int) -> slice:
    """The slices from ``first`` to ``last`` (both counted in, from 0).

    Raises:
        InputError: there are not so many.
    """
    if not 0 <= first <= last:
        raise InputError(f"⟨slices⟩ must be FIRST:LAST with 0 ≤ FIRST ≤ LAST, not {first}:{last}.")
    if last >= count:
        raise InputError(f"The CT has {count} slices on the model's grid, 0 to {count - 1}: ⟨slices⟩ {first}:{last} asks for more.")
    return slice(first, last + 1)


def share_of_change(before: np.ndarray, after: np.ndarray, low: float) -> float:
    """``Σ|x_λ − x_0| / Σ|x_0|`` of the two, HU counted from the lower end of the window, as intensities are."""
    whole = float(np.abs(before - low).sum(dtype=np.float64))
    return float(np.abs(after - before).sum(dtype=np.float64)) / whole if whole else 0.0
