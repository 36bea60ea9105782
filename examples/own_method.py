"""An attribution method of one's own, beside the gradient. Needs chest.nii.gz and weights.pt with its model card here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import Agg2ExpLib as agg2exp
from Agg2ExpLib.attribution.sums import mean_of_gradients

if TYPE_CHECKING:
    import torch

    from Agg2ExpLib.attribution.method import Request


@agg2exp.register
@dataclass
class Saliency(agg2exp.Method):
    """``e_c = |∂f̂_c/∂x|^power`` (for a power of 1 the saliency of Simonyan et al. 2014, arXiv:1312.6034)."""

    name = "saliency"
    title = "Saliency"
    summary = "The size of the gradient, whatever its sign."
    when = "When only the place matters, not whether it supports or opposes the label."

    power: float = agg2exp.parameter(1.0, "more lets the strongest voxels stand out")

    def __post_init__(self) -> None:
        if not self.power > 0:
            raise agg2exp.InputError(f"The power must be positive, not {self.power:g}: set ⟨power⟩ to 1, say.")

    def explain(self, request: Request) -> dict[str, torch.Tensor]:
        """Maps without sign, in logits per unit of image intensity (to the power)."""
        return mean_of_gradients(request, [[0]], lambda sample: request.image, finish=lambda mean: mean.abs() ** self.power)


if __name__ == "__main__":
    for method, parameters in (("gradient", {}), ("saliency", {}), ("saliency", {"power": 2.0})):
        result = agg2exp.explain("chest.nii.gz", "weights.pt", labels=["heart"], method=method, **parameters)
        print(method, parameters, result.matrix.strongest("heart"))
