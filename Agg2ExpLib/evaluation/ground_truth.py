"""Networks built by hand whose label ``a`` depends on region ``b`` alone, to see which methods find that out.

The image ``[x, y, z]`` is dark with two boxes: ``b`` (0.9) and a bystander ``c`` (0.6). Every network predicts ``b`` and ``c``
where they are, and ``a`` where ``b`` would be if it were moved by a fixed step: the logit of ``a`` looks at the voxel one step
away. A method passes on a network when the importance matrix gives at least :data:`ENOUGH` of ``a``'s attribution to ``b``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..attribution.methods import find_method
from ..errors import InputError

if TYPE_CHECKING:
    import torch

NAMES = ("background", "a", "b", "c")
SHAPE = (16, 16, 24)
ENOUGH = 0.95
# What each network makes hard.
NETWORKS = {
    "linear": "a follows b in proportion",
    "curved": "a follows b through a softplus",
    "saturated": "a follows b up to a bound that b has passed: the local gradient is zero",
    "dormant": "a would follow c too, if c were a little brighter than it is: noise wakes it",
    "moved": "the layer that is mapped lies behind the step from b to a",
}
_STEP = 9  # voxels from a to b along z, more than the boxes' width
_B, _C, _DARK = 0.9, 0.6, 0.2


@dataclass(frozen=True)
class Outcome:
    """One method on one network.

    Attributes:
        network, method: names.
        share: ``E[a, b]``; None where there is no map.
        remark: why there is none, in words; empty otherwise.
    """

    network: str
    method: str
    share: float | None
    remark: str = ""

    @property
    def passed(self) -> bool:
        """Whether the method found out."""
        return self.share is not None and self.share >= ENOUGH


def make_image() -> torch.Tensor:
    """The image, float64 ``[x, y, z]``."""
    import torch

    image = torch.full(SHAPE, _DARK, dtype=torch.float64)
    image[4:10, 4:10, 14:20] = _B
    image[11:15, 4:10, 14:20] = _C
    return image


def make_network(kind: str) -> torch.nn.Module:
    """A network of :data:`NETWORKS`, float64, with a layer ``features``; ``[b, 1, x, y, z]`` → ``[b, 4, x, y, z]``."""
    import torch

    def step(x: torch.Tensor) -> torch.Tensor:
        """What lies one step away in every voxel; dark beyond the edge."""
        return torch.nn.functional.pad(x[..., _STEP:], (0, _STEP), value=_DARK)

    def of_a(seen: torch.Tensor) -> torch.Tensor:
        if kind == "curved":
            return torch.nn.functional.softplus(10 * (seen - 0.75)) / 10 - 0.1
        if kind == "saturated":
            return (seen - 0.75).clamp(max=0.02)
        if kind == "dormant":
            # c lies 7 voxels beside b along x; the first rows would see b itself there.
            bystander = torch.nn.functional.pad(seen[:, :, 10:], (0, 0, 0, 0, 3, 7), value=_DARK)
            return seen - 0.75 + 4 * (bystander - 0.65).clamp(min=0)
        return seen - 0.75

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = torch.nn.Identity()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen = self.features(step(x)) if kind == "moved" else step(self.features(x))
            return torch.cat([torch.zeros_like(x), of_a(seen), x - 0.75, 0.1 - (x - _C).abs()], dim=1)

    return Network().double().eval()


def try_method(kind: str, name: str, **parameters: Any) -> Outcome:
    """Explain ``a`` in one network by one method and read ``E[a, b]`` off the importance matrix."""
    import torch

    from ..attribution.methods import attribute, make_method
    from ..attribution.stitched import Target
    from ..inference.compute import choose_compute
    from ..inference.sliding_window import WindowPlan
    from ..io.grid import Grid
    from ..io.turn import Turn
    from ..models.model import Model
    from ..monitor import Monitor, Stage
    from ..preprocessing.preprocessing import Prepared
    from ..preprocessing.step import Intensity
    from ..roi_importance.matrix import Regions, importance_matrix
    from ..runs.case import Case

    image, monitor = make_image(), Monitor()
    model = Model(make_network(kind), NAMES, roi_size=SHAPE)
    steps = tuple(step for step in model.card.preprocessing.steps if isinstance(step, Intensity))
    prepared = Prepared(Grid(SHAPE, np.eye(4)), image.numpy(), image.numpy(), Turn(), steps)
    case = Case(model, choose_compute("cpu", "float64"), prepared, WindowPlan(SHAPE, SHAPE), monitor, 4)
    labels = case.segment(Stage(monitor, "segment", 0, 1)).labels
    own = {entry.name for entry in find_method(name).parameters()}
    method = make_method(name, **({"layer": "features"} if "layer" in own else {}), **parameters)
    if hasattr(method, "images"):  # scans to compare with, which are read from files elsewhere
        method.images = [torch.full_like(image, _DARK), torch.full_like(image, 0.0)]
    engine = case.engine([Target("a", 1, labels == 1)])
    try:
        attribution = attribute(engine, image, method, Stage(monitor, "explain", 0, 1), segmentation=labels)["a"].numpy()
    except InputError as error:
        return Outcome(kind, name, None, str(error))
    regions = Regions(labels, NAMES)
    sums = regions.sums(attribution)
    # Less than rounding leaves of a variance that is zero counts as nothing.
    if sums.total < 1e-20:
        return Outcome(kind, name, None, "the map is zero everywhere")
    matrix = importance_matrix(regions, {"a": sums})
    return Outcome(kind, name, float(matrix.mass[0, matrix.columns.index("b")]))


def run_benchmark(methods: Iterable[str], networks: Iterable[str] = tuple(NETWORKS)) -> list[Outcome]:
    """Every method on every network."""
    methods = tuple(methods)
    return [try_method(kind, name) for kind in networks for name in methods]
