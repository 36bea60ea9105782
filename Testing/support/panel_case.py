"""A thorax's importance for the panel's pictures, without a run: random shares, places as in the synthetic thorax."""

from __future__ import annotations

from typing import Any

import numpy as np

from Agg2ExpLib.models.labels import PAPER_LABELS
from Agg2ExpLib.roi_importance.matrix import ImportanceMatrix

NAMES = tuple(label.name for label in PAPER_LABELS)
# x, y in mm: x grows to the patient's left, y upwards
PLACES = {
    "aorta": (17, -20), "lung_upper_lobe_left": (82, 30), "lung_lower_lobe_left": (78, -60), "lung_upper_lobe_right": (-80, 45),
    "lung_middle_lobe_right": (-88, -45), "lung_lower_lobe_right": (-76, -70), "trachea": (2, 60), "heart": (25, -65),
    "pulmonary_vein": (5, -40), "thyroid_gland": (1, 120), "ribs": (0, -10), "vertebraes": (0, -15), "autochthon_left": (32, -25),
    "autochthon_right": (-32, -28), "sternum": (0, 5), "costal_cartilages": (4, -35), "lesion": (60, 12),
}  # fmt: skip


def make_matrix(seed: int = 0, rows: tuple[str, ...] = NAMES[1:], extra: tuple[str, ...] = ("lesion",)) -> ImportanceMatrix:
    """A matrix whose rows sum to 1 over the labels, the background largest, then what the label itself has."""
    rng = np.random.default_rng(seed)
    mass = rng.dirichlet(np.full(len(NAMES), 0.4), len(rows)) * 0.4
    mass[:, 0] += 0.4
    for index, row in enumerate(rows):
        mass[index, NAMES.index(row)] += 0.2
    mass = np.concatenate([mass, rng.uniform(0, 0.1, (len(rows), len(extra)))], axis=1)
    positive = mass * rng.uniform(0.2, 0.8, mass.shape)
    voxels = rng.integers(50, 5000, (mass.shape[1],))
    voxels[0] = 300_000
    return ImportanceMatrix(
        rows=rows,
        columns=NAMES + extra,
        mass=mass,
        mean=mass / voxels,
        enrichment=mass / (voxels / voxels[: len(NAMES)].sum()),
        positive_mass=positive,
        negative_mass=mass - positive,
        standard_error=np.full(mass.shape, 0.0012),
        roi_voxels=voxels,
        extra=extra,
    )


def make_model(matrix: ImportanceMatrix | None = None, places: dict[str, tuple[float, float]] | None = None) -> Any:
    """The panel's model of a matrix; needs Agg2ExpModule in the path and ``slicer.i18n``."""
    from Agg2ExpModuleLib.panel.ImportanceModel import ImportanceModel

    return ImportanceModel(matrix or make_matrix(), PAPER_LABELS, PLACES if places is None else places)
