"""The memory of one window: foretold before a run, and made smaller where it does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..monitor import Monitor
from .checkpointing import Checkpointing
from .footprint import Footprint, choose_parts, footprint

if TYPE_CHECKING:
    import torch

    from .compute import Compute

# Interpreter and libraries, before anything is computed.
LIBRARIES_BYTES = 650e6
# A process holds more than what lives in it: freed blocks that nothing fits into, and scratch space inside convolutions. Measured
# on CPUs (benchmarks/RESULTS.md, memory of large windows); GPUs have their allocator's blocks.
_HELD = {"cpu": 1.3}
_HELD_ELSEWHERE = 1.15
# Following the network takes seconds, and smaller windows fit everywhere.
_LEAST_VOXELS = 48**3


def foretold_process_bytes(living: float) -> float:
    """Peak of a process on the CPU in which so many bytes live at most."""
    return LIBRARIES_BYTES + _HELD["cpu"] * living


class WindowMemory:
    """What a window of a network needs, and the means to need less; everything is put back at the end of ``with``.

    Args:
        network: at work, for windows in our order of axes.
        roi_size: of a window, in voxels.
        compute: device and precision.
        monitor: is told what is done.
    """

    def __init__(self, network: torch.nn.Module, roi_size: Sequence[int], compute: Compute, monitor: Monitor):
        self._network, self._roi_size = network, tuple(roi_size)
        self._compute, self._monitor = compute, monitor
        self._checkpointing: Checkpointing | None = None
        self._tried = False
        self._peak: int | None = None

    @cached_property
    def footprint(self) -> Footprint | None:
        """The cost of a window; None where it is too small to matter, or the network cannot be followed."""
        import math

        if math.prod(self._roi_size) < _LEAST_VOXELS:
            return None
        return footprint(self._network, self._roi_size, self._compute)

    @property
    def checkpointed(self) -> tuple[str, ...]:
        """Names of the parts that are computed a second time."""
        return self._checkpointing.parts if self._checkpointing is not None else ()

    def needed(self, gradients: bool) -> float | None:
        """Bytes that a window takes on the device, without the libraries; None where that cannot be told."""
        cost = self.footprint
        if cost is None:
            return None
        living = (self._peak or cost.gradient_bytes) if gradients else cost.forward_bytes
        return _HELD.get(self._compute.device.type, _HELD_ELSEWHERE) * living

    def prepare(self) -> None:
        """Before gradients are computed: checkpoint the network where a window would not fit, since a CPU's system ends the process
        without a word."""
        needed, free = self.needed(gradients=True), self._free()
        if self._tried or needed is None or needed <= free:
            return
        if not self._checkpoint():
            self._monitor.notice(
                f"One window of this model needs about {needed / 1e9:.1f} GB for its gradients, and {free / 1e9:.1f} GB are free: "
                "the run may end for lack of memory."
            )
            return
        self._tell(f"{needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free")
        lean = self.needed(gradients=True)
        if lean is not None and lean > free:
            self._monitor.notice(f"Even so a window needs about {lean / 1e9:.1f} GB: the run may end for lack of memory.")

    def save(self) -> bool:
        """After one window did not fit: checkpoint the network; whether that was new."""
        if not self._checkpoint():
            return False
        self._tell("more memory than the device has")
        return True

    def record(self) -> dict[str, Any] | None:
        """What ``run.json`` tells."""
        cost = self.footprint
        if cost is None and not self.checkpointed:
            return None
        return {
            "forward_bytes": cost.forward_bytes if cost else None,
            "gradient_bytes": cost.gradient_bytes if cost else None,
            "forward_flops": cost.forward_flops if cost else None,
            "checkpointed": list(self.checkpointed),
            "checkpointed_bytes": self._peak if self.checkpointed else None,
        }

    def __enter__(self) -> WindowMemory:
        return self

    def __exit__(self, *_unused: object) -> None:
        if self._checkpointing is not None:
            self._checkpointing.off()

    def _free(self) -> float:
        if self._compute.device.type == "cuda":
            return float(self._compute.free_memory())
        from ..system.memory import free_memory

        return free_memory()

    def _checkpoint(self) -> bool:
        if self._tried:
            return False
        self._tried = True
        cost = self.footprint or footprint(self._network, self._roi_size, self._compute)
        if cost is None:
            return False
        chosen = choose_parts(self._network, self._roi_size, self._compute, cost.gradient_bytes)
        if chosen is None:
            return False
        parts, self._peak = chosen
        try:
            self._checkpointing = Checkpointing(self._network, parts)
            self._checkpointing.on()
        except (AttributeError, TypeError, RuntimeError):  # TorchScript and other parts that cannot be covered
            self._checkpointing = None
            return False
        return True

    def _tell(self, why: str) -> None:
        self._monitor.notice(
            f"One window would need {why}: {len(self.checkpointed)} parts of the network are computed a second time instead of "
            "being kept (gradient checkpointing), which gives the same numbers, takes longer and needs less memory."
        )
