"""How much of a pass on a CPU goes through torch's slow 3D convolution: one window of few channels does, two at once do not."""

from __future__ import annotations

from typing import Any

# torch takes oneDNN for a 3D convolution in float32 only where the batch holds several items, channels and the first two sides
# multiply to more than this, the kernel is wide or in groups (use_mkldnn in ATen/native/Convolution.cpp); else slow_conv3d.
_ENOUGH = 20480
_WIDE = 3
# Measured (one thread, window of 32 or 64): a share of 1 is 2.4 to 5.3 times as fast in pairs, 0.32 1.4 times, 0.19 1.2 times.
WORTH_PAIRS = 0.1


def convolution_watch() -> Any:
    """A context that watches the convolutions of a pass of one window; afterwards ``share`` of their operations were slow."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    # Where the groups stand among the arguments; in inference mode the first is called by the other two names.
    groups_at = {
        torch.ops.aten.convolution.default: 8,
        torch.ops.aten.conv3d.default: 6,
        torch.ops.aten.conv_transpose3d.input: 6,
    }

    class Watch(TorchDispatchMode):
        """Adds up the multiplications of 3D convolutions, and their results' bytes."""

        def __init__(self) -> None:
            super().__init__()
            self.slow = self.all = self.bytes = 0

        @property
        def share(self) -> float:
            return self.slow / self.all if self.all else 0.0

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = function(*args, **(kwargs or {}))
            place = groups_at.get(function)
            if place is not None and args[0].dim() == 5:
                groups = args[place] if len(args) > place else (kwargs or {}).get("groups", 1)
                transposed = bool(args[6]) if place == 8 else function is torch.ops.aten.conv_transpose3d.input
                self._add(args[0], args[1], made, groups, transposed)
            return made

        def _add(self, image: Any, weight: Any, made: Any, groups: int, transposed: bool) -> None:
            operations = (image if transposed else made).numel() * weight[0].numel()
            self.all += operations
            self.bytes += made.numel() * made.element_size()
            wide = weight.shape[-1] > _WIDE and weight.shape[-2] > _WIDE
            few = image.shape[1] * image.shape[2] * image.shape[3] <= _ENOUGH
            if image.dtype == torch.float32 and image.shape[0] == 1 and groups == 1 and few and not wide:
                self.slow += operations

    return Watch()
