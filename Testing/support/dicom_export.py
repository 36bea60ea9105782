"""A DICOM series, a result of it with markers at known places, and what independent readers find in the export."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from Agg2ExpLib.api.explain import explain
from Agg2ExpLib.api.result import Result
from Agg2ExpLib.io.grid import Grid
from Agg2ExpLib.models.labels import PAPER_LABELS
from Agg2ExpLib.roi_importance.matrix import Regions, importance_matrix
from support.geometry import marker_place, save_dicom
from support.networks import small_chest

# Who must not be found in what is written without identity.
SECRETS = ("Secret", "SECRET-ID", "19610203", "20200304", "Referrer", "Hospital", "ACC-77")
IDENTITY = {
    "PatientBirthDate": "19610203",
    "PatientSex": "F",
    "StudyDate": "20200304",
    "StudyTime": "101112",
    "StudyID": "7",
    "AccessionNumber": "ACC-77",
    "ReferringPhysicianName": "Referrer^Dr",
    "InstitutionName": "Hospital",
    "AcquisitionDate": "20200304",
    "AcquisitionDateTime": "20200304101112",
    "Manufacturer": "Scanners Ltd",
    "ManufacturerModelName": "One",
}
WIDTH, RADIUS = 11.0, 27.5  # mm, of the bump and the ball


def write_series(folder: Path, grid: Grid, **tags: Any) -> Path:
    """The small chest on a grid, one slice a file, with a study, a frame of reference and a patient."""
    from pydicom.uid import generate_uid

    together = {"StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid()}
    hu = small_chest(grid.shape).clip(-1024)  # the least that a scanner stores
    return save_dicom(folder, hu, grid.affine, **{**together, **IDENTITY, **tags})


def marked_result(series: Path, weights: Path) -> tuple[Result, np.ndarray]:
    """The series explained, then given the paper's labels, a ball as left upper lobe and as lesion, and a bump as its map.

    Returns:
        The result, and the RAS mm of the middle of the ball and the bump.
    """
    found = explain(series, weights, ["heart"], samples=2, device="cpu")
    place = marker_place(Grid(found.grid.shape, found.grid.affine))
    index = np.stack(np.meshgrid(*(np.arange(size) for size in found.grid.shape), indexing="ij"), axis=-1)
    distance = np.linalg.norm(found.grid.to_ras(index) - place, axis=-1)
    ball = distance < RADIUS
    label = PAPER_LABELS[2]
    segmentation = np.where(ball, label.index, 0).astype(np.uint8)
    maps = {label.name: np.exp(-0.5 * (distance / WIDTH) ** 2).astype(np.float32)}
    regions = Regions(segmentation, [entry.name for entry in PAPER_LABELS], [("lesion", ball)])
    matrix = importance_matrix(regions, {name: regions.sums(values) for name, values in maps.items()})
    made = replace(found, labels=PAPER_LABELS, segmentation=segmentation, maps=maps, extra_rois={"lesion": ball}, matrix=matrix)
    return made, place


def frames_of(path: Path) -> tuple[np.ndarray, list[np.ndarray]]:
    """A multi-frame object by pydicom alone: values ``[frame, row, column]``, each frame's 3×3 affine (column, row, 1) → LPS mm."""
    import pydicom

    data = pydicom.dcmread(path)
    shared = data.SharedFunctionalGroupsSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    rows, columns = (float(value) for value in shared.PixelMeasuresSequence[0].PixelSpacing)
    affines = [
        np.c_[cosines[:3] * columns, cosines[3:] * rows, np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)]
        for group in data.PerFrameFunctionalGroupsSequence
    ]
    if "FloatPixelData" in data:
        return np.frombuffer(data.FloatPixelData, "<f4").reshape(-1, data.Rows, data.Columns), affines
    return data.pixel_array.reshape(-1, data.Rows, data.Columns), affines


def centre_of(path: Path) -> np.ndarray:
    """RAS mm of the centre of mass of an object's values."""
    values, affines = frames_of(path)
    total, weight = np.zeros(3), 0.0
    for frame, affine in zip(values.astype(np.float64), affines, strict=True):
        down, across = np.indices(frame.shape)
        total += affine @ [(frame * across).sum(), (frame * down).sum(), frame.sum()]
        weight += frame.sum()
    return total / weight * (-1, -1, 1)


def distances(path: Path, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far from a place (RAS mm) the pixels inside and outside of a segment lie; frames that were left out do not count."""
    values, affines = frames_of(path)
    down, across = np.indices(values.shape[1:])
    index = np.stack([across, down, np.ones_like(down)])
    far = np.stack([np.linalg.norm(np.einsum("ij,jrc->rci", affine, index) * (-1, -1, 1) - place, axis=-1) for affine in affines])
    return far[values > 0], far[values == 0]


def by_dcmqi(path: Path, folder: Path) -> Path:
    """The image that dcmqi, with which Slicer reads these objects, makes of a segmentation or map."""
    name = "paramap2itkimage" if path.name.startswith("map_") else "segimage2itkimage"
    folder.mkdir()
    command = [name, "--inputDICOM", path, "--outputDirectory", folder, "--outputType", "nrrd"]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    (made,) = folder.glob("*.nrrd")
    return made


def complaints(path: Path) -> list[str]:
    """What dciodvfy calls an error in a file."""
    told = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, errors="replace")
    lines = (told.stdout + told.stderr).splitlines()
    assert any(line.strip() in ("Segmentation", "ParametricMap", "EncapsulatedPDF") for line in lines), lines
    return [line for line in lines if line.startswith(("Error", "Abort"))]


def is_there(program: str) -> bool:
    """Whether a program is installed."""
    return shutil.which(program) is not None
