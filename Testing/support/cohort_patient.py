"""A patient's results with maps of all labels and a given matrix, for the panel's comparison with a cohort."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from Agg2ExpLib.io.write import write_volume
from Agg2ExpLib.models.labels import PAPER_LABELS
from Agg2ExpLib.roi_importance.matrix import ImportanceMatrix
from Agg2ExpLib.roi_importance.tables import write_tidy
from support.small_result import SHAPE, affine_of_grid, write_result

NAMES = tuple(label.name for label in PAPER_LABELS)
WEIGHTS = "c" * 64
ROWS = ("aorta", "heart")
PARAMETERS = {"method": "smoothgrad", "samples": 20}


def matrix_of(mass: np.ndarray, rows: tuple[str, ...]) -> ImportanceMatrix:
    """A matrix with these masses ``[rows, the paper's labels]``, half of each supporting."""
    voxels = np.full(len(NAMES), 1000)
    return ImportanceMatrix(
        rows=rows,
        columns=NAMES,
        mass=mass,
        mean=mass / voxels,
        enrichment=mass * len(NAMES),
        positive_mass=mass / 2,
        negative_mass=mass / 2,
        standard_error=np.full(mass.shape, 0.001),
        roi_voxels=voxels,
    )


def ordinary_mass(rng: np.random.Generator, rows: tuple[str, ...]) -> np.ndarray:
    """Masses of a patient as the others of :func:`write_cohort`: the background first, then the label itself."""
    alpha = np.tile(np.geomspace(12, 2, len(NAMES)), (len(rows), 1))
    alpha[:, 0] = 160
    for index, row in enumerate(rows):
        alpha[index, NAMES.index(row)] = 120
    return np.array([rng.dirichlet(line) for line in alpha])


def write_cohort(path: Path, count: int, rows: tuple[str, ...]) -> Path:
    """A tidy table of ordinary patients."""
    rng = np.random.default_rng(0)
    header = ""
    lines: list[str] = []
    path.parent.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        write_tidy(path, matrix_of(ordinary_mass(rng, rows), rows), f"reference{index}")
        header, *own = path.read_text().splitlines(keepends=True)
        lines += own
    path.write_text(header + "".join(lines))
    return path


def write_patient(
    folder: Path, matrix: ImportanceMatrix, patient: str = "new patient", angles: tuple[float, float, float] = (0, 0, 0)
) -> Path:
    """A results folder whose table is the matrix; the maps are noise without relation to it. Other angles make another CT."""
    write_result(folder, angles, patient=patient)
    rng = np.random.default_rng(1)
    for name in matrix.rows:
        values = rng.normal(size=SHAPE).astype(np.float32) * 1e-3
        write_volume(folder / "attributions" / f"{name}.nrrd", values, affine_of_grid(angles))
    write_tidy(folder / "roi_importance.csv", matrix, patient)
    file = folder / "run.json"
    content = json.loads(file.read_text())
    content |= {"explained": list(matrix.rows), "extra_rois": [], "parameters": PARAMETERS}
    content |= {"agg2exp": "1", "ct": {"sha256": "1"}, "weights": {"sha256": WEIGHTS}}
    file.write_text(json.dumps(content))
    return folder


def changed(matrix: ImportanceMatrix, label: str, region: str, share: float) -> ImportanceMatrix:
    """The matrix with another share of a region in a label's row; the rest of the row shrinks or grows."""
    mass = matrix.mass.copy()
    row, column = matrix.rows.index(label), matrix.columns.index(region)
    others = np.arange(len(matrix.columns)) != column
    mass[row, others] *= (1 - share) / mass[row, others].sum()
    mass[row, column] = share
    return replace(matrix, mass=mass, positive_mass=mass / 2, negative_mass=mass / 2)


def ordinary(seed: int = 7) -> ImportanceMatrix:
    """A patient as the others of :func:`write_cohort`."""
    return matrix_of(ordinary_mass(np.random.default_rng(seed), ROWS), ROWS)


def strange() -> ImportanceMatrix:
    """A patient whose heart leans on the ribs and the sternum, and whose aorta is as in the others."""
    return changed(changed(ordinary(), "heart", "sternum", 0.4), "heart", "ribs", 0.3)
