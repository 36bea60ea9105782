"""The results folder: the only hand-over between a run and everything that shows or gathers results.

::

    run.json                    parameters, versions, checksums, timings
    ct.nii.gz                   CT on the model grid, HU (int16), so that a result can be shown without the original scan
    segmentation.nii.gz         predicted labels on the model grid (uint8)
    attributions/<label>.nrrd   signed maps on the model grid (float32, uncompressed)
    extra_rois/<name>.nii.gz    further regions of interest on the model grid (uint8)
    global_mask.nii.gz          the supervoxels that matter most over all labels, where they were asked for (uint8)
    noise/<label>.npz           what is kept of the noise samples, for regions that are added later
    target_mask.nii.gz          the mask explained in place of a label's own segment, where one was given
    roi_importance.csv          tidy matrix
    roi_importance_wide.csv     the paper's layout
    slice_importance.csv        of a classifier: weight, contribution and attribution of every slice along each axis
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..models.labels import Label, labels_of
from ..system.json_files import read_json
from ..system.names import folded, safe_file_name
from .result_checks import checked_run

if TYPE_CHECKING:
    from ..io.volume import Volume
    from ..roi_importance.kept_noise import KeptNoise
    from ..roi_importance.matrix import ImportanceMatrix
    from ..roi_importance.slices import SliceImportance

RUN_FILE = "run.json"
COUNTERFACTUAL = "counterfactual"  # task of a folder that is none of these
CT_FILE = "ct.nii.gz"
SEGMENTATION_FILE = "segmentation.nii.gz"
TARGET_MASK_FILE = "target_mask.nii.gz"
GLOBAL_MASK_FILE = "global_mask.nii.gz"
TIDY_FILE = "roi_importance.csv"
WIDE_FILE = "roi_importance_wide.csv"
SLICES_FILE = "slice_importance.csv"
ATTRIBUTIONS = "attributions"
EXTRA_ROIS = "extra_rois"
NOISE = "noise"


def attribution_path(folder: Path, label: str) -> Path:
    """Where a label's map lies."""
    return folder / ATTRIBUTIONS / f"{safe_file_name(label)}.nrrd"


def noise_path(folder: Path, label: str) -> Path:
    """Where that lies which is kept of a label's noise samples."""
    return folder / NOISE / f"{safe_file_name(label)}.npz"


def extra_roi_path(folder: Path, name: str) -> Path:
    """Where an extra region lies; characters that file systems refuse become ``_``."""
    safe = safe_file_name(re.sub(r"[^\w .+()-]", "_", name))
    return folder / EXTRA_ROIS / f"{safe}.nii.gz"


def check_region_files(names: Iterable[str]) -> None:
    """Refuse extra regions that would share a file.

    Raises:
        InputError: two names differ only by capitals, or by characters that file systems refuse.
    """
    files: dict[str, str] = {}
    for name in names:
        file = folded(extra_roi_path(Path(), name).name)
        if file in files:
            raise InputError(f"The regions '{files[file]}' and '{name}' are too alike for file names: name one differently.")
        files[file] = name


