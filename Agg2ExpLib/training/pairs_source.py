"""Windows of real CT with label maps: read as in inference, kept on disk on the model grid, cropped and varied by MONAI."""

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
from ..models.label_maps import LabelScheme
from ..synthetic.scans import Example
from ..system.files import replacing
from ..system.regular_files import sha256_of_text
from .pairs import Pair
from .preparation import cache_stem
from .settings import TrainSettings
from .sources import Validation

AIR_HU = -1024
_INDICES_PER_LABEL = 4000  # voxels remembered of each label, from which windows are centred
INTENDED_USE = (
    "Research on segmentation and its explanation. Not for diagnosis, treatment, measurement or any other clinical use; "
    "unreliable on images unlike those it was trained on."
)


class PairsSource:
    """Windows of CTs with label maps, each centred on a random label's voxel (background included).

    Every case is brought to the model grid once, by the code that reads CTs for explanation, and kept in ``cache``.

    Args:
        training, validation: the cases.
        scheme: the labels.
        settings: window and spacing.
        cache: folder for the prepared cases.
        origin: name of the data, for the model card.
        augment: whether windows are turned, scaled, made noisy, blurred, brighter and darker at random.

    Raises:
        InputError: no case to train on.
    """

    def __init__(
        self,
        training: Sequence[Pair],
        validation: Sequence[Pair],
        scheme: LabelScheme,
        settings: TrainSettings,
        cache: Path,
        origin: str,
        augment: bool = True,
    ):
        if not training:
            raise InputError("There is no case left to train on: keep fewer for ⟨validation⟩.")
        self.training, self.held_out, self.scheme, self.settings = tuple(training), tuple(validation), scheme, settings
        self.labels, self.cache, self.origin, self.augment = scheme.labels, cache, origin, augment

    def items(self) -> Sequence[Pair]:
        """See :mod:`~Agg2ExpLib.training.preparation`."""
        return (*self.training, *self.held_out)

    def make(self, item: Pair) -> str:
        """Read a case if it is not in the cache yet."""
        self._prepared(item)
        return item.name

    def window(self, rng: np.random.Generator, index: int) -> Example:
        """A window of the next case in a random order that is new for every pass through the data."""
        turn, place = divmod(index, len(self.training))
        pair = self.training[np.random.default_rng((self.settings.seed, turn)).permutation(len(self.training))[place]]
        ct, labels, centres = self._read(pair)
        present = np.flatnonzero(np.diff(centres["start"]))
        label = int(rng.choice(present))
        voxel = int(rng.choice(centres["voxels"][centres["start"][label] : centres["start"][label + 1]]))
        crop = _crop(np.array(np.unravel_index(voxel, ct.shape)), ct.shape, self.settings.roi)
        example = Example(_window_of(ct, crop, AIR_HU).astype(np.float32), _window_of(labels, crop, 0))
        return self._varied(example, int(rng.integers(2**31))) if self.augment else example

    def validation(self) -> Iterator[Validation]:
        """Whole cases."""
        for pair in self.held_out:
            ct, labels, _ = self._read(pair)
            yield Validation("validation", pair.name, Example(np.asarray(ct, np.float32), np.asarray(labels)))

    def describe(self) -> dict[str, Any]:
        """How many cases of which folder; the licence is the user's to state."""
        cases = f"{len(self.training)} CTs with label maps of {self.origin}, {len(self.held_out)} more to validate on"
        return {"data": [cases], "intended_use": INTENDED_USE}

    def _varied(self, example: Example, seed: int) -> Example:
        from monai import transforms

        keys = ("ct", "labels")
        vary = transforms.Compose(
            [
                transforms.RandAffined(
                    keys,
                    prob=0.7,
                    rotate_range=(0.2, 0.2, 0.2),
                    scale_range=(0.15, 0.15, 0.15),
                    mode=("bilinear", "nearest"),
                    padding_mode="border",
                ),
                transforms.RandGaussianNoised("ct", prob=0.3, std=30),
                transforms.RandGaussianSmoothd("ct", prob=0.2, sigma_x=(0.3, 1), sigma_y=(0.3, 1), sigma_z=(0.3, 1)),
                transforms.RandScaleIntensityd("ct", prob=0.3, factors=0.1),
                transforms.RandShiftIntensityd("ct", prob=0.3, offsets=20),
            ]
        )
        vary.set_random_state(seed=seed)
        varied = vary({"ct": example.ct[None], "labels": example.labels[None].astype(np.float32)})
        labels = np.asarray(varied["labels"][0]).round().astype(np.uint8)
        return Example(np.asarray(varied["ct"][0], np.float32), labels)

    def _read(self, pair: Pair) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        stem = self._prepared(pair)
        ct, labels, voxels, start = (np.load(f"{stem}_{part}.npy", mmap_mode="r") for part in ("ct", "labels", "voxels", "start"))
        return ct, labels, {"voxels": voxels, "start": np.asarray(start)}

    def _prepared(self, pair: Pair) -> Path:
        """Stem of a case's prepared files, made when they are missing or the case or the settings are others."""
        described = [pair.ct.resolve(), pair.labels.resolve(), self.settings.spacing, self.scheme.values, self.scheme.masks]
        stamps = [file.stat().st_mtime_ns for path in (pair.ct, pair.labels) for file in files_of(path)]
        key = sha256_of_text(repr((described, stamps)))[:12]
        stem = self.cache / f"{cache_stem(pair.name)}_{key}"
        if not Path(f"{stem}_start.npy").exists():  # the last one written
            self.cache.mkdir(parents=True, exist_ok=True)
            for part, array in self._prepare(pair).items():
                path = Path(f"{stem}_{part}.npy")
                with replacing(path) as temporary, temporary.open("wb") as file:
                    np.save(file, array)
        return stem

    def _prepare(self, pair: Pair) -> dict[str, np.ndarray]:
        ct = read_ct(pair.ct)
        grid = model_grid(ct.grid, self.settings.spacing)
        hu = resample(ct, grid, "linear", outside=AIR_HU if ct.grid.sheared else None)
        labels = resample(self.scheme.read(pair.labels), grid, "nearest", outside=0).astype(np.uint8)
        if not labels.any():
            raise InputError(f"The label map of {pair.name} does not meet its CT: check that both have the same place in space.")
        rng = np.random.default_rng(self.settings.seed)
        voxels, start = [], [0]
        for label in self.labels:
            found = np.flatnonzero(labels == label.index)
            voxels.append(rng.choice(found, min(len(found), _INDICES_PER_LABEL), replace=False) if len(found) else found)
            start.append(start[-1] + len(voxels[-1]))
        return {
            "ct": np.clip(np.rint(hu), -32768, 32767).astype(np.int16),
            "labels": labels,
            "voxels": np.concatenate(voxels),
            "start": np.array(start),
        }


def _crop(centre: np.ndarray, shape: Sequence[int], roi: Sequence[int]) -> list[tuple[int, int]]:
    """First and last+1 voxel of a window around a voxel, inside the volume where the volume is large enough."""
    crop = []
    for middle, size, side in zip(centre, shape, roi, strict=True):
        first = int(middle) - side // 2
        first = min(max(first, 0), size - side) if size >= side else (size - side) // 2
        crop.append((first, first + side))
    return crop


def _window_of(array: np.ndarray, crop: Sequence[tuple[int, int]], outside: int) -> np.ndarray:
    """The window, filled up with ``outside`` beyond the volume."""
    inside = tuple(slice(max(first, 0), max(last, 0)) for first, last in crop)
    part = np.asarray(array[inside])
    before = [max(-first, 0) for first, _ in crop]
    after = [last - first - left - size for (first, last), left, size in zip(crop, before, part.shape, strict=True)]
    return np.pad(part, list(zip(before, after, strict=True)), constant_values=outside)
