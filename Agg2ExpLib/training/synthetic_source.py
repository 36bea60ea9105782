"""Windows of synthetic CT: label maps of real bodies and geometric phantoms, deformed and painted at random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..models.labels import PAPER_LABELS
from ..synthetic import scans as synthetic
from .settings import TrainSettings
from .sources import Validation

HELD_OUT = 500_000  # first index of windows and phantoms that no training run draws
LABEL_MAPS_CITATION = (
    "Wasserthal J. et al., Dataset with segmentations of 117 important anatomical structures in 1228 CT images, v2.0.1, "
    "doi:10.5281/zenodo.10047292 (CC BY 4.0), subjects {subjects}: label maps only, no CT"
)
INTENDED_USE = (
    "To demonstrate and test Agg2Exp: rough labels of the thorax on chest CT of adults. Not for diagnosis, treatment, measurement "
    "or any other clinical use, not a benchmark of segmentation quality; trained on synthetic CT only, unreliable with "
    "pathology, children, other body regions, and images other than CT."
)


class SyntheticSource:
    """Draws from label maps and phantoms, two windows in three from the label maps where there are both.

    Args:
        label_maps: TotalSegmentator v2 label maps (117 ids) to paint.
        phantoms: number of geometric phantoms (seeds 0, 1, …).
        settings: window, spacing and seed.
        held_out: windows to validate on, and a quarter as many phantoms.

    Raises:
        InputError: no anatomy at all, or a label map that cannot be used.
    """

    labels = PAPER_LABELS

    def __init__(self, label_maps: Sequence[Path], phantoms: int, settings: TrainSettings, held_out: int = 24):
        if len(set(settings.spacing)) > 1:
            raise InputError("Synthetic CT has voxels of equal sides: give one number to ⟨spacing⟩.")
        self.settings, self.held_out = settings, held_out
        self.mapped = [synthetic.load_anatomy(path) for path in label_maps]
        self.phantoms = phantoms
        self.anatomies = self._anatomies()

    def _anatomies(self) -> list[synthetic.Anatomy]:
        anatomies = list(self.mapped)
        if self.phantoms:
            from ..synthetic.phantom import phantom_anatomy

            geometric = [phantom_anatomy(k, spacing=(3.0, 3.0, 3.0)) for k in range(self.phantoms)]
            anatomies = anatomies * max(1, round(2 * self.phantoms / max(1, len(anatomies)))) + geometric
        if not anatomies:
            raise InputError("There is nothing to train on: give ⟨data⟩, ⟨synthetic⟩ or ⟨phantoms⟩.")
        return anatomies

    def window(self, rng: np.random.Generator, index: int) -> synthetic.Example:
        """A random window of a random scan of a random body."""
        return synthetic.draw_example(self.anatomies, rng, self.settings.roi, self.settings.spacing[0])

    def validation(self) -> Iterator[Validation]:
        """Windows of unseen deformations, scans and noise (of the same bodies), and whole unseen phantoms."""
        settings = self.settings
        if self.mapped:
            for k in range(self.held_out):
                rng = np.random.default_rng((settings.seed, HELD_OUT + k))
                drawn = synthetic.draw_example(self.mapped, rng, settings.roi, settings.spacing[0], mirrored=0.0)
                yield Validation("synthetic_held_out", f"window {k}", drawn)
        if self.phantoms:
            from ..synthetic.phantom import make_phantom

            for k in range(max(1, self.held_out // 4)):
                phantom = make_phantom(HELD_OUT + k, spacing=settings.spacing)
                # RAS axes: the phantom's first two axes run to the patient's left and back.
                ct = np.ascontiguousarray(phantom.ct[::-1, ::-1]).astype(np.float32)
                labels = np.ascontiguousarray(phantom.labels[::-1, ::-1])
                yield Validation("phantom_held_out", f"phantom {k}", synthetic.Example(ct, labels))

    def describe(self) -> dict[str, Any]:
        """Sources with their licence."""
        data = [f"{self.phantoms} geometric phantoms of Agg2ExpLib.synthetic.phantom (this project)"] if self.phantoms else []
        citation = "Trained with Agg2Exp on synthetic CT."
        if self.mapped:
            data.append(LABEL_MAPS_CITATION.format(subjects=", ".join(anatomy.name for anatomy in self.mapped)))
            citation = f"Trained with Agg2Exp on synthetic CT painted on: {data[-1]}."
        return {"data": data, "citation": citation, "licence": "CC BY 4.0", "intended_use": INTENDED_USE}
