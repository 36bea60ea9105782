"""Which global mask a run makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..attribution.spec import MethodSpec
from ..attribution.supervoxels import Supervoxels
from ..errors import InputError


@dataclass(frozen=True)
class MaskSettings:
    """Which global mask is wanted.

    Attributes:
        coverage: share of the attribution that its supervoxels shall hold, 0..1; None where their number is given.
        number: of its supervoxels, in place of a coverage.
        supervoxels: how the volume is cut.
        baseline, blur, seed: what removed voxels become, see :func:`~Agg2ExpLib.attribution.baselines.make_baseline`.

    Raises:
        InputError: coverage and number together, or one of them out of range.

    Examples:
        >>> wanted = agg2exp.MaskSettings(coverage=0.9)
        >>> result = agg2exp.explain("chest.nii.gz", "swin_unetr.pt", labels=["heart"], samples=2, mask=wanted)
        >>> result.global_mask.mean()  # its share of the volume
        >>> result.run["global_mask"]["dice"]["heart"]  # drawn again with only the mask, and without it
    """

    coverage: float | None = None
    number: int | None = None
    supervoxels: Supervoxels = field(default_factory=Supervoxels)
    baseline: str = "zero"
    blur: float = 10.0
    seed: int = 0

    parameter_names = ("supervoxels", "regions", "compactness", "baseline", "blur", "seed")

    def __post_init__(self) -> None:
        if self.coverage is not None and self.number is not None:
            raise InputError("The global mask is chosen by coverage or by a number of regions: give only one of the two.")
        if self.coverage is not None and not 0 < self.coverage <= 1:
            raise InputError(f"The coverage of the global mask must be more than 0 and at most 1, not {self.coverage:g}.")
        if self.number is not None and self.number < 1:
            raise InputError(f"The global mask needs at least one region, not {self.number}.")

    @classmethod
    def picked(cls, coverage: float | None, number: int | None, method: MethodSpec, entries: Mapping[str, Any]) -> MaskSettings:
        """The settings from flat entries; a method that works on supervoxels shares its own with the mask."""
        values = method.all_values() if method.make().supervoxels_used is not None else entries
        cut = {"kind": "supervoxels", "regions": "regions", "compactness": "compactness"}
        supervoxels = Supervoxels(**{name: values[key] for name, key in cut.items() if key in values})
        more = {name: values[name] for name in ("baseline", "blur", "seed") if name in values}
        return cls(coverage, number, supervoxels, **more)

    def to_json(self) -> dict[str, Any]:
        """The settings as flat entries of a job."""
        return {
            "mask_coverage": self.coverage,
            "mask_regions": self.number,
            "supervoxels": self.supervoxels.kind,
            "regions": self.supervoxels.regions,
            "compactness": self.supervoxels.compactness,
            "baseline": self.baseline,
            "blur": self.blur,
            "seed": self.seed,
        }
