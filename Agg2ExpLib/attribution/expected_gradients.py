"""Expected gradients (Erion et al. 2021, doi:10.1038/s42256-021-00343-w): integrated gradients over baselines from real scans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..monitor import Monitor
from .method import Method, Request, check_count, check_seed, collecting_bytes, equal_groups, parameter
from .sums import collect_gradients

if TYPE_CHECKING:
    import torch

    from ..io.grid import Grid
    from ..models.model import Model


@dataclass
class ExpectedGradients(Method):
    """``e_c = E_{x' ~ D, α ~ U(0, 1)} [(x − x') ⊙ ∂f̂_c/∂x (x' + α (x − x'))]``, the mean over random draws.

    In expectation the map sums to ``f̂_c(x)`` less its mean over the references. The Monte-Carlo error comes from groups that may
    hold different references, so that it errs on the large side.

    Args:
        samples: draws of a reference and a place on the way to it.
        seed: of the draws.
        references: CT files or DICOM folders, read by :meth:`prepare`.

    Attributes:
        images: the references on the model grid, ``[x, y, z]`` each; set them where :meth:`prepare` is not called.

    Raises:
        InputError: a bad parameter.
    """

    name = "expected_gradients"
    title = "Expected gradients"
    summary = "Gradients on the ways from reference scans to the CT: what sets this patient apart from them."
    when = "When no single baseline is fair and a few scans of other (healthy) patients are at hand."
    random = True

    samples: int = parameter(20, "random copies of the image")
    seed: int = parameter(0, "of the random numbers")
    references: tuple[str, ...] = parameter((), "CT files or DICOM folders to compare with")
    images: list[torch.Tensor] = field(default_factory=list, repr=False)
    _checksums: list[str] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        check_count(self.title, "samples", "sample", self.samples)
        check_seed(self.seed)

    def prepare(self, model: Model, grid: Grid, monitor: Monitor) -> None:
        """Read the references and bring them to the model grid.

        Raises:
            InputError: there are none, or one cannot be read.
        """
        from ..io.source_files import sha256_of
        from .references import read_reference

        if not self.references:
            raise InputError("Expected gradients need scans to compare with: name one or more CTs with ⟨references⟩.")
        self.images, self._checksums = [], []
        for path in self.references:
            monitor.check()
            self.images.append(read_reference(Path(path), model.card, grid))
            self._checksums.append(sha256_of(Path(path)))

    def record(self) -> dict[str, Any]:
        """Parameters, with the sha256 of each reference in place of its path."""
        return {**super().record(), "references": list(self._checksums)}

    def draw(self, sample: int) -> tuple[int, float]:
        """Number of the reference and the place ``α`` on the way to the image; depends on seed and sample alone.

        The references take turns in a random order, so that each is used equally often.
        """
        import numpy as np

        turn = np.random.default_rng(self.seed).permutation(len(self.images))
        return int(turn[sample % len(turn)]), float(np.random.default_rng([self.seed, sample]).random())

    def groups(self) -> list[Sequence[int]]:
        """Samples between two estimates."""
        return equal_groups(self.samples)

    def memory(self, labels: int) -> float:
        """The references, and the sums of all copies and of the group."""
        return collecting_bytes(8, labels, len(self.references))

    def explain(self, request: Request) -> dict[str, torch.Tensor]:
        """Signed maps, in logits."""
        image = request.image
        if not self.images:
            raise InputError("Expected gradients need scans to compare with: name one or more CTs with ⟨references⟩.")

        def reference(sample: int) -> torch.Tensor:
            return self.images[self.draw(sample)[0]].to(image.device, image.dtype)

        def copy(sample: int) -> torch.Tensor:
            start = reference(sample)
            return start + self.draw(sample)[1] * (image - start)

        def contribution(gradient: torch.Tensor, sample: int) -> torch.Tensor:
            return gradient.mul_((image - reference(sample)).to(gradient.device, gradient.dtype))

        return collect_gradients(request, self.groups(), copy, contribution)
