"""Synthetic CT with findings for training classifiers: painted once, kept on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..synthetic import scans as synthetic
from ..synthetic.findings import FINDINGS, draw_patient
from ..system.files import replacing
from ..system.regular_files import sha256_of_text
from .class_source import Case
from .settings import TrainSettings
from .synthetic_source import HELD_OUT, LABEL_MAPS_CITATION

BELOW_THE_LUNGS = 0.08  # share of scans of the belly, where no lung is opaque because there is none
UNSEEN = HELD_OUT + 100_000  # first number of volumes whose body no training run draws
VERSION = 2  # of what is painted: kept volumes of another are painted again
INTENDED_USE = (
    "To demonstrate and test Agg2Exp: rough findings in chest CT of adults. Not for diagnosis, treatment, triage, measurement or "
    "any other clinical use; trained on synthetic CT only, unreliable with findings other than the painted ones, small or faint "
    "ones, children, other body regions, and images other than CT."
)


class FindingsSource:
    """Whole chests of deformed label maps and phantoms, each finding at random, two chests in three from the label maps.

    Args:
        label_maps: TotalSegmentator v2 label maps (117 ids) to paint.
        phantoms: number of geometric phantoms (seeds 0, 1, …).
        settings: field of view, spacing and seed.
        cache: folder for the painted volumes.
        volumes: to train on.
        held_out: volumes to validate on, and as many again of which the body is an unseen phantom, where there are phantoms.
        findings: the classes.

    Raises:
        InputError: no anatomy at all, a label map that cannot be used, an unknown finding, or voxels of unequal sides.
    """

    output = "sigmoid"

    def __init__(
        self,
        label_maps: Sequence[Path],
        phantoms: int,
        settings: TrainSettings,
        cache: Path,
        volumes: int = 600,
        held_out: int = 60,
        findings: Sequence[str] = FINDINGS,
    ):
        if len(set(settings.spacing)) > 1:
            raise InputError("Synthetic CT has voxels of equal sides: give one number to ⟨spacing⟩.")
        if unknown := [name for name in findings if name not in FINDINGS]:
            raise InputError(f"There is no synthetic finding '{unknown[0]}': choose among {', '.join(FINDINGS)} for ⟨findings⟩.")
        if volumes < 2:
            raise InputError(f"⟨volumes⟩ must be at least 2, not {volumes}.")
        self.classes, self.settings, self.cache = tuple(findings), settings, cache
        self.mapped = [synthetic.load_anatomy(path) for path in label_maps]
        self.phantoms, self.volumes, self.held_out = phantoms, volumes, held_out
        if not self.mapped and not phantoms:
            raise InputError("There is nothing to train on: give ⟨data⟩, ⟨synthetic⟩ or ⟨phantoms⟩.")
        described = (VERSION, settings.roi, settings.spacing, settings.seed, phantoms, [anatomy.name for anatomy in self.mapped])
        self._key = sha256_of_text(repr(described))[:12]
        self._bodies: dict[bool, list[synthetic.Anatomy]] = {}
        self._targets: np.ndarray | None = None

    def items(self) -> Sequence[int]:
        """See :mod:`~Agg2ExpLib.training.preparation`."""
        return (*range(self.volumes), *self._validation)

    def make(self, item: int) -> str:
        """Paint a volume if it is not in the cache yet."""
        return self._painted(item).stem

    @property
    def targets(self) -> np.ndarray:
        """Truth of the volumes to train on, float32 ``[volumes, classes]``."""
        if self._targets is None:
            self._targets = np.stack([self._target(self._painted(number)) for number in range(self.volumes)])
        return self._targets

    def volume(self, number: int) -> np.ndarray:
        """See :class:`~Agg2ExpLib.training.class_source.ClassSource`."""
        with np.load(self._painted(number)) as file:
            return file["hu"].astype(np.float32)

    def validation(self) -> Iterator[Case]:
        """Volumes of unseen deformations, findings, scans and noise of the same bodies, and of unseen phantoms."""
        for number in self._validation:
            path = self._painted(number)
            group = "synthetic_held_out" if number < UNSEEN else "phantom_held_out"
            yield Case(group, path.stem, self.volume(number), self._target(path))

    def test(self) -> Iterator[Case]:
        """None."""
        return iter(())

    def describe(self) -> dict[str, Any]:
        """Sources with their licence."""
        data = [f"{self.phantoms} geometric phantoms of Agg2ExpLib.synthetic.phantom (this project)"] if self.phantoms else []
        citation = "Trained with Agg2Exp on synthetic CT."
        if self.mapped:
            data.append(LABEL_MAPS_CITATION.format(subjects=", ".join(anatomy.name for anatomy in self.mapped)))
            citation = f"Trained with Agg2Exp on synthetic CT painted on: {data[-1]}."
        data.append(f"{self.volumes} chests painted with findings of Agg2ExpLib.synthetic.findings")
        return {"data": data, "citation": citation, "licence": "CC BY 4.0", "intended_use": INTENDED_USE}

    @property
    def _validation(self) -> list[int]:
        unseen = self.held_out if self.phantoms else 0
        return [*range(HELD_OUT, HELD_OUT + self.held_out), *range(UNSEEN, UNSEEN + unseen)]

    def _target(self, path: Path) -> np.ndarray:
        with np.load(path) as file:
            return file["findings"][[FINDINGS.index(name) for name in self.classes]]

    def _painted(self, number: int) -> Path:
        path = self.cache / f"findings_{self._key}_{number}.npz"
        if not path.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng((self.settings.seed, number))
            bodies = self._anatomies(number >= UNSEEN)
            roi, spacing = self.settings.roi, self.settings.spacing[0]
            patient = draw_patient(bodies, rng, roi, spacing, nodule_mm=self._nodules(), below=BELOW_THE_LUNGS)
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.savez(file, hu=np.rint(patient.ct).astype(np.int16), findings=patient.target())
        return path

    def _nodules(self) -> tuple[float, float]:
        """Diameters that voxels of this size can show."""
        from ..synthetic.findings import NODULE_MM

        return min(max(NODULE_MM[0], 2 * self.settings.spacing[0]), NODULE_MM[1]), NODULE_MM[1]

    def _anatomies(self, unseen: bool) -> list[synthetic.Anatomy]:
        from ..synthetic.phantom import phantom_anatomy

        if unseen not in self._bodies:
            first, count = (HELD_OUT, max(1, self.phantoms // 4)) if unseen else (0, self.phantoms)
            geometric = [phantom_anatomy(first + k) for k in range(count)]
            mapped = [] if unseen else self.mapped * max(1, round(2 * self.phantoms / max(1, len(self.mapped))))
            self._bodies[unseen] = mapped + geometric
        return self._bodies[unseen]
