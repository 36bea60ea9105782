"""The registry of attribution methods; readable without torch, so that menus and command lines can list them."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..monitor import Stage
from .expected_gradients import ExpectedGradients
from .gradient import Gradient
from .gradient_x_input import GradientTimesInput
from .integrated_gradients import IntegratedGradients
from .kernel_shap import KernelShap
from .layer_cam import LayerCam
from .method import Estimate, Method, Parameter, Request
from .smoothgrad import SmoothGrad
from .smoothgrad_squared import SmoothGradSquared
from .stitched import StitchedGradient
from .vargrad import VarGrad

if TYPE_CHECKING:
    import numpy as np
    import torch

# In the order in which menus show them.
METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        SmoothGrad,
        IntegratedGradients,
        ExpectedGradients,
        Gradient,
        GradientTimesInput,
        SmoothGradSquared,
        VarGrad,
        LayerCam,
        KernelShap,
    )
}


def all_parameters() -> dict[str, Parameter]:
    """Every parameter of any method by its name; methods that share a name share meaning and default."""
    return {entry.name: entry for method in METHODS.values() for entry in method.parameters()}


def owners(parameter: str) -> tuple[str, ...]:
    """Names of the methods that have a parameter."""
    return tuple(name for name, method in METHODS.items() if parameter in {entry.name for entry in method.parameters()})


def make_method(name: str, **parameters: Any) -> Method:
    """The method of that name with its parameters; those a method does not have are ignored.

    Raises:
        InputError: unknown name or bad parameter.
    """
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"choose one of {', '.join(METHODS)}."
        raise InputError(f"Unknown attribution method '{name}': {hint}")
    own = {entry.name for entry in METHODS[name].parameters()}
    return METHODS[name](**{key: value for key, value in parameters.items() if key in own})


def attribute(
    engine: StitchedGradient,
    image: torch.Tensor,
    method: Method,
    stage: Stage,
    scales: dict[str, float] | None = None,
    on_estimate: Callable[[Estimate], None] = lambda estimate: None,
    segmentation: np.ndarray | None = None,
) -> dict[str, torch.Tensor]:
    """Attribution maps of all targets of ``engine`` in one go.

    Args:
        engine: gradient of the stitched output.
        image: model-grid image ``[x, y, z]``.
        method: what is computed.
        stage: is told the progress.
        scales: factor per target, 1 where missing (``1 / |ŷ_c|`` for the ``mean`` target of METHOD section 1).
        on_estimate: is given the estimate after each group of samples.
        segmentation: labels predicted for the image, ``[x, y, z]``, for methods that take them as supervoxels.

    Returns:
        Map per target, ``[x, y, z]`` on the CPU, in the compute's dtype.
    """
    return method.explain(Request(engine, image, stage, scales or {}, on_estimate, segmentation))
