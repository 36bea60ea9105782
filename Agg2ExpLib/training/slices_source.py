"""Slices of CT for autoencoders: real CT and synthetic CT, brought to the model grid once and kept on disk.

No label is read. Every CT is kept at three voxel sizes around the model's, and its slices are drawn along all three axes, so that a
network sees more than the few scans there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..io.grid import model_grid
from ..io.read import read_ct
from ..io.resample import resample
from ..io.source_files import files_of
from ..preprocessing.ras_spacing import AIR_HU
from ..synthetic import scans as synthetic
from ..system.files import replacing
from ..system.regular_files import sha256_of_text
from .preparation import cache_stem
from .settings import TrainSettings
from .synthetic_source import HELD_OUT, LABEL_MAPS_CITATION
from .tables import read_cases

# Voxel sizes that a CT is kept at, times the model's; a network serves what lies between.
SCALES = (0.75, 1.0, 1.25)
_AXIAL = 0.6  # share of slices that are axial; the rest are coronal and sagittal
_SYNTHETIC_SHAPE = (96, 96, 32)
_MOST_NOISE, _MOST_SHIFT, _MOST_STRETCH = 25.0, 20.0, 0.03  # HU, HU, share
INTENDED_USE = (
    "To make counterfactual CT by latent shift in Agg2Exp: gives back slices of chest CT of adults, less sharp than they were. Not "
    "for diagnosis, treatment, measurement or any other clinical use, and not to compress or denoise CT."
)


@dataclass(frozen=True)
class CtFile:
    """A CT and its name."""

    name: str
    path: Path


class SlicesSource:
    """Slices ``[x, y, 1]`` of CT in HU, varied at random.

    Args:
        training, validation: real CT.
        label_maps: TotalSegmentator v2 label maps to paint synthetic CT on.
        phantoms: geometric phantoms to paint.
        settings: slice size (the first two sides of ``roi``), spacing and seed.
        cache: folder for the prepared volumes.
        volumes: synthetic volumes to draw.
        origin: name of the real CT's folder, for the model card.
        augment: whether slices are mirrored, made noisy, brighter and darker.

    Raises:
        InputError: nothing to train on.
    """

    def __init__(
        self,
        training: Sequence[CtFile],
        validation: Sequence[CtFile],
        label_maps: Sequence[Path],
        phantoms: int,
        settings: TrainSettings,
        cache: Path,
        volumes: int = 120,
        origin: str = "",
        augment: bool = True,
    ):
        if not training and not label_maps and not phantoms:
            raise InputError("There is nothing to train on: give ⟨data⟩, ⟨synthetic⟩ or ⟨phantoms⟩.")
        if len(set(settings.spacing)) > 1:
            raise InputError("Slices have pixels of equal sides: give one number to ⟨spacing⟩.")
        self.training, self.held_out, self.label_maps = tuple(training), tuple(validation), tuple(label_maps)
        self.phantoms, self.settings, self.cache, self.augment, self.origin = phantoms, settings, cache, augment, origin
        self.volumes = volumes if label_maps or phantoms else 0
        self._anatomies: list[synthetic.Anatomy] | None = None
        self._open: dict[Path, np.ndarray] = {}
        self._real_files: dict[tuple[CtFile, float], Path] = {}
        self._synthetic_files: dict[int, Path] = {}

    def items(self) -> Sequence[CtFile | int]:
        """See :mod:`~Agg2ExpLib.training.preparation`: real CTs, then numbers of synthetic ones."""
        return (*self.training, *self.held_out, *range(self.volumes))

    def make(self, item: CtFile | int) -> str:
        """Make a CT's volumes if they are not in the cache yet."""
        if isinstance(item, int):
            self._synthetic(item)
            return f"synthetic {item}"
        for scale in SCALES if item in self.training else (1.0,):
            self._real(item, scale)
        return item.name

    def slice(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A slice as the network sees it and as it is wanted back (without the noise), float32 HU ``[x, y, 1]``."""
        real = self.training and (not self.volumes or rng.random() < 0.5)
        if real:
            ct = self.training[int(rng.integers(len(self.training)))]
            volume = self._read(self._real(ct, SCALES[int(rng.integers(len(SCALES)))]))
        else:
            volume = self._read(self._synthetic(int(rng.integers(self.volumes))))
        axis = 2 if not real or rng.random() < _AXIAL else int(rng.integers(2))
        plane = volume[(slice(None),) * axis + (int(rng.integers(volume.shape[axis])),)]
        wanted = _placed(plane, self.settings.roi[:2], rng).astype(np.float32)
        seen = wanted
        if self.augment:
            for flipped in (0, 1):
                if rng.random() < 0.5:
                    wanted = np.flip(wanted, flipped)
            wanted = wanted * np.float32(1 + rng.uniform(-1, 1) * _MOST_STRETCH) + np.float32(rng.uniform(-1, 1) * _MOST_SHIFT)
            seen = wanted
            if rng.random() < 0.3:
                noise = rng.standard_normal(wanted.shape, dtype=np.float32)
                seen = wanted + noise * np.float32(rng.uniform(0, _MOST_NOISE))
        return np.ascontiguousarray(seen)[..., None], np.ascontiguousarray(wanted)[..., None]

    def validation(self) -> Iterator[tuple[str, str, np.ndarray]]:
        """Set, name and HU ``[x, y, z]`` of whole CTs that training never sees; synthetic ones where there are no real ones."""
        for ct in self.held_out:
            yield "held_out", ct.name, np.asarray(self._read(self._real(ct, 1.0)), np.float32)
        if not self.held_out:
            for number in range(4):
                rng = np.random.default_rng((self.settings.seed, HELD_OUT + number))
                yield "synthetic_held_out", f"synthetic {number}", self._draw(rng, self.settings.spacing[0])

    def describe(self) -> dict[str, Any]:
        """Sources for the model card; the licence of real CT is the user's to state."""
        data = []
        if self.training:
            data.append(f"{len(self.training)} CTs of {self.origin}, {len(self.held_out)} more to validate on")
        if self.phantoms:
            data.append(f"{self.phantoms} geometric phantoms of Agg2ExpLib.synthetic.phantom (this project)")
        if self.label_maps:
            names = ", ".join(path.name.split("_")[0] for path in self.label_maps)
            data.append(LABEL_MAPS_CITATION.format(subjects=names))
        licence = None if self.training else "CC BY 4.0"
        return {"data": data, "licence": licence, "intended_use": INTENDED_USE}

    def _real(self, ct: CtFile, scale: float) -> Path:
        """The file of a CT at a voxel size, made when it is missing or the CT is another."""
        if (ct, scale) in self._real_files:
            return self._real_files[ct, scale]
        spacing = self.settings.spacing[0] * scale
        stamps = [file.stat().st_mtime_ns for file in files_of(ct.path)]
        path = self.cache / f"{cache_stem(ct.name)}_{sha256_of_text(repr((ct.path.resolve(), stamps, spacing)))[:12]}.npy"
        if not path.exists():
            volume = read_ct(ct.path)
            grid = model_grid(volume.grid, (spacing, spacing, spacing))
            self._write(path, resample(volume, grid, "linear", outside=AIR_HU if volume.grid.sheared else None))
        self._real_files[ct, scale] = path
        return path

    def _synthetic(self, number: int) -> Path:
        if number in self._synthetic_files:
            return self._synthetic_files[number]
        described = ([path.name for path in self.label_maps], self.phantoms, self.settings.seed, self.settings.spacing[0])
        path = self.cache / f"synthetic_{number}_{sha256_of_text(repr(described))[:12]}.npy"
        if not path.exists():
            rng = np.random.default_rng((self.settings.seed, number))
            self._write(path, self._draw(rng, self.settings.spacing[0] * rng.uniform(SCALES[0], SCALES[-1])))
        self._synthetic_files[number] = path
        return path

    def _draw(self, rng: np.random.Generator, spacing: float) -> np.ndarray:
        if self._anatomies is None:
            from ..synthetic.phantom import phantom_anatomy

            finest = min(max(self.settings.spacing[0] * SCALES[0], 1.0), 8.0)  # what a phantom can be made at
            phantoms = [phantom_anatomy(number, spacing=(finest,) * 3) for number in range(self.phantoms)]
            self._anatomies = [synthetic.load_anatomy(path) for path in self.label_maps] + phantoms
        return synthetic.draw_example(self._anatomies, rng, _SYNTHETIC_SHAPE, spacing).ct

    def _write(self, path: Path, hu: np.ndarray) -> None:
        self.cache.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, np.clip(np.rint(hu), -32768, 32767).astype(np.int16))

    def _read(self, path: Path) -> np.ndarray:
        if path not in self._open:
            self._open[path] = np.asarray(np.load(path, mmap_mode="r"))  # still mapped, without the ways of np.memmap
        return self._open[path]


