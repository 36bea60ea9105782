"""Pictures of predicted labels over CT: three planes of a patient, without and with the labels, and a legend with volumes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from Agg2ExpLib.io.grid import Grid, model_grid
from Agg2ExpLib.io.resample import resample
from Agg2ExpLib.io.volume import Volume
from Agg2ExpLib.models.labels import PAPER_LABELS, Label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Its own colour is hardly to be told from the right upper lobe's.
PICTURE_COLORS = {"lung_lower_lobe_right": (196, 214, 72)}
AXES = {"axial": (0, 1, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0)}
LETTERS = ("LR", "PA", "IS")  # towards lower and higher RAS


@dataclass(frozen=True)
class Patient:
    """A CT to draw: its file, the planes' patient RAS position in mm (fixed, so that weights can be compared), and its source."""

    file: str
    position: tuple[float, float, float]
    citation: str


PATIENTS = (
    Patient("lidc-idri/LIDC-IDRI-0001_ct_1p5mm.nii.gz", (0, -5, -165), "LIDC-IDRI-0001, TCIA, CC BY 3.0"),
    Patient("lidc-idri/LIDC-IDRI-0002_ct_1p5mm.nii.gz", (0, 10, -195), "LIDC-IDRI-0002, TCIA, CC BY 3.0"),
    Patient("plastimatch/t0_ct_native.nii.gz", (0, 25, -10), "Plastimatch sample, left lung almost fully opacified"),
)


def plane(name: str, position: Sequence[float], box: np.ndarray, step: float = 0.75) -> Grid:
    """Pixels of a standard plane: patient's right (axial, coronal) or front (sagittal) at the first column, front or head on top.

    Args:
        name: ``axial``, ``coronal`` or ``sagittal``.
        position: patient RAS in mm, a point of the plane.
        box: patient RAS in mm ``[low/high, 3]`` that is shown.
        step: mm a pixel.
    """
    across, down, normal = AXES[name]
    affine = np.zeros((4, 4))
    affine[3, 3] = affine[normal, 2] = 1
    affine[across, 0] = affine[down, 1] = -step
    affine[[across, down], 3] = box[1, [across, down]]
    affine[normal, 3] = position[normal]
    columns, rows = (int((box[1, axis] - box[0, axis]) // step) + 1 for axis in (across, down))
    return Grid((columns, rows, 1), affine)


def body_box(ct: Volume, margin: float = 6.0) -> np.ndarray:
    """Patient RAS in mm, ``[low/high, 3]``, of the largest thing in the scan that is not air."""
    from scipy import ndimage

    grid = model_grid(ct.grid, (4.0, 4.0, 4.0))
    solid = ndimage.binary_opening(resample(ct, grid, "linear") > -300, iterations=2)  # parts the table from the body
    parts, number = ndimage.label(solid)
    if number == 0:
        return np.sort(grid.to_ras(grid.corners())[[0, 7]], axis=0)
    [box] = ndimage.find_objects((parts == 1 + int(np.bincount(parts.ravel())[1:].argmax())).astype(np.uint8))
    corners = grid.to_ras(np.array([[side.start for side in box], [side.stop - 1 for side in box]]))
    return np.stack([corners.min(0) - margin, corners.max(0) + margin])


def draw(path: Path, ct: Volume, labels: Volume, patient: Patient, title: str) -> None:
    """Three planes, above the CT alone, below with the labels over it, and a legend with the labels' volumes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    box = body_box(ct)
    grids = {name: plane(name, patient.position, box) for name in AXES}
    widths, height = [grid.shape[0] for grid in grids.values()], max(grid.shape[1] for grid in grids.values())
    inch = 3.6 / height
    size = (inch * sum(widths) + 3.3, 2 * 3.6 + 1.0)
    figure = Figure(figsize=size, dpi=120, facecolor="#101014")
    FigureCanvasAgg(figure)
    spec = figure.add_gridspec(
        2, 3, width_ratios=widths, left=0.01, right=1 - 3.1 / size[0], top=1 - 0.62 / size[1], bottom=0.02, wspace=0.03, hspace=0.03
    )
    colors = np.array([PICTURE_COLORS.get(label.name, label.color) for label in PAPER_LABELS]) / 255
    for column, (name, grid) in enumerate(grids.items()):
        hu = resample(ct, grid, "linear", outside=-1024)[:, :, 0].T
        found = resample(labels, grid, "nearest", outside=0)[:, :, 0].T
        overlay = np.dstack([colors[found], np.where(found > 0, 0.42, 0)])
        overlay[_edges(found), 3] = 1
        for row in range(2):
            axes = figure.add_subplot(spec[row, column])
            axes.imshow(hu, cmap="gray", vmin=-950, vmax=450, interpolation="bilinear")
            if row:
                axes.imshow(overlay, interpolation="nearest")
            axes.axis("off")
            _letters(axes, name)
            if not row:
                normal = AXES[name][2]
                value = patient.position[normal]
                side = f" {LETTERS[normal][int(value > 0)]}" if value else ""
                axes.set_title(f"{name}, {abs(value):g} mm{side}", color="#d0d0d8", fontsize=10)
    counts = np.bincount(labels.array.ravel(), minlength=len(PAPER_LABELS)) * abs(np.linalg.det(labels.affine[:3, :3])) / 1000
    handles = [
        Patch(color=colors[label.index], label=f"{_short(label)}  {_millilitres(counts[label.index])}")
        for label in PAPER_LABELS[1:]
        if counts[label.index]
    ]
    legend = figure.legend(
        handles=handles,
        loc="center left",
        bbox_to_anchor=(1 - 3.0 / size[0], 0.5),
        frameon=False,
        fontsize=10.5,
        labelcolor="#e8e8ee",
        handlelength=1.1,
        handleheight=1.1,
        title="label, predicted volume",
    )
    legend.get_title().set_color("#d0d0d8")
    missing = [_short(label) for label in PAPER_LABELS[1:] if not counts[label.index]]
    if missing:
        text = "not found: " + ", ".join(missing)
        figure.text(1 - 2.95 / size[0], 0.06, text, color="#9a9aa6", fontsize=8.5, wrap=True, va="bottom")
    figure.text(0.012, 1 - 0.24 / size[1], f"{patient.citation}   ·   {title}", color="white", fontsize=12, va="center")
    figure.savefig(path, facecolor=figure.get_facecolor())


def _edges(labels: np.ndarray) -> np.ndarray:
    """Labelled pixels with a neighbour of another label."""
    edge = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        for step in (1, -1):
            edge |= labels != np.roll(labels, step, axis)
    return edge & (labels > 0)


def _letters(axes: Axes, name: str) -> None:
    """Which way the picture's edges lie in the patient."""
    from matplotlib.patheffects import withStroke

    across, down, _ = AXES[name]
    style: dict[str, Any] = {
        "color": "#ffd166",
        "fontsize": 9,
        "transform": axes.transAxes,
        "path_effects": [withStroke(linewidth=2, foreground="black")],
    }
    axes.text(0.01, 0.5, LETTERS[across][1], ha="left", va="center", **style)
    axes.text(0.99, 0.5, LETTERS[across][0], ha="right", va="center", **style)
    axes.text(0.5, 0.985, LETTERS[down][1], ha="center", va="top", **style)
    axes.text(0.5, 0.015, LETTERS[down][0], ha="center", va="bottom", **style)


def _short(label: Label) -> str:
    return label.title.removesuffix(" gland")


def _millilitres(value: float) -> str:
    return f"{value:.0f} ml" if value >= 10 else f"{value:.1f} ml"
