"""Class activation maps of a layer: LayerCAM (Jiang et al. 2021, doi:10.1109/TIP.2021.3089943) and Seg-Grad-CAM (Vinogradova et al.
2020, doi:10.1609/aaai.v34i10.7244), through the same windows as the exact gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InputError
from ..inference.averaged import is_averaged
from ..inference.turned import inner, turn_of
from ..monitor import Monitor
from .method import Estimate, Method, Request, parameter

if TYPE_CHECKING:
    import torch

    from ..inference.sliding_window import Window
    from ..io.grid import Grid
    from ..models.model import Model
    from .stitched import StitchedGradient

KINDS = ("layercam", "gradcam")
_STAGES = ("1", "2", "3", "4")


def find_layer(network: torch.nn.Module, layer: str) -> torch.nn.Module:
    """The module whose output is mapped.

    Args:
        network: to look in.
        layer: ``1`` to ``4`` for an encoder stage of a Swin UNETR (1/4 to 1/32 of the window's size), or a module's name.

    Raises:
        InputError: there is no such layer.
    """
    modules = dict(network.named_modules())
    for name in (f"swinViT.layers{layer}.0", layer):
        if layer and name in modules:
            return modules[name]
    outer = [name for name, _ in network.named_children()]
    few = ", ".join(outer[:6]) + (", …" if len(outer) > 6 else "")
    if layer in _STAGES:
        raise InputError(
            f"The method layer_cam finds no encoder stage {layer}, since the network is not a Swin UNETR: name one of its layers "
            f"with ⟨layer⟩ ({few})."
        )
    raise InputError(
        f"The network has no layer '{layer}': set ⟨layer⟩ to 1, 2, 3 or 4 for a Swin UNETR, or to a name such as {few}."
    )


def _is_map(shape: Sequence[int], batch: int, roi_size: Sequence[int]) -> bool:
    """Whether an output is ``[b, k, x, y, z]`` with space shrunk alike on all axes; transformers' layers may put channels last."""
    if len(shape) != 5 or shape[0] != batch or min(shape) < 1:
        return False
    factor = max(round(roi_size[0] / shape[2]), 1)
    return all(abs(side - size / factor) <= 1 for side, size in zip(shape[2:], roi_size, strict=True))


@dataclass
class LayerCam(Method):
    """``e_c = up(Σ_k relu(∂f̂_c/∂A_k) ⊙ A_k)`` (LayerCAM) or ``up(Σ_k mean(∂f̂_c/∂A_k) · A_k)`` (Seg-Grad-CAM) of activations A.

    ``f̂_c`` is a sum over windows and every window has its own activations, so the maps of the windows, brought to the window's size
    by trilinear interpolation, add up, as the gradients do.

    Args:
        layer: see :func:`find_layer`.
        cam: ``layercam`` weighs every place by its own positive gradient, ``gradcam`` a channel by its mean gradient.
        relu: whether only supporting places are kept, as in both papers; else the map is signed and LayerCAM's gradients are too.

    Raises:
        InputError: an unknown kind of map.
    """

    name = "layer_cam"
    title = "Layer CAM"
    summary = (
        "Where a chosen layer is active in favour of the label: coarse, smooth maps for one forward and part of a backward pass."
    )
    when = "When it must be quick and the region matters more than the voxel; shares of small organs are blurred."

    layer: str = parameter("2", "encoder stage 1 to 4 of a Swin UNETR, or the name of a layer such as decoder2")
    cam: str = parameter("layercam", "LayerCAM, or Seg-Grad-CAM's mean gradients", KINDS)
    relu: bool = parameter(True, "keep only what supports the label")

    def __post_init__(self) -> None:
        self._check_choices()

    def cost(self) -> None:
        """Part of a backward pass: its time is not foretold."""
        return

    def prepare(self, model: Model, grid: Grid, monitor: Monitor) -> None:
        """Refuse, before anything long begins, a network without the layer, a classifier, and one that is run several times."""
        if model.task != "segmentation":
            raise InputError("The method layer_cam looks into segmentation networks alone: choose another ⟨method⟩.")
        if is_averaged(model.network):
            raise InputError(
                "The method layer_cam cannot look into the mean of several folds or mirrored windows: choose one fold with ⟨folds⟩ "
                "and leave ⟨mirror⟩ out."
            )
        find_layer(model.network, self.layer)

    def explain(self, request: Request) -> dict[str, torch.Tensor]:
        """Maps, without sign unless ``relu`` is off, in logits before interpolation."""
        engine, inside = request.engine, request.engine.plan.inside
        layer = find_layer(inner(engine.network), self.layer)
        image = engine.plan.pad(request.image.to(engine.compute.device, engine.compute.dtype), engine.pad_value)
        totals = engine.new_buffers()
        engine.choose_batch(image)
        position = 0
        while position < len(engine.visits):
            met = engine.visits[position][1]
            batch = engine.visits[position : position + engine.batch.current]
            windows = [window for window, same in batch if same == met]
            maps = engine.batch.attempt(lambda windows=windows, met=met: self._pass(engine, layer, windows, met, image))  # type: ignore[misc]
            if maps is None:
                continue
            for target, parts in zip(met, maps, strict=True):
                buffer = totals[engine.targets[target].name]
                for window, part in zip(windows, parts, strict=True):
                    buffer[window] += part.to(buffer.device)
            position += len(windows)
            request.stage.update(position / len(engine.visits), ", ".join(engine.targets[i].name for i in met))
        for name, total in totals.items():
            total *= request.scale(name)
        names = tuple(totals)
        request.on_estimate(Estimate(1, names, 1, lambda name: totals[name][inside], lambda name: totals[name][inside]))
        return {name: totals.pop(name)[inside].clone().cpu() for name in names}

    def _pass(
        self, engine: StitchedGradient, layer: torch.nn.Module, windows: list[Window], met: tuple[int, ...], image: torch.Tensor
    ) -> list[torch.Tensor]:
        """Per met target the maps ``[windows, rx, ry, rz]``."""
        import torch

        kept: list[torch.Tensor] = []
        turn = turn_of(engine.network)
        roi_size = turn.sizes(engine.plan.roi_size)

        def keep(module: torch.nn.Module, inputs: object, output: object) -> torch.Tensor:
            if not isinstance(output, torch.Tensor) or not _is_map(output.shape, len(windows), roi_size):
                raise InputError(f"The layer '{self.layer}' gives no maps of channels in space: choose another ⟨layer⟩.")
            # Cut off from what lies before, so that the backward pass ends here and earlier layers keep nothing.
            kept.append(output.detach().requires_grad_(True))
            return kept[-1]

        handle = layer.register_forward_hook(keep)
        try:
            with torch.enable_grad(), engine.compute.arithmetic():
                with engine.compute.mixed():
                    outputs = engine.network(torch.stack([image[window] for window in windows])[:, None]).unbind(1)
                if not kept:
                    raise InputError(f"The network does not use its layer '{self.layer}': choose another ⟨layer⟩.")
                activation = kept[-1]
                maps = []
                for number, target in enumerate(met):
                    channel = outputs[engine.targets[target].channel]
                    if not channel.requires_grad:
                        raise InputError(f"The output does not depend on the layer '{self.layer}': choose another ⟨layer⟩.")
                    cotangent = torch.stack([engine.cotangent(target, window) for window in windows]).to(channel.dtype)
                    keep_graph = number < len(met) - 1
                    (gradient,) = torch.autograd.grad(channel, activation, cotangent, retain_graph=keep_graph, allow_unused=True)
                    if gradient is None:
                        raise InputError(f"The output does not depend on the layer '{self.layer}': choose another ⟨layer⟩.")
                    maps.append(turn.tensor_back(self._map(activation.detach(), gradient, engine, roi_size))[:, 0])
        finally:
            handle.remove()
        return maps

    def _map(
        self, activation: torch.Tensor, gradient: torch.Tensor, engine: StitchedGradient, roi_size: Sequence[int]
    ) -> torch.Tensor:
        """Activations and gradients ``[b, k, …]`` → maps ``[b, 1, *roi_size]``, both in the network's order of axes."""
        import torch

        activation, gradient = activation.to(engine.compute.dtype), gradient.to(engine.compute.dtype)
        if self.cam == "gradcam":
            gradient = gradient.mean(dim=(2, 3, 4), keepdim=True)
        elif self.relu:
            gradient = gradient.clamp(min=0)
        cam = (gradient * activation).sum(dim=1, keepdim=True)
        if self.relu:
            cam = cam.clamp(min=0)
        return torch.nn.functional.interpolate(cam, tuple(roi_size), mode="trilinear", align_corners=False)