@dataclass(frozen=True)
class Results:
    """A results folder, read lazily; volumes are ``[x, y, z]`` on the model grid.

    Attributes:
        folder: where it lies.
        run: content of ``run.json``.
    """

    folder: Path
    run: dict[str, Any]

    @classmethod
    def open(cls, folder: str | Path) -> Results:
        """Open a folder.

        Raises:
            InputError: it is not a results folder.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise InputError(f"There is no results folder {folder}: give the folder that a run of agg2exp wrote.")
        if not (folder / RUN_FILE).is_file():
            raise InputError(f"{folder} is not a results folder of Agg2Exp: it has no {RUN_FILE}.")
        run = checked_run(read_json(folder / RUN_FILE, "The record"), folder / RUN_FILE)
        if run.get("task") == COUNTERFACTUAL:
            raise InputError(f"{folder} is a counterfactual, no explanation: agg2exp render draws it, and nothing else takes it.")
        return cls(folder, run)

    @property
    def patient(self) -> str:
        """Patient id, by default the name of the CT file."""
        return str(self.run["patient"])

    @cached_property
    def labels(self) -> tuple[Label, ...]:
        """All labels of the segmentation in the order of their values, background first."""
        return labels_of(self.run["labels"])

    @cached_property
    def classes(self) -> tuple[Label, ...]:
        """The classes of a classifier, which are explained in place of labels; none of a segmentation network."""
        return labels_of(self.run.get("classes", []))

    @property
    def explainable(self) -> tuple[Label, ...]:
        """What the rows of the matrix can be: the classes of a classifier, else the labels without the background."""
        return self.classes or self.labels[1:]

    @property
    def explained(self) -> tuple[str, ...]:
        """Names of the labels that have a map."""
        return tuple(self.run.get("explained", ()))

    def probability(self, name: str) -> str:
        """What a classifier says of a class, as ``93 %``; empty for a segmentation network."""
        return next((told_percent(entry["probability"]) for entry in self.run.get("classes", []) if entry["name"] == name), "")

    def ct(self) -> Volume:
        """The CT in HU."""
        return self._read(self.folder / CT_FILE)

    def segmentation(self) -> Volume:
        """The predicted labels; values are the labels' ``index``.

        Raises:
            InputError: it cannot be read, or has values of no label.
        """
        volume = self._read(self.folder / SEGMENTATION_FILE)
        if volume.array.dtype.kind not in "iu" or volume.array.min() < 0 or volume.array.max() >= len(self.labels):
            raise InputError(f"{self.folder / SEGMENTATION_FILE} has values of no label in {RUN_FILE}: take the result as it was.")
        return volume

    def attribution(self, label: str) -> Volume:
        """A label's signed map, memory-mapped where the file allows.

        Raises:
            InputError: the label was not explained, or its file is missing.
        """
        from ..io.read import read_map

        if label not in self.explained:
            raise InputError(f"This result has no map of '{label}': it explains {', '.join(self.explained) or 'nothing'}.")
        return read_map(attribution_path(self.folder, label))

    def extra_rois(self) -> dict[str, Volume]:
        """The further regions of interest, by name."""
        return {name: self._read(extra_roi_path(self.folder, name)) for name in self.run.get("extra_rois", ())}

    def target_mask(self) -> Volume | None:
        """The mask that was explained in place of the labels' own segments, if any."""
        path = self.folder / TARGET_MASK_FILE
        return self._read(path) if path.is_file() else None

    def global_mask(self) -> Volume | None:
        """The supervoxels that matter most over all explained labels, if they were asked for; see :mod:`.global_mask`."""
        path = self.folder / GLOBAL_MASK_FILE
        return self._read(path) if path.is_file() else None

    def slices(self) -> SliceImportance | None:
        """How much each slice matters for each explained class, where a classifier was explained."""
        from ..roi_importance.slices import read_slices

        path = self.folder / SLICES_FILE
        return read_slices(path) if path.is_file() else None

    def noise(self) -> Mapping[str, KeptNoise]:
        """What is kept of the noise samples of the labels that have any, read when it is asked for; none in older results."""
        from ..roi_importance.kept_noise import NoiseFiles

        files = {label: noise_path(self.folder, label) for label in self.explained}
        return NoiseFiles({label: file for label, file in files.items() if file.is_file()})

    def importance(self) -> ImportanceMatrix:
        """The local RoI importance matrix.

        Raises:
            InputError: it cannot be read, or names what the record does not.
        """
        from ..roi_importance.tables import read_tidy

        names = tuple(label.name for label in self.labels)
        matrix = read_tidy(self.folder / TIDY_FILE, names)[1]
        known = {*names, *(label.name for label in self.classes), *self.run.get("extra_rois", ())}
        if unknown := [name for name in (*matrix.rows, *matrix.columns) if name not in known]:
            raise InputError(f"{self.folder / TIDY_FILE} names '{unknown[0]}', which {RUN_FILE} lacks: take the result as it was.")
        return matrix

    def _read(self, path: Path) -> Volume:
        from ..io.read import read_volume

        return read_volume(path)


def told_percent(probability: float) -> str:
    """A probability as people read it: ``93 %``, ``< 1 %``, ``> 99 %``."""
    percent = 100 * float(probability)
    return "< 1 %" if percent < 1 else "> 99 %" if percent > 99 else f"{percent:.0f} %"
