"""What one window costs a network, told without computing it: bytes held at the peak of a pass, and arithmetic.

The network is followed on PyTorch's ``meta`` device, whose tensors have a shape and no content: every storage that an operation
makes counts until PyTorch itself lets it go, so that what autograd saves, what it frees and what a backward pass adds are counted
as they are, for any network, in seconds and next to no memory. Scratch space inside single operations is unseen.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .checkpointing import Checkpointing
from .slow_convolutions import convolution_watch

if TYPE_CHECKING:
    import torch

    from .compute import Compute

_log = logging.getLogger("agg2exp")


@dataclass(frozen=True)
class Footprint:
    """The cost of one window, weights apart.

    Attributes:
        forward_bytes: peak of a forward pass that keeps nothing, as a segmentation's.
        gradient_bytes: peak of a forward pass and the backward passes of two labels, of which the first keeps the activations.
        forward_flops: floating-point operations of a forward pass in its convolutions and matrix products.
        slow_share: of its convolutions' operations, what a CPU does faster for two windows at once, see ``slow_convolutions.py``.
    """

    forward_bytes: int
    gradient_bytes: int
    forward_flops: int
    slow_share: float = 0.0


def footprint(network: torch.nn.Module, roi_size: Sequence[int], compute: Compute) -> Footprint | None:
    """The cost of a window of ``roi_size`` voxels; None for a network that cannot be followed without being computed.

    Args:
        network: maps ``[b, 1, rx, ry, rz]`` to ``[b, l, rx, ry, rz]``, with its weights frozen.
        roi_size: of the window, in voxels.
        compute: whose precision it is.
    """
    try:
        trace = _Trace(network, roi_size, compute)
        return Footprint(trace.peak(gradients=False), trace.peak(gradients=True), trace.flops(), trace.slow_share())
    except Exception as error:  # whatever an unknown network's code raises on tensors without content
        _log.debug("The network cannot be followed without computing it: %s", error)
        return None


def choose_parts(
    network: torch.nn.Module, roi_size: Sequence[int], compute: Compute, whole: int
) -> tuple[tuple[str, ...], int] | None:
    """The parts to checkpoint for the smallest peak, by name; None where that saves less than a tenth.

    Tried are the largest parts that each keep no more than a half, a quarter, ... of what the network keeps.

    Args:
        network: see :func:`footprint`.
        roi_size: of a window, in voxels.
        compute: whose precision it is.
        whole: peak of the network as it is, see :attr:`Footprint.gradient_bytes`.

    Returns:
        The parts, and the peak with them in bytes.
    """
    best: tuple[tuple[str, ...], int] | None = None
    tried: set[tuple[str, ...]] = set()
    try:
        trace = _Trace(network, roi_size, compute)
        kept = trace.kept_of_parts()
        for share in (2, 4, 8, 16, 32):
            parts = tuple(_largest_parts(trace.twin, kept, kept.get("", 0) / share))
            if not parts or parts in tried:
                continue
            tried.add(parts)
            with Checkpointing(trace.twin, parts):
                peak = trace.peak(gradients=True)
            if peak < (0.9 * whole if best is None else best[1]):
                best = (parts, peak)
    except Exception as error:
        _log.debug("The network cannot be checkpointed: %s", error)
    return best


def _largest_parts(network: torch.nn.Module, kept: dict[str, int], most: float) -> Iterator[str]:
    """Names of parts, none inside another, that keep at most so many bytes each and have parts of their own."""
    todo = [("", network)]
    while todo:
        name, part = todo.pop()
        children = [(f"{name}.{child}" if name else child, module) for child, module in part.named_children()]
        if name and children and 0 < kept.get(name, 0) <= most:
            yield name
        else:
            todo += children


class _Trace:
    """A twin of a network whose weights have no content, and what lives while it passes a window without content."""

    def __init__(self, network: torch.nn.Module, roi_size: Sequence[int], compute: Compute):
        import torch

        weights = {id(weight): torch.nn.Parameter(weight.detach().to("meta"), False) for weight in network.parameters()}
        buffers = {id(buffer): buffer.detach().to("meta") for buffer in network.buffers()}
        self.twin = copy.deepcopy(network, {**weights, **buffers})
        self._roi_size, self._compute = tuple(roi_size), compute

    def peak(self, gradients: bool) -> int:
        """Largest number of bytes that live at once."""
        import torch

        with self._following() as live, torch.set_grad_enabled(gradients):
            inputs, output = self._call()
            if gradients:
                channels = output.unbind(1)
                del output
                for number, channel in enumerate((channels[0], channels[-1])):
                    torch.autograd.grad(channel, inputs, torch.ones_like(channel), retain_graph=number == 0)
        return int(live.peak)

    def flops(self) -> int:
        """Floating-point operations of a forward pass."""
        import torch
        from torch.utils.flop_counter import FlopCounterMode

        with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
            self._call()
        return int(counter.get_total_flops())

    def slow_share(self) -> float:
        """Share of the convolutions' operations that go the slow way for one window."""
        import torch

        with torch.device("meta"), torch.no_grad(), convolution_watch() as watch:
            self._call()
        return float(watch.share)

    def kept_of_parts(self) -> dict[str, int]:
        """Bytes that stay after each part's forward pass for the backward pass, by its name; the whole network's under ''."""
        import torch

        kept: dict[str, int] = {}
        with self._following() as live, torch.enable_grad(), contextlib.ExitStack() as hooks:
            for name, part in self.twin.named_modules():
                begun: list[int] = []

                def before(module: Any, inputs: Any, begun: list[int] = begun) -> None:
                    begun.append(live.now)

                def after(module: Any, inputs: Any, output: Any, name: str = name, begun: list[int] = begun) -> None:
                    kept[name] = kept.get(name, 0) + live.now - begun.pop()

                hooks.callback(part.register_forward_pre_hook(before).remove)
                hooks.callback(part.register_forward_hook(after).remove)
            _ = self._call()
        return kept

    def _call(self) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        compute = self._compute
        inputs = torch.empty((1, 1, *self._roi_size), dtype=compute.dtype, device="meta", requires_grad=torch.is_grad_enabled())
        # Mixed precision is reckoned as if it were full: what stays in float32 depends on the device.
        return inputs, self.twin(inputs)

    @contextlib.contextmanager
    def _following(self) -> Iterator[Any]:
        import torch

        live = _live_storages()
        with torch.device("meta"), live:
            yield live


def _live_storages() -> Any:
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Live(TorchDispatchMode):
        """Counts the bytes of the storages that operations make while it is on."""

        def __init__(self) -> None:
            super().__init__()
            self.now = self.peak = 0
            self._sizes: dict[int, int] = {}

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = function(*args, **(kwargs or {}))
            for value in tree_leaves(made):
                if isinstance(value, torch.Tensor):
                    self._count(value.untyped_storage())
            return made

        def _count(self, storage: torch.UntypedStorage) -> None:
            key = storage._cdata
            if key not in self._sizes:
                self._sizes[key] = storage.nbytes()
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self._forget, key).atexit = False

        def _forget(self, key: int) -> None:
            self.now -= self._sizes.pop(key)

    return Live()
