"""Small cohorts for tests, as tables and as results folders, written by the library's own writers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from Agg2ExpLib.models.labels import make_labels
from Agg2ExpLib.roi_importance.matrix import ImportanceMatrix
from Agg2ExpLib.roi_importance.tables import write_tidy, write_wide

NAMES = ("background", "aorta", "heart", "ribs")


def small_matrix(
    seed: int, rows: tuple[str, ...] = NAMES, names: tuple[str, ...] = NAMES, extra: tuple[str, ...] = ()
) -> ImportanceMatrix:
    """A patient's matrix: rows sum to 1 over ``names``, the background is the largest, sizes differ."""
    rng = np.random.default_rng(seed)
    voxels = rng.integers(50, 5000, len(names) + len(extra))
    voxels[0] = 40_000
    mass = rng.dirichlet(np.r_[20.0, np.linspace(2, 6, len(names) - 1)], len(rows))
    mass = np.concatenate([mass, rng.uniform(0.01, 0.2, (len(rows), len(extra)))], axis=1)
    positive = mass * rng.uniform(0.2, 0.8, mass.shape)
    return ImportanceMatrix(
        rows=rows,
        columns=names + extra,
        mass=mass,
        mean=mass * 1e4 / voxels,
        enrichment=mass * voxels[: len(names)].sum() / voxels,
        positive_mass=positive,
        negative_mass=mass - positive,
        standard_error=np.full(mass.shape, 0.001),
        roi_voxels=voxels,
        extra=extra,
    )


def write_tables(folder: Path, count: int = 6, wide: bool = False, **matrix: tuple[str, ...]) -> list[Path]:
    """A table a patient, ``p0`` onwards."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"p{index}.csv" for index in range(count)]
    for index, path in enumerate(paths):
        (write_wide if wide else write_tidy)(path, small_matrix(index, **matrix), f"p{index}")
    return paths


def write_result_folder(
    folder: Path, matrix: ImportanceMatrix, patient: str, weights: str = "a" * 64, model: tuple[str, ...] = NAMES, **run: object
) -> Path:
    """A results folder without volumes."""
    folder.mkdir(parents=True)
    write_tidy(folder / "roi_importance.csv", matrix, patient)
    content = {
        "agg2exp": "test",
        "patient": patient,
        "weights": {"sha256": weights},
        "labels": [{"name": one.name, "index": one.index, "color": one.color, "group": one.group} for one in make_labels(model)],
        "explained": list(matrix.rows),
        "extra_rois": list(matrix.extra),
        "parameters": {"method": "smoothgrad", "samples": 20},
        **run,
    }
    (folder / "run.json").write_text(json.dumps(content), encoding="utf-8")
    return folder
