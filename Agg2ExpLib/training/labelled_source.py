"""Labelled CTs: read as in inference and kept on disk on the model grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..io.grid import model_grid
from ..io.read import read_ct
from ..io.resample import resample
from ..io.source_files import files_of
from ..preprocessing.ras_spacing import AIR_HU
from ..system.files import replacing
from ..system.regular_files import sha256_of_text
from .class_source import Case
from .labelled import Labelled
from .settings import TrainSettings

LEAST_SLICES = 8
INTENDED_USE = (
    "Research on classifiers and their explanation. Not for diagnosis, treatment, measurement or any other clinical use; "
    "unreliable on images unlike those it was trained on."
)


class LabelledSource:
    """CTs with classes, some of them kept out of training.

    Args:
        data: the CTs.
        held_out: patients to validate on.
        settings: spacing.
        cache: folder for the prepared CTs.
        origin: name of the data, for the model card.

    Raises:
        InputError: no CT to train on, or validation would tell nothing.
    """

    def __init__(self, data: Labelled, held_out: set[str], settings: TrainSettings, cache: Path, origin: str):
        self.classes, self.output, self.data, self.settings = data.classes, data.output, data, settings
        self.cache, self.origin = cache, origin
        out = np.array([patient in held_out for patient in data.patients])
        self.training, self.held_out = np.flatnonzero(~out), np.flatnonzero(out)
        if not len(self.training):
            raise InputError("There is no CT left to train on: keep fewer for ⟨validation⟩.")
        self.targets = data.targets[self.training]
        truth = data.targets[self.held_out]
        if len(truth) and not ((truth == 0).any(0) & (truth == 1).any(0)).any():
            raise InputError(
                "No class is both there and not there among the CTs kept for ⟨validation⟩, so no AUROC can be measured: keep more, "
                "or 0 for none."
            )

    def items(self) -> Sequence[int]:
        """See :mod:`~Agg2ExpLib.training.preparation`."""
        return [int(number) for number in (*self.training, *self.held_out)]

    def make(self, item: int) -> str:
        """Read a CT if it is not in the cache yet."""
        self._prepared(item)
        return self.data.patients[item]

    def volume(self, number: int) -> np.ndarray:
        """See :class:`~Agg2ExpLib.training.class_source.ClassSource`."""
        return self._read(int(self.training[number]))

    def validation(self) -> Iterator[Case]:
        """The CTs kept out."""
        for number in self.held_out:
            yield Case("validation", self.data.patients[number], self._read(int(number)), self.data.targets[number])

    def test(self) -> Iterator[Case]:
        """None."""
        return iter(())

    def describe(self) -> dict[str, Any]:
        """How many CTs of which folder; the licence is the user's to state."""
        cases = f"{len(self.training)} CTs with classes of {self.origin}, {len(self.held_out)} more to validate on"
        return {"data": [cases], "intended_use": INTENDED_USE}

    def _read(self, number: int) -> np.ndarray:
        return np.load(self._prepared(number), mmap_mode="r").astype(np.float32)

    def _prepared(self, number: int) -> Path:
        """File of a CT on the model grid, made when it is missing or the CT or the spacing is another."""
        ct = self.data.cts[number]
        stamps = [file.stat().st_mtime_ns for file in files_of(ct)]
        key = sha256_of_text(repr((ct.resolve(), self.settings.spacing, stamps)))[:16]
        path = self.cache / f"{key}.npy"
        if not path.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            read = read_ct(ct)
            hu = resample(
                read, model_grid(read.grid, self.settings.spacing), "linear", outside=AIR_HU if read.grid.sheared else None
            )
            if min(hu.shape) < LEAST_SLICES:
                size = "x".join(f"{side:g}" for side in self.settings.spacing)
                raise InputError(
                    f"{ct.name} has only {min(hu.shape)} slices along one axis at {size} mm, and {LEAST_SLICES} are needed: leave "
                    "it out, or choose a smaller ⟨spacing⟩."
                )
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.save(file, np.clip(np.rint(hu), -32768, 32767).astype(np.int16))
        return path
