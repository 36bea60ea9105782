"""The memory of one window: foretold before a run, and made smaller where it does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..monitor import Monitor
from ..system.allocator import stop_keeping_freed_memory
from .averaged import is_averaged
from .checkpointing import Checkpointing
from .footprint import Footprint, choose_parts, footprint
from .slow_convolutions import WORTH_PAIRS
from .turned import inner, turn_of

if TYPE_CHECKING:
    import torch

    from .compute import Compute

# Interpreter and libraries, before anything is computed.
LIBRARIES_BYTES = 650e6
# A process holds more than what lives in it: freed blocks that nothing fits into, and scratch space inside convolutions. Measured
# on CPUs (benchmarks/RESULTS.md, memory of large windows); GPUs have their allocator's blocks.
_HELD = {"cpu": 1.3}
_HELD_ELSEWHERE = _HELD_RELEASED = 1.15
# Following the network takes seconds, and smaller windows fit everywhere.
_LEAST_VOXELS = 48**3


def foretold_process_bytes(living: float, released: bool = False) -> float:
    """Peak of a process on the CPU in which so many bytes live at most, and which keeps or gives back what it frees."""
    return LIBRARIES_BYTES + (_HELD_RELEASED if released else _HELD["cpu"]) * living


class WindowMemory:
    """What a window of a network needs, and the means to need less; everything is put back at the end of ``with``.

    Args:
        network: at work, for windows in our order of axes.
        roi_size: of a window, in voxels.
        compute: device and precision.
        monitor: is told what is done.
    """

    def __init__(self, network: torch.nn.Module, roi_size: Sequence[int], compute: Compute, monitor: Monitor):
        self._network = network
        # A mean of several passes does them one after the other and keeps next to nothing between them.
        seen, turn = inner(network), turn_of(network)
        averaged = is_averaged(seen)
        self._followed = seen.members[0] if averaged else network
        self._roi_size = turn.sizes(tuple(roi_size)) if averaged else tuple(roi_size)
        self._passes = seen.passes if averaged else 1
        above = "inner." if seen is not network else ""
        self._places = [f"{above}members.{number}." for number in range(len(seen.members))] if averaged else [""]
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
        return self._follow()

    @property
    def in_pairs(self) -> bool:
        """Whether windows go through two at once where nobody says how many, see ``compute.py``."""
        on_cpu = self._compute.device.type == "cpu" and self._compute.precision == "float32"
        return on_cpu and self.footprint is not None and self.footprint.slow_share >= WORTH_PAIRS

    @property
    def checkpointed(self) -> tuple[str, ...]:
        """Names of the parts that are computed a second time."""
        return self._checkpointing.parts if self._checkpointing is not None else ()

    def needed(self, gradients: bool) -> float | None:
        """Bytes that a window takes on the device, without the libraries; None where that cannot be told."""
        cost = self.footprint
        if cost is None:
            return None
        if gradients and self._peak is not None:
            return _HELD_RELEASED * self._peak
        return _HELD.get(self._compute.device.type, _HELD_ELSEWHERE) * (cost.gradient_bytes if gradients else cost.forward_bytes)

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

    def _follow(self) -> Footprint | None:
        cost = footprint(self._followed, self._roi_size, self._compute)
        return cost and replace(cost, forward_flops=self._passes * cost.forward_flops)

    def _checkpoint(self) -> bool:
        if self._tried:
            return False
        self._tried = True
        cost = self.footprint or self._follow()
        if cost is None:
            return False
        chosen = choose_parts(self._followed, self._roi_size, self._compute, cost.gradient_bytes)
        if chosen is None:
            return False
        parts, self._peak = chosen
        try:
            # Members of a mean are alike.
            self._checkpointing = Checkpointing(self._network, [f"{place}{part}" for place in self._places for part in parts])
            self._checkpointing.on()
        except (AttributeError, TypeError, RuntimeError):  # TorchScript and other parts that cannot be covered
            self._checkpointing, self._peak = None, None
            return False
        if self._compute.device.type == "cpu":
            stop_keeping_freed_memory()
        return True

    def _tell(self, why: str) -> None:
        self._monitor.notice(
            f"One window would need {why}: {len(self.checkpointed)} parts of the network are computed a second time instead of "
            "being kept (gradient checkpointing), which gives the same numbers, takes longer and needs less memory."
        )
