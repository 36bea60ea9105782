"""Affines from what image headers say, and checks of them. All map voxel indices to patient millimetres."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import InputError

# ITK, DICOM, NRRD and MetaImage count to the patient's left and back, NIfTI and Slicer to the right and front.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
# Beyond these no scan of a patient lies: mm from the scanner's origin, and mm a voxel.
FURTHEST_MM = 1e6
WIDEST_MM = 100.0
NARROWEST_MM = 1e-4


def check_affine(path: Path, affine: np.ndarray) -> None:
    """Refuse a place in the patient that cannot be meant.

    Raises:
        InputError: numbers that are none, a spacing of zero or of metres, or axes that do not span a volume.
    """
    if not np.isfinite(affine).all():
        raise InputError(f"{path.name} has a position or orientation that is not a number: export it again.")
    columns = affine[:3, :3]
    with np.errstate(over="ignore"):
        spacing = np.linalg.norm(columns, axis=0)
    if not (spacing > 0).all():
        raise InputError(f"{path.name} has a voxel spacing of zero: export it again.")
    if spacing.max() > WIDEST_MM or spacing.min() < NARROWEST_MM:
        sizes = " × ".join(f"{step:.4g}" for step in spacing)
        raise InputError(
            f"{path.name} has voxels of {sizes} mm, which no CT has: the unit of length or the spacing in its header is wrong, so "
            "export it again in millimetres."
        )
    if np.abs(affine[:3, 3]).max() > FURTHEST_MM:
        raise InputError(f"{path.name} lies more than a kilometre from the scanner: export it again.")
    if abs(np.linalg.det(columns / spacing)) < 1e-3:
        raise InputError(f"{path.name} has axes that do not span a volume (singular orientation): export it again.")


def volume_sizes(path: Path, shape: tuple[int, ...], flat: bool = False) -> tuple[int, int, int]:
    """The sizes along x, y, z without trailing dimensions of one voxel.

    Args:
        path: of the image, for the sentence.
        shape: what its header says.
        flat: whether an image of a single slice will do, as for a region.

    Raises:
        InputError: unless three dimensions of at least two voxels (with ``flat``: one) are left.
    """
    sizes = [int(size) for size in shape]
    told = " × ".join(map(str, sizes))
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    if flat and len(sizes) == 2:
        sizes.append(1)
    if len(sizes) < 3:
        raise InputError(f"{path.name} is a {len(sizes)}D image: give a 3D CT volume.")
    if len(sizes) > 3:
        raise InputError(f"{path.name} is a {len(sizes)}D image ({told}): export one 3D volume from it.")
    if min(sizes) < 1:
        raise InputError(f"{path.name} has no voxels ({told}): export it again.")
    if min(sizes) == 1 and not flat:
        raise InputError(f"{path.name} has a single slice ({told}): give the whole 3D volume.")
    return sizes[0], sizes[1], sizes[2]


def numbers_in(text: str) -> list[float]:
    """The numbers in a text, separated by spaces.

    Raises:
        ValueError: something in it is no number.
    """
    return [float(part) for part in text.split()]


def no_orientation(path: Path, detail: str = "") -> str:
    """The sentence about an image that does not say how it lies in the patient."""
    return f"{path.name} does not say how it lies in the patient{detail}: left and right may be swapped."


def no_origin(path: Path) -> str:
    """The sentence about an image without a position."""
    return (
        f"{path.name} does not say where its first voxel lies (no origin): 0, 0, 0 is assumed, so regions and other images may lie "
        "elsewhere."
    )


def no_spacing(path: Path) -> str:
    """The sentence about an image without voxel sizes."""
    return f"{path.name} does not say how large its voxels are: 1 mm is assumed, so all sizes may be wrong."
