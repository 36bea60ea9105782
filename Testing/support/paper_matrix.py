"""A random importance matrix of the paper's labels."""

from __future__ import annotations

import numpy as np

from Agg2ExpLib.models.labels import PAPER_LABELS
from Agg2ExpLib.roi_importance.matrix import ImportanceMatrix

NAMES = tuple(label.name for label in PAPER_LABELS)


def make_matrix(seed: int = 0, extra: tuple[str, ...] = ()) -> ImportanceMatrix:
    """A matrix of all labels whose rows sum to 1 over the labels, background the largest."""
    rng = np.random.default_rng(seed)
    mass = rng.dirichlet(np.full(len(NAMES), 0.5), len(NAMES)) * 0.3
    mass[:, 0] += 0.7
    mass = np.concatenate([mass, rng.uniform(0, 0.1, (len(NAMES), len(extra)))], axis=1)
    positive = mass * rng.uniform(0.2, 0.8, mass.shape)
    voxels = rng.integers(50, 5000, (mass.shape[1],))
    return ImportanceMatrix(
        rows=NAMES,
        columns=NAMES + extra,
        mass=mass,
        mean=mass / voxels,
        enrichment=mass * 1e4 / voxels,
        positive_mass=positive,
        negative_mass=mass - positive,
        standard_error=np.full(mass.shape, 0.001),
        roi_voxels=voxels,
        extra=extra,
    )
