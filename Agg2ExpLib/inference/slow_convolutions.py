"""How much of a pass on a CPU goes through torch's slow 3D convolution: one window of few channels does, two at once do not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

# torch takes oneDNN for a 3D convolution in float32 only where the batch holds several items, channels and the first two sides
# multiply to more than this, the kernel is wide or in groups (use_mkldnn in ATen/native/Convolution.cpp); else slow_conv3d.
_ENOUGH = 20480
_WIDE = 3
# Measured (one thread, window of 32 or 64): a share of 1 is 2.4 to 5.3 times as fast in pairs, 0.32 1.4 times, 0.19 1.2 times.
WORTH_PAIRS = 0.1


class ConvolutionWatch:
    """What the 3D convolutions of a pass of one window cost.

    Attributes:
        slow, all: multiplications of those that go the slow way, and of all.
        bytes: of their results.
    """

    def __init__(self) -> None:
        self.slow = self.all = self.bytes = 0

    @property
    def share(self) -> float:
        """Of the multiplications, how many went the slow way."""
        return self.slow / self.all if self.all else 0.0

    def see(self, module: Any, inputs: Any, made: Any) -> None:
        """Take a module's pass into account."""
        import torch

        transposed = isinstance(module, torch.nn.ConvTranspose3d)
        if not (transposed or isinstance(module, torch.nn.Conv3d)) or made.dim() != 5:
            return
        image, kernel = inputs[0], module.weight
        operations = (image if transposed else made).numel() * kernel[0].numel()
        self.all += operations
        self.bytes += made.numel() * made.element_size()
        wide = kernel.shape[-1] > _WIDE and kernel.shape[-2] > _WIDE
        few = image.shape[1] * image.shape[2] * image.shape[3] <= _ENOUGH
        if made.dtype == torch.float32 and image.shape[0] == 1 and module.groups == 1 and few and not wide:
            self.slow += operations


@contextlib.contextmanager
def convolution_watch() -> Iterator[ConvolutionWatch]:
    """Watch the layers of a pass; what a network computes without layers, or as TorchScript, is not seen."""
    from torch.nn.modules.module import register_module_forward_hook

    watch = ConvolutionWatch()
    handle = register_module_forward_hook(watch.see)
    try:
        yield watch
    finally:
        handle.remove()
