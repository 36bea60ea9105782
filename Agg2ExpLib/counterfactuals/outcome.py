"""What a counterfactual is: CTs along λ, what the model says and draws on each, where they differ; and its results folder.

::

    run.json                    parameters, what was found, versions, checksums, timings; "task": "counterfactual"
    ct.nii.gz                   CT on the model grid, HU (int16)
    segmentation.nii.gz         what is drawn on it (uint8), where a model draws
    frames/00.nrrd, …           CTs from the smallest λ to the largest, HU (int16, uncompressed); λ = 0 is the reconstruction
    segmentations/00.nii.gz, …  what is drawn on each (uint8)
    curve.csv                   a line a frame: λ, output, probability, changes, and the volume of every label in ml
    reconstruction.csv          how far what the autoencoder gives back is from the CT: Dice and volume by label, HU error by tissue
    difference/less.nrrd, …     HU of the last frame of a direction minus those of the reconstruction (float32, uncompressed)
    difference/less_path.nrrd   mean absolute HU difference of neighbouring frames, the heat map of arXiv:2502.07156
    extra_rois/<name>.nii.gz    further regions of interest
    target_mask.nii.gz          the drawn target, where one was given
    roi_importance.csv          where the difference lies: rows are directions, columns regions
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..io.grid import Grid
from ..io.write import write_volume
from ..models.labels import Label, title_of
from ..roi_importance.matrix import ImportanceMatrix
from ..roi_importance.tables import write_tidy, write_wide
from ..runs.results import CT_FILE, EXTRA_ROIS, RUN_FILE, SEGMENTATION_FILE, TARGET_MASK_FILE, TIDY_FILE, WIDE_FILE, extra_roi_path
from ..system.files import new_folder, write_json

if TYPE_CHECKING:
    import pandas as pd

FRAMES, DRAWINGS, DIFFERENCE = "frames", "segmentations", "difference"
CURVE_FILE, RECONSTRUCTION_FILE = "curve.csv", "reconstruction.csv"
CURVE_COLUMNS = ("frame", "lambda", "output", "probability", "change_percent", "mean_abs_hu")


@dataclass(frozen=True, eq=False)
class Step:
    """One CT along λ; arrays are ``[x, y, z]`` on the model grid.

    Attributes:
        amount: λ; 0 is what the autoencoder makes of the CT.
        hu: int16.
        drawn: labels on it, uint8; None where no model draws.
        output: f.
        probability: see :class:`~.outputs.Measured`.
        change: ``Σ|x_λ − x_0| / Σ|x_0|`` of the intensities.
        mean_abs_hu: mean absolute difference to λ = 0.
        volumes: of every label in ml.
    """

    amount: float
    hu: np.ndarray
    drawn: np.ndarray | None
    output: float
    probability: float
    change: float
    mean_abs_hu: float
    volumes: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Counterfactual:
    """What a CT would have to look like for a model to answer otherwise; arrays are ``[x, y, z]`` on the model grid.

    Attributes:
        grid: the model grid.
        labels: that are drawn, the background first.
        target: name of the label or class that was to become less or more.
        hu: the CT, int16.
        drawn: labels on it, uint8; None where no model draws.
        steps: from the smallest λ to the largest; that of λ = 0 is the reconstruction.
        differences: by direction, HU of its last frame minus those of the reconstruction, float32.
        paths: by direction, mean absolute HU difference of neighbouring frames, float32.
        matrix: where the differences lie; rows are directions.
        dice: by label, overlap of what is drawn on the CT and on its reconstruction; NaN where the CT has none.
        errors: by tissue, mean absolute HU error of the reconstruction.
        extra_rois: further regions, boolean masks by name.
        target_mask: the drawn target, or None.
        run: content of ``run.json``.

    Examples:
        >>> slices = agg2exp.Model.load("slices.safetensors")
        >>> answer = agg2exp.counterfactual("chest.nii.gz", "swin_unetr.pt", "heart", end=20, frames=2, autoencoder=slices)
        >>> answer.to_frame()[["lambda", "probability", "heart_ml"]]
        >>> answer.matrix.strongest("less", 3)  # where the CT changed most
        >>> folder = answer.save("less_heart")
    """

    grid: Grid
    labels: tuple[Label, ...]
    target: str
    hu: np.ndarray
    drawn: np.ndarray | None
    steps: tuple[Step, ...]
    differences: Mapping[str, np.ndarray]
    paths: Mapping[str, np.ndarray]
    matrix: ImportanceMatrix
    dice: Mapping[str, float]
    errors: Mapping[str, float]
    extra_rois: Mapping[str, np.ndarray] = field(default_factory=dict)
    target_mask: np.ndarray | None = None
    run: dict[str, Any] = field(default_factory=dict)

    @property
    def patient(self) -> str:
        """Patient id."""
        return str(self.run["patient"])

    @property
    def start(self) -> Step:
        """λ = 0."""
        return next(step for step in self.steps if step.amount == 0)

    def to_frame(self) -> pd.DataFrame:
        """The curve: a line a CT."""
        import pandas as pd

        return pd.read_csv(io.StringIO(curve_text(self.steps)))

    def save(self, folder: str | Path, overwrite: bool = False) -> Path:
        """Write the results folder.

        Raises:
            InputError: it exists and may not be replaced, or cannot be written.
        """
        place = Path(folder)
        with new_folder(place, overwrite, lambda: None) as temporary:
            self.write(temporary)
        return place

    def write(self, folder: Path) -> None:
        """Write all files into a folder that exists."""
        affine = self.grid.affine
        for name in (FRAMES, DRAWINGS, DIFFERENCE, EXTRA_ROIS):
            if name not in (DRAWINGS, EXTRA_ROIS) or (self.drawn is not None if name == DRAWINGS else self.extra_rois):
                (folder / name).mkdir()
        write_volume(folder / CT_FILE, self.hu, affine, compress=True)
        if self.drawn is not None:
            write_volume(folder / SEGMENTATION_FILE, self.drawn, affine, compress=True)
        for number, step in enumerate(self.steps):
            write_volume(frame_path(folder, number), step.hu, affine)
            if step.drawn is not None:
                write_volume(drawing_path(folder, number), step.drawn, affine, compress=True)
        for direction, values in self.differences.items():
            write_volume(folder / DIFFERENCE / f"{direction}.nrrd", values, affine)
            write_volume(folder / DIFFERENCE / f"{direction}_path.nrrd", self.paths[direction], affine)
        for name, mask in self.extra_rois.items():
            write_volume(extra_roi_path(folder, name), mask, affine, compress=True)
        if self.target_mask is not None:
            write_volume(folder / TARGET_MASK_FILE, self.target_mask, affine, compress=True)
        (folder / CURVE_FILE).write_text(curve_text(self.steps), encoding="utf-8", newline="")
        (folder / RECONSTRUCTION_FILE).write_text(self._reconstruction_text(), encoding="utf-8", newline="")
        write_tidy(folder / TIDY_FILE, self.matrix, self.patient)
        write_wide(folder / WIDE_FILE, self.matrix, self.patient)
        write_json(folder / RUN_FILE, self.run)

    def _reconstruction_text(self) -> str:
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["what", "name", "value"])
        writer.writerows(["hu_error", name, _shown(value)] for name, value in self.errors.items())
        writer.writerows(["dice", name, _shown(value)] for name, value in self.dice.items())
        return file.getvalue()

    def __str__(self) -> str:
        ends = {step.amount: step for step in (self.steps[0], self.steps[-1]) if step.amount}
        start = self.start
        error = self.errors.get("all voxels", math.nan)
        lines = [
            f"{title_of(self.target)}: output {start.output:.3f}, probability {start.probability:.3f} on the reconstructed CT."
        ]
        for amount, step in sorted(ends.items()):
            direction = "less" if amount < 0 else "more"
            why = self.run.get("search", {}).get(direction, {}).get("stopped_because", "")
            lines.append(
                f"  {direction}: output {step.output:.3f}, probability {step.probability:.3f}; the CT changed by "
                f"{100 * step.change:.1f} % ({step.mean_abs_hu:.1f} HU on average)" + (f"; ended because {why}" if why else "")
            )
            lines += [f"    {line}" for line in self._volume_lines(step)]
        lines.append(f"The autoencoder gives the CT back to {error:.0f} HU on average" + self._dice_words() + ".")
        return "\n".join(lines)

    def _volume_lines(self, step: Step) -> list[str]:
        """The labels whose volume changed most."""
        before = self.start.volumes
        order = sorted(step.volumes, key=lambda name: -abs(step.volumes[name] - before.get(name, 0.0)))
        shown = [name for name in order if step.volumes[name] != before.get(name, 0.0)][:4]
        return [f"{title_of(name)} {before.get(name, 0.0):.0f} → {step.volumes[name]:.0f} ml" for name in shown]

    def _dice_words(self) -> str:
        own = self.dice.get(self.target, math.nan)
        return "" if math.isnan(own) else f", and the model draws {title_of(self.target).lower()} on it with a Dice of {own:.3f}"


def frame_path(folder: Path, number: int) -> Path:
    """Where a CT along λ lies."""
    return folder / FRAMES / f"{number:02d}.nrrd"


def drawing_path(folder: Path, number: int) -> Path:
    """Where that lies which is drawn on a CT along λ."""
    return folder / DRAWINGS / f"{number:02d}.nii.gz"


def curve_text(steps: Sequence[Step]) -> str:
    """``curve.csv``."""
    names = list(steps[0].volumes)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*CURVE_COLUMNS, *(f"{name}_ml" for name in names)])
    for number, step in enumerate(steps):
        values = [step.amount, step.output, step.probability, 100 * step.change, step.mean_abs_hu]
        writer.writerow([number, *map(_shown, values), *(_shown(step.volumes[name]) for name in names)])
    return file.getvalue()


def _shown(value: float) -> str:
    return "" if math.isnan(value) else repr(round(float(value), 6))