def find_cts(data: Path) -> list[CtFile]:
    """CTs in a CSV (column ``ct``, paths relative to it, and ``patient`` for a name) or in a folder: every volume in it, and every
    folder in it as a DICOM series.

    Raises:
        InputError: nothing found, a path that does not exist, or a name twice.
    """
    from ..io.volume import SUFFIXES, stem_of

    of_patients = False
    if data.is_file():
        header, rows = read_cases(data, ["ct"], "it must have one with the paths of CTs")
        of_patients = "patient" in header
        found = [CtFile(row.get("patient") or stem_of(row["ct"]), Path(row["ct"])) for row in rows]
    elif data.is_dir():
        entries = [path for path in sorted(data.iterdir()) if not path.name.startswith(".")]
        found = [CtFile(stem_of(path), path) for path in entries if path.is_dir() or path.name.endswith(tuple(SUFFIXES))]
    else:
        raise InputError(f"There is no folder or table {data}: give CTs.")
    if not found:
        raise InputError(f"{data} holds no CT: give a folder of volumes or DICOM series, or a CSV with the column ct.")
    # A patient may have several CTs, which then are never on both sides of the split.
    names = [str(ct.path) if of_patients else ct.name for ct in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        hint = "leave one out" if of_patients else "give every CT a name of its own in a column patient"
        raise InputError(f"{data} names the CT '{twice}' twice: {hint}.")
    return found


def _placed(plane: np.ndarray, size: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """A plane cut or filled up with air to a size, at a random place."""
    placed = np.full(tuple(size), AIR_HU, dtype=plane.dtype)
    source, target = [], []
    for length, side in zip(plane.shape, size, strict=True):
        start = int(rng.integers(abs(length - side) + 1))
        source.append(slice(start, start + side) if length > side else slice(None))
        target.append(slice(None) if length > side else slice(start, start + length))
    placed[tuple(target)] = plane[tuple(source)]
    return placed
