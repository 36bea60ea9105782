"""A small results folder for the tests of scenes and pictures: a thorax of ellipsoids with markers that tell left from right.

The library's own results folder is written, so that the tests read what users have.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from Agg2ExpLib.io.write import write_volume
from Agg2ExpLib.models.labels import PAPER_LABELS
from Agg2ExpLib.roi_importance.matrix import Regions, importance_matrix
from Agg2ExpLib.roi_importance.tables import write_tidy
from Agg2ExpLib.runs.results import Results

SHAPE, SPACING = (60, 46, 50), (5.0, 5.5, 6.0)
NAMES = tuple(label.name for label in PAPER_LABELS)
LUNG, HEART, TRACHEA = NAMES.index("lung_upper_lobe_left"), NAMES.index("heart"), NAMES.index("trachea")
EXPLAINED = ("heart", "lung_upper_lobe_left")
# mm from the centre of the grid along the voxel axes, which are the patient's right, anterior, superior
BONE_MARKER = np.array([-85.0, 55.0, 80.0])  # patient's left, in front, above: 1200 HU
SUPPORTING = np.array([-60.0, 20.0, 60.0])  # centre of the positive blob of the heart's map, on the patient's left
OPPOSING = np.array([75.0, -20.0, -60.0])  # of the negative one, on the right
TRACHEA_VOXEL = (32, 20, 41)
MASKED = (HEART, TRACHEA)  # labels in the global mask
# As a run would tell, with numbers that only test how they are shown.
MASK_FACTS = {
    "supervoxels": "semantic",
    "regions": 4,
    "kept": 2,
    "coverage": 0.92,
    "volume_share": 0.0123,
    "dice": {
        "heart": {"only_mask": 0.876, "without_mask": 0.104},
        "lung_upper_lobe_left": {"only_mask": None, "without_mask": 1.0},
    },
}


def affine_of_grid(angles: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    """Index to RAS of the test's grid: axes along right, anterior, superior, turned by ``angles`` in degrees."""
    from support.geometry import rotation

    affine = np.eye(4)
    affine[:3, :3] = rotation(*angles) * SPACING
    affine[:3, 3] = (-31.5, 72.25, -410.0)
    return affine


def place(affine: np.ndarray, millimetres: np.ndarray) -> np.ndarray:
    """RAS of a point given in mm from the grid's centre along the voxel axes."""
    index = (np.array(SHAPE) - 1) / 2 + np.asarray(millimetres) / SPACING
    return affine[:3, :3] @ index + affine[:3, 3]


def write_result(
    folder: Path, angles=(0, 0, 0), target_mask: bool = False, patient: str = "small thorax", global_mask: bool = False
) -> Results:
    """Write the results folder and open it."""
    affine = affine_of_grid(angles)
    mm = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(SHAPE, SPACING, strict=True)]
    x, y, z = np.meshgrid(*mm, indexing="ij")

    def ball(centre, radii):
        return sum(((axis - c) / r) ** 2 for axis, c, r in zip((x, y, z), centre, radii, strict=True)) < 1

    ct = np.full(SHAPE, -1000, np.int16)
    ct[ball((0, 0, 0), (140, 105, 400))] = 40
    segmentation = np.zeros(SHAPE, np.uint8)
    for centre, label, hu in (((-65, 0, 10), LUNG, -850), ((20, 10, -30), HEART, 60)):
        mask = ball(centre, (42, 62, 110) if label == LUNG else (45, 35, 40))
        ct[mask], segmentation[mask] = hu, label
    ct[ball(BONE_MARKER, (14, 14, 14))] = 1200
    segmentation[TRACHEA_VOXEL] = TRACHEA
    noise = np.random.default_rng(3).normal(size=SHAPE) * 1e-3
    bumps = sum(
        sign * np.exp(-(((x - c[0]) / 16) ** 2 + ((y - c[1]) / 16) ** 2 + ((z - c[2]) / 16) ** 2))
        for c, sign in ((SUPPORTING, 1.0), (OPPOSING, -1.0))
    )
    maps = {"heart": (bumps + noise).astype(np.float32), "lung_upper_lobe_left": (noise * 1e-4).astype(np.float32)}
    lesion = ball((30, 30, -30), (15, 15, 15))
    regions = Regions(segmentation, NAMES, [("lesion", lesion)])
    sums = {name: regions.sums(values) for name, values in maps.items()}
    matrix = importance_matrix(regions, sums, {name: np.full(len(regions.columns), 0.002) for name in maps})

    for part in ("attributions", "extra_rois"):
        (folder / part).mkdir(parents=True)
    write_volume(folder / "ct.nii.gz", ct, affine, compress=True)
    write_volume(folder / "segmentation.nii.gz", segmentation, affine, compress=True)
    write_volume(folder / "extra_rois" / "lesion.nii.gz", lesion.astype(np.uint8), affine, compress=True)
    for name, values in maps.items():
        write_volume(folder / "attributions" / f"{name}.nrrd", values, affine)
    if target_mask:
        write_volume(folder / "target_mask.nii.gz", ball(SUPPORTING, (20, 20, 20)).astype(np.uint8), affine, compress=True)
    if global_mask:
        write_volume(folder / "global_mask.nii.gz", np.isin(segmentation, MASKED).astype(np.uint8), affine, compress=True)
    write_tidy(folder / "roi_importance.csv", matrix, patient)
    labels = [{"name": label.name, "index": label.index, "color": label.color, "group": label.group} for label in PAPER_LABELS]
    run: dict[str, object] = {"patient": patient, "labels": labels, "explained": list(EXPLAINED), "extra_rois": ["lesion"]}
    if global_mask:
        run["global_mask"] = MASK_FACTS
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    return Results.open(folder)
