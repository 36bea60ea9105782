"""Efficiency: the seconds that a piece of work takes, and the memory that it needs at most."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

from ..system.allocator import give_back_freed_memory

if TYPE_CHECKING:
    from ..inference.compute import Compute

_BETWEEN_SAMPLES_S = 0.005


class Meter:
    """Context that measures what happens inside it.

    On CUDA the memory is the most that torch's tensors took at once, weights included. Elsewhere it is the rise of the process's
    resident memory above its level before, looked at every 5 ms; memory freed earlier is given back to the system first where the C
    library can do that, so that the rise does not hide in it.

    Args:
        compute: the device.

    Attributes:
        seconds: elapsed time.
        peak_bytes: memory.
        memory_note: what the memory is.
    """

    def __init__(self, compute: Compute):
        self._device = compute.device
        self._on_cuda = compute.device.type == "cuda"
        self.seconds = 0.0
        self.peak_bytes = 0
        self.memory_note = "memory of the GPU, weights included" if self._on_cuda else "rise of the process's resident memory"

    def __enter__(self) -> Meter:
        if self._on_cuda:
            import torch

            torch.cuda.synchronize(self._device)
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            import psutil

            give_back_freed_memory()
            self._process = psutil.Process()
            self._before = self._peak = self._process.memory_info().rss
            self._ended = threading.Event()
            self._sampler = threading.Thread(target=self._sample, daemon=True)
            self._sampler.start()
        self._began = time.perf_counter()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._on_cuda:
            import torch

            torch.cuda.synchronize(self._device)
            self.seconds = time.perf_counter() - self._began
            self.peak_bytes = torch.cuda.max_memory_allocated(self._device)
            return
        self.seconds = time.perf_counter() - self._began
        self._ended.set()
        self._sampler.join()
        self.peak_bytes = max(self._peak, self._process.memory_info().rss) - self._before

    def _sample(self) -> None:
        while not self._ended.wait(_BETWEEN_SAMPLES_S):
            self._peak = max(self._peak, self._process.memory_info().rss)
