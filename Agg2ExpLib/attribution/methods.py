"""The registry of attribution methods: those that come with the library and those that others add.

A method of one's own is one file: a dataclass that derives from :class:`~.method.Method`. It is found when it is registered by
:func:`register`, or when an installed package names it as an entry point::

    [project.entry-points."agg2exp.methods"]
    my_method = "my_package.my_method:MyMethod"

Nothing here loads torch or numpy, so that menus and command lines can list the methods.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..monitor import Stage
from .expected_gradients import ExpectedGradients
from .gradient import Gradient
from .gradient_x_input import GradientTimesInput
from .integrated_gradients import IntegratedGradients
from .kernel_shap import KernelShap
from .layer_cam import LayerCam
from .method import KINDS, Estimate, Method, Parameter, Request
from .smoothgrad import SmoothGrad
from .smoothgrad_squared import SmoothGradSquared
from .stitched import StitchedGradient
from .vargrad import VarGrad

if TYPE_CHECKING:
    import numpy as np
    import torch

ENTRY_POINTS = "agg2exp.methods"
DEFAULT_METHOD = "smoothgrad"
# Names that mean something else beside a method's parameters in a job or on the command line.
RESERVED = frozenset(
    (
        "ct",
        "weights",
        "output",
        "task",
        "labels",
        "card",
        "folds",
        "mirror",
        "method",
        "overlap",
        "blend",
        "keep",
        "target",
        "target_mask",
        "extra_rois",
        "mask_coverage",
        "mask_regions",
        "device",
        "precision",
        "window_batch",
        "patient_id",
        "overwrite",
        "preset",
        "model",
        "monitor",
        "debug",
    )
)
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_log = logging.getLogger("agg2exp")


class Registry(Mapping[str, type[Method]]):
    """Methods by name, in the order in which menus show them; entry points of other packages are read when first needed."""

    def __init__(self, methods: tuple[type[Method], ...]):
        self._methods: dict[str, type[Method]] = {}
        self._searched = False
        for method in methods:
            self.add(method)

    def add(self, method: type[Method]) -> None:
        """Add a method; one of the same name from the same module and class, as a notebook makes it again, takes its place.

        Raises:
            TypeError: it is no dataclass that derives from ``Method``, or lacks its words.
            ValueError: its name or a parameter's is taken, or a parameter is of an unknown kind.
        """
        if not (isinstance(method, type) and issubclass(method, Method) and is_dataclass(method)):
            raise TypeError(f"{method!r} is no method: derive a dataclass from Agg2ExpLib.attribution.method.Method.")
        lacking = [word for word in ("name", "title", "summary", "when") if not isinstance(getattr(method, word, None), str)]
        if lacking:
            raise TypeError(f"{method.__qualname__} lacks '{lacking[0]}': say it as a class attribute.")
        if not _NAME.fullmatch(method.name):
            raise ValueError(f"'{method.name}' is no name of a method: use small letters, digits and _.")
        before = self._methods.get(method.name)
        if before is not None and (before.__module__, before.__qualname__) != (method.__module__, method.__qualname__):
            raise ValueError(f"There is a method {method.name} already ({before.__module__}.{before.__qualname__}).")
        kinds = {
            entry.name: entry.kind for name, other in self._methods.items() for entry in other.parameters() if name != method.name
        }
        for entry in method.parameters():
            if entry.name in RESERVED:
                raise ValueError(f"The parameter '{entry.name}' of {method.name} means something else in a job: rename it.")
            if entry.kind not in KINDS:
                raise ValueError(
                    f"The parameter '{entry.name}' of {method.name} is of the unknown kind {entry.kind}: use {', '.join(KINDS)}."
                )
            if kinds.get(entry.name, entry.kind) != entry.kind:
                raise ValueError(
                    f"The parameter '{entry.name}' of {method.name} is {entry.kind}, elsewhere {kinds[entry.name]}: rename it."
                )
        self._methods[method.name] = method

    def __getitem__(self, name: str) -> type[Method]:
        if name not in self._methods:
            self._search()
        return self._methods[name]

    def __iter__(self) -> Iterator[str]:
        self._search()
        return iter(self._methods)

    def __len__(self) -> int:
        self._search()
        return len(self._methods)

    def _search(self) -> None:
        if self._searched:
            return
        self._searched = True
        for point in metadata.entry_points(group=ENTRY_POINTS):
            try:
                self.add(point.load())
            except Exception as error:  # another package's fault must not take the other methods away
                _log.warning("The attribution method '%s' (%s) cannot be used: %s", point.name, point.value, error)


METHODS = Registry(
    (
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
)


def methods() -> dict[str, type[Method]]:
    """All methods by name.

    Examples:
        >>> for name, method in agg2exp.methods().items():
        ...     print(f"{name}: {method.summary} {method.when}")
        ...     for entry in method.parameters():
        ...         print(f"  {entry.name} = {entry.default}: {entry.help}")
    """
    return dict(METHODS)


def register(method: type[Method]) -> type[Method]:
    """Add a method to those that are known, for this process; usable as a decorator.

    Raises:
        TypeError, ValueError: see :meth:`Registry.add`.

    Examples:
        >>> from Agg2ExpLib.attribution.sums import mean_of_gradients
        >>> @agg2exp.register
        ... @dataclass
        ... class Magnitude(agg2exp.Method):
        ...     name, title = "magnitude", "Magnitude"
        ...     summary, when = "The size of the gradient, without its sign.", "When the sign is of no interest."
        ...
        ...     def explain(self, request):
        ...         return mean_of_gradients(request, [[0]], lambda sample: request.image, finish=torch.abs)
        >>> agg2exp.explain("chest.nii.gz", "swin_unetr.pt", labels=["heart"], method="magnitude")
    """
    METHODS.add(method)
    return method


def all_parameters() -> dict[str, Parameter]:
    """Every parameter of any method by its name; methods that share a name share its kind."""
    found: dict[str, Parameter] = {}
    for method in METHODS.values():
        for entry in method.parameters():
            found.setdefault(entry.name, entry)
    return found


def owners(parameter: str) -> tuple[str, ...]:
    """Names of the methods that have a parameter."""
    return tuple(name for name, method in METHODS.items() if parameter in {entry.name for entry in method.parameters()})


def find_method(name: str) -> type[Method]:
    """The class of a method.

    Raises:
        InputError: there is none of that name.
    """
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"choose one of {', '.join(METHODS)}."
        raise InputError(f"Unknown attribution ⟨method⟩ '{name}': {hint}")
    return METHODS[name]


def make_method(name: str, **parameters: Any) -> Method:
    """The method of that name with its parameters.

    Raises:
        InputError: unknown name, a parameter that the method does not have, or a bad value.
    """
    method = find_method(name)
    known = {entry.name: entry for entry in method.parameters()}
    for key in parameters:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(known) or 'none'}."
            raise InputError(f"The method {name} has no parameter '{key}': {hint}")
    return method(**method.completed({key: known[key].check(value) for key, value in parameters.items()}))


# Names for sets of parameters; a method takes those that it has.
PRESETS: dict[str, dict[str, Any]] = {
    # as published: independent copies, the right rule, equation 7 of the map without a correction
    "paper": {"samples": 20, "sigma": 0.1, "antithetic": False, "limit": False, "tolerance": None, "steps": 20, "rule": "right"},
}


def preset(name: str, method: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a method in a preset.

    Args:
        name: of the preset.
        method: name of the method.
        given: parameters that were given beside it.

    Raises:
        InputError: no such preset, or one of the parameters is given with another value.
    """
    if name not in PRESETS:
        raise InputError(f"Unknown ⟨preset⟩ '{name}': choose one of {', '.join(PRESETS)}.")
    own = {entry.name for entry in find_method(method).parameters()}
    values = {key: value for key, value in PRESETS[name].items() if key in own}
    for key, value in values.items():
        if given.get(key) is not None and given[key] != value:
            raise InputError(f"The ⟨preset⟩ {name} sets ⟨{key}⟩ to {value}, not {given[key]}: leave out one of the two.")
    return values


def attribute(
    engine: StitchedGradient,
    image: torch.Tensor,
    method: Method,
    stage: Stage,
    scales: dict[str, float] | None = None,
    on_estimate: Callable[[Estimate], Mapping[str, float] | None] = lambda estimate: None,
    segmentation: np.ndarray | None = None,
    hu: np.ndarray | None = None,
) -> dict[str, torch.Tensor]:
    """Attribution maps of all targets of ``engine`` in one go.

    Args:
        engine: gradient of the stitched output.
        image: model-grid image ``[x, y, z]``.
        method: what is computed.
        stage: is told the progress.
        scales: factor per target, 1 where missing (``1 / |ŷ_c|`` for the ``mean`` target).
        on_estimate: is given the estimate after each group of samples.
        segmentation: labels predicted for the image, ``[x, y, z]``, for methods that take them as supervoxels.
        hu: the CT on the model grid, ``[x, y, z]``, for methods that divide it into supervoxels.

    Returns:
        Map per target, ``[x, y, z]`` on the CPU, in the compute's dtype.
    """
    return method.explain(Request(engine, image, stage, scales or {}, on_estimate, segmentation, hu))
