"""The memory of a slice classifier: chunks of slices that become smaller where they do not fit."""

from __future__ import annotations

from typing import Any

from ..monitor import Monitor
from .compute import Compute

_LEAST_PIXELS, _MOST_PIXELS = 2**14, 2**24
_BYTES_A_PIXEL = 2100  # that a ResNet-18 keeps of a chunk in float32, measured on an H100
_SHARE = 0.25  # of a GPU's free memory for one chunk


class SliceMemory:
    """Stands where a segmentation network has its :class:`~.window_memory.WindowMemory`; puts the chunks back after ``with``.

    Args:
        network: a slice classifier, at work.
        compute: where; a GPU with room takes larger chunks, which keep it busy (128 slices of 256² at a time instead of 8 took half
            the time).
        monitor: is told when chunks become smaller.
    """

    def __init__(self, network: Any, compute: Compute, monitor: Monitor):
        self._network, self._compute, self._monitor = network, compute, monitor
        self._before = self._network.chunk_pixels

    def needed(self, gradients: bool) -> float | None:
        """Nobody can tell: it follows from the backbone."""
        return None

    def prepare(self) -> None:
        """Larger chunks where a GPU has room for them."""
        if self._compute.device.type == "cuda":
            self._network.chunk_pixels = chunk_for(self._compute.free_memory(), self._before)

    def save(self) -> bool:
        """After a pass did not fit: a quarter of the slices at a time; whether that was possible."""
        if self._network.chunk_pixels <= _LEAST_PIXELS:
            return False
        self._network.chunk_pixels //= 4
        self._monitor.notice(
            "The slices did not fit into memory together: fewer pass the network at a time, with the same numbers."
        )
        return True

    def record(self) -> dict[str, Any] | None:
        """What ``run.json`` tells."""
        return {"chunk_pixels": self._network.chunk_pixels}

    def __enter__(self) -> SliceMemory:
        return self

    def __exit__(self, *_unused: object) -> None:
        self._network.chunk_pixels = self._before


def chunk_for(free: int, least: int) -> int:
    """Pixels of the slices in one chunk on a GPU with ``free`` bytes; ``least`` is what the network asks for by itself."""
    return max(least, min(int(free * _SHARE / _BYTES_A_PIXEL), _MOST_PIXELS))
