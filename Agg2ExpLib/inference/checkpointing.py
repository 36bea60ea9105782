"""Gradient checkpointing (Chen et al. 2016, arXiv:1604.06174) of a network's parts: less memory for a second forward pass.

A part that is checkpointed keeps its input alone; what is inside it is computed again when the backward pass comes there. The same
operations are done on the same values, so that outputs and gradients stay the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class Checkpointing:
    """Checkpointing of some parts of a network, on inside ``with`` or between :meth:`on` and :meth:`off`.

    The parts keep their classes, weights and hooks: only the ``forward`` of each instance is covered, and uncovered again.

    Args:
        network: in evaluation mode.
        parts: names of the parts (``named_modules``), none inside another.
    """

    def __init__(self, network: torch.nn.Module, parts: Sequence[str]):
        modules = dict(network.named_modules())
        self.parts = tuple(parts)
        self._modules = [modules[name] for name in parts]
        self._before: list[Any] | None = None

    @property
    def is_on(self) -> bool:
        """Whether the parts are checkpointed now."""
        return self._before is not None

    def on(self) -> None:
        """Cover the parts' ``forward``; where one cannot be covered, as those of TorchScript, none is."""
        if self._before is not None:
            return
        self._before = []
        try:
            for module in self._modules:
                before = vars(module).get("forward")
                module.forward = _recomputed(module.forward)
                self._before.append(before)
        except BaseException:
            self.off()
            raise

    def off(self) -> None:
        """Uncover them."""
        if self._before is None:
            return
        for module, before in zip(self._modules, self._before, strict=False):
            if before is None:
                del module.forward
            else:
                module.forward = before
        self._before = None

    def __enter__(self) -> Checkpointing:
        self.on()
        return self

    def __exit__(self, *_unused: object) -> None:
        self.off()


def _recomputed(forward: Callable[..., Any]) -> Callable[..., Any]:
    import torch
    from torch.utils.checkpoint import checkpoint

    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        # Networks at work draw no random numbers.
        return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)

    return checkpointed
