"""The memory of a slice classifier: chunks of slices that become smaller where they do not fit."""

from __future__ import annotations

from typing import Any

from ..monitor import Monitor

_LEAST_PIXELS = 2**14


class SliceMemory:
    """Stands where a segmentation network has its :class:`~.window_memory.WindowMemory`; puts the chunks back after ``with``.

    Args:
        network: a slice classifier, at work.
        monitor: is told when chunks become smaller.
    """

    def __init__(self, network: Any, monitor: Monitor):
        self._network = network
        self._monitor = monitor
        self._before = self._network.chunk_pixels

    def needed(self, gradients: bool) -> float | None:
        """Nobody can tell: it follows from the backbone."""
        return None

    def prepare(self) -> None:
        """Nothing is done before it is needed: a chunk is small."""

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
