"""KernelSHAP over supervoxels (equation 6 of the paper; Lundberg & Lee 2017, arXiv:1705.07874), solved by captum."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..monitor import Monitor
from .baselines import BASELINES, check_blur, make_baseline
from .method import Estimate, Method, Request, check_count, check_seed, parameter
from .supervoxels import SUPERVOXELS, Supervoxels

if TYPE_CHECKING:
    import numpy as np
    import torch

    from ..io.grid import Grid
    from ..models.model import Model
    from .perturbed import PerturbedOutputs

AUTO = "auto"
# The paper's numbers of coalitions.
_SEMANTIC, _OTHERS = 200, 1000


@dataclass
class KernelShap(Method):
    """Shapley values of supervoxels: the share of ``f̂_c(x) − f̂_c(x')`` that each brings in, averaged over coalitions of the others.

    Every voxel of a supervoxel gets an equal part of its value, so that a map sums to the change of the output, as that of
    integrated gradients does, and equation 7 sums values. One set of coalitions serves all targets. A supervoxel whose removal
    cannot change the output has the value 0 (the axiom of the null player) and takes no part in the coalitions.

    Args:
        supervoxels: see :func:`~.supervoxels.make_supervoxels`.
        regions: wanted number of cubes or SLIC supervoxels.
        compactness: of SLIC supervoxels.
        coalitions: how many random sets of supervoxels are kept in turn, or ``auto`` for the paper's 200 (semantic) and 1000.
        baseline, blur: what removed voxels become, see :func:`~.baselines.make_baseline`.
        seed: of coalitions and random baseline.

    Raises:
        InputError: a bad parameter.
    """

    name = "kernel_shap"
    title = "KernelSHAP"
    summary = "Removes whole supervoxels in random sets and shares the change of the output among them: no gradient is needed."
    when = "When the answer should be in regions that stand for something, or the network has no useful gradient; it is slow."
    random = True

    supervoxels: str = parameter("semantic", "predicted labels, an even grid, or regions of like intensity", SUPERVOXELS)
    regions: int = parameter(512, "wanted number of cubes or SLIC supervoxels")
    compactness: float = parameter(200.0, "HU that weigh as much as a supervoxel's edge: more makes SLIC rounder")
    coalitions: int | str = parameter(AUTO, "random sets of supervoxels that are kept; auto: 200 for semantic, else 1000")
    baseline: str = parameter("zero", "the image that stands for nothing; air is the lowest HU", BASELINES)
    blur: float = parameter(10.0, "standard deviation of the blurred baseline, in voxels")
    seed: int = parameter(0, "of the random numbers")
    _spacing: tuple[float, ...] = field(default=(1.0, 1.0, 1.0), init=False)

    def __post_init__(self) -> None:
        if self.coalitions != AUTO:
            if isinstance(self.coalitions, str):
                raise InputError(f"The number of coalitions must be a number or auto, not '{self.coalitions}'.")
            check_count(self.title, "coalitions", "coalitions", self.coalitions, 2)
        self._check_choices()
        _ = self.supervoxels_used  # checks its parameters
        check_blur(self.blur)
        check_seed(self.seed)

    @property
    def samples(self) -> int:
        """Coalitions."""
        if isinstance(self.coalitions, str):
            return _SEMANTIC if self.supervoxels == "semantic" else _OTHERS
        return self.coalitions

    @property
    def spread_is_error(self) -> bool:
        """All coalitions make one regression: there are no repetitions that could tell its error."""
        return False

    def cost(self) -> None:
        """Forward passes alone, as many as the cuts of each window ask for: its time is not foretold."""
        return

    @property
    def supervoxels_used(self) -> Supervoxels:
        """The supervoxels whose values are computed."""
        return Supervoxels(self.supervoxels, self.regions, self.compactness)

    def record(self) -> dict[str, Any]:
        """The parameters, with the number of coalitions that ``auto`` stands for."""
        return {**super().record(), "coalitions": self.samples}

    def prepare(self, model: Model, grid: Grid, monitor: Monitor) -> None:
        """Learn the size of the voxels in millimetres."""
        self._spacing = grid.spacing

    def explain(self, request: Request) -> dict[str, torch.Tensor]:
        """Signed maps, in logits."""
        import numpy as np
        import torch

        from .perturbed import PerturbedOutputs

        engine, image, monitor = request.engine, request.image, request.stage.monitor
        # Where nobody knows the HU, those of the paper's window.
        hu = request.hu if request.hu is not None else 2048 * image.cpu().numpy() - 1024
        regions = self.supervoxels_used.divide(hu, request.segmentation, self._spacing, monitor)
        start = make_baseline(self.baseline, image, engine.air, self.blur, self.seed)
        outputs = PerturbedOutputs(engine, image, start)
        effective = outputs.effective_regions(regions)
        if (players := int(effective.sum())) >= self.samples:
            monitor.notice(
                f"{self.samples} coalitions are too few to tell {players} supervoxels apart: raise ⟨coalitions⟩ or lower ⟨regions⟩."
            )
        values = np.zeros((len(effective), len(outputs.names)))
        values[effective] = self._shapley(outputs, regions, effective, request)
        voxels = np.bincount(regions.ravel(), minlength=len(effective))
        shares = torch.from_numpy(values / voxels[:, None])
        numbers = torch.from_numpy(regions).long()

        def one(name: str) -> torch.Tensor:
            return (shares[:, outputs.names.index(name)] * request.scale(name))[numbers].to(engine.compute.dtype)

        request.on_estimate(Estimate(self.samples, outputs.names, self.samples, one, one))
        return {name: one(name) for name in outputs.names}

    def _shapley(self, outputs: PerturbedOutputs, regions: np.ndarray, effective: np.ndarray, request: Request) -> np.ndarray:
        """Values of the effective supervoxels for all targets, ``[players, targets]``, by one regression a target."""
        import numpy as np
        import torch
        from captum.attr import KernelShap as CaptumKernelShap

        players = int(effective.sum())
        known: dict[bytes, np.ndarray] = {}

        def changes(kept: torch.Tensor) -> np.ndarray:
            """Outputs above the baseline's for coalitions ``[n, players]``; all targets are computed when the first one asks."""
            rows = kept.numpy() > 0.5
            if (key := rows.tobytes()) not in known:
                every = np.ones((len(rows) + 1, len(effective)), dtype=bool)
                every[1:, effective] = rows
                every[0, effective] = False
                found = outputs.without_regions(regions, every, lambda done, of: request.stage.update(done / max(of, 1)))
                known[key] = found[1:] - found[0]
            return known[key]

        if players == 1:
            return changes(torch.ones(1, 1))
        values = np.zeros((players, len(outputs.names)))
        units: dict[int, float] = {}
        for target in range(len(outputs.names)):

            def forward(kept: torch.Tensor, target: int = target) -> torch.Tensor:
                found = changes(kept)[:, target]
                # captum computes in single precision, where numbers near 1 keep their digits.
                return torch.from_numpy(found / units.setdefault(target, float(abs(found).max()) or 1.0))

            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                found = CaptumKernelShap(forward).attribute(
                    torch.ones(1, players),
                    baselines=0,
                    n_samples=self.samples,
                    perturbations_per_eval=self.samples,
                )
            values[:, target] = found[0].double().numpy() * units[target]
        return values
