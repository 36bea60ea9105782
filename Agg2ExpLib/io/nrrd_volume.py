"""3D images of NRRD files: which axes lie in the patient and where."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from .affines import no_orientation, no_origin, no_spacing, numbers_in, volume_sizes
from .nrrd import NrrdHeader, map_voxels, read_header

# Patient directions of a NRRD space's axes, as signs that turn them into RAS.
SPACE_TO_RAS = {
    "left-posterior-superior": (-1, -1, 1),
    "lps": (-1, -1, 1),
    "right-anterior-superior": (1, 1, 1),
    "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
    "las": (-1, 1, 1),
}
UNIT_TO_MM = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001, "µm": 0.001}
# Kinds of axes whose samples are parts of one voxel, or images of their own, and no places.
_NO_PLACE = re.compile(
    r"list|vector|point|covariant|normal|scalar|complex|stub|rgb|rgba|hsv|xyz|[234]-.*|.*color|.*matrix|quaternion"
)


@dataclass(frozen=True)
class _Place:
    """Which axes lie in the patient, the affine voxel → RAS mm of the first three, and what the header leaves open."""

    axes: tuple[int, ...]
    affine: np.ndarray
    warnings: list[str]


def read_nrrd(path: Path, flat: bool = False) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Voxels ``[x, y, z]``, affine voxel → RAS mm, and sentences about what the header leaves open.

    Args:
        path: ``.nrrd`` or ``.nhdr``.
        flat: whether a single slice will do.

    Raises:
        InputError: not NRRD, damaged, or not one 3D image of plain numbers.
        OSError: a file cannot be opened.
    """
    header = read_header(path)
    place = _place(header)
    rest = [header.sizes[axis] for axis in range(len(header.sizes)) if axis not in place.axes]
    if any(size != 1 for size in rest):
        raise InputError(f"{path.name} holds {max(rest)} values a voxel (colour or vectors): export a grey-scale image.")
    shape = volume_sizes(path, tuple(header.sizes[axis] for axis in place.axes), flat)
    return header.voxels().reshape(shape, order="F"), place.affine, place.warnings


def read_nrrd_layers(path: Path) -> tuple[list[np.ndarray], np.ndarray, list[str]]:
    """The 3D layers of a NRRD file with one axis that runs over them (a list of one layer, too), else the one image in it.

    Raises and returns otherwise as :func:`read_nrrd`; a single slice will do.
    """
    header = read_header(path)
    place = _place(header)
    others = [axis for axis in range(len(header.sizes)) if axis not in place.axes]
    if len(others) != 1:
        array, affine, warnings = read_nrrd(path, flat=True)
        return [array], affine, warnings
    shape = volume_sizes(path, tuple(header.sizes[axis] for axis in place.axes), flat=True)
    layers = np.moveaxis(header.voxels(), others[0], 0)
    return [layer.reshape(shape, order="F") for layer in layers], place.affine, place.warnings


def map_nrrd(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """The voxels of an uncompressed 3D NRRD mapped into memory, and its affine; None if the file must be read.

    Raises:
        InputError: it is no NRRD file, or it is shorter than its header says.
        OSError: it cannot be opened.
    """
    header = read_header(path)
    if len(header.sizes) != 3:
        return None
    place = _place(header)
    if place.warnings or place.axes != (0, 1, 2):
        return None
    x, y, z = header.sizes
    voxels = map_voxels(header, (x, y, z))
    return None if voxels is None else (voxels, place.affine)


def _place(header: NrrdHeader) -> _Place:
    fields, path, count = header.fields, header.path, len(header.sizes)
    try:
        kinds = fields["kinds"].lower().split() if "kinds" in fields else [""] * count
        directions = _vectors(fields["space directions"]) if "space directions" in fields else None
        given = directions if directions is not None else [None] * count
        if len(kinds) != count or len(given) != count:
            raise ValueError("axes")
        if directions is not None:
            axes = tuple(axis for axis in range(count) if directions[axis] is not None)
        else:
            axes = tuple(axis for axis in range(count) if not _NO_PLACE.fullmatch(kinds[axis]))
        warnings: list[str] = []
        affine = np.eye(4)
        signs = SPACE_TO_RAS.get(fields.get("space", "").lower().removesuffix("-time"))
        if directions is not None and (len(axes) > 2 or (len(axes) == 2 and len(directions[axes[0]] or ()) > 2)):
            vectors = [np.array(directions[axis])[:3] for axis in axes[:3]]
            if len(vectors) == 2:  # a single slice
                across = np.cross(vectors[0], vectors[1])
                vectors.append(across / np.linalg.norm(across))
            affine[:3, :3] = np.stack(vectors, axis=1)
        elif not _set_spacing(affine, header, axes):
            warnings.append(no_spacing(path))
        if directions is None or signs is None:
            warnings.append(no_orientation(path))
        if not _set_origin(affine, header, axes):
            warnings.append(no_origin(path))
    except (ValueError, IndexError):
        raise header.unreadable() from None
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if (lengths == 0).any() or ((affine[:3, :3] < 0).any() and directions is None):
        raise InputError(f"{path.name} has a voxel spacing that is zero or negative: export it again.")
    affine[:3] *= np.array(signs or (-1, -1, 1))[:, None]
    units = set(fields.get("space units", "").replace('"', "").lower().split())
    if len(units) == 1 and UNIT_TO_MM.get(unit := units.pop(), 1.0) != 1.0:
        affine[:3] *= UNIT_TO_MM[unit]
        warnings.append(f"{path.name} gives lengths in {unit}; they were converted to mm.")
    return _Place(axes, affine, warnings)


def _set_spacing(affine: np.ndarray, header: NrrdHeader, axes: tuple[int, ...]) -> bool:
    """Put the spacings into an affine; whether there are any."""
    steps = numbers_in(header.fields.get("spacings", ""))
    if not steps:
        return False
    known = True
    for row, axis in enumerate(axes[:3]):
        if np.isnan(steps[axis]):
            known = False
        else:
            affine[row, row] = steps[axis]
    return known


def _set_origin(affine: np.ndarray, header: NrrdHeader, axes: tuple[int, ...]) -> bool:
    """Put the place of the first voxel into an affine; whether the header tells it."""
    if "space origin" in header.fields:
        (vector,) = _vectors(header.fields["space origin"]) or [None]
        if vector is None or np.isnan(vector).any():
            return False
        affine[: len(vector[:3]), 3] = vector[:3]
        return len(vector) >= 3
    ends = numbers_in(header.fields.get("axis mins", ""))
    if len(ends) != len(header.sizes) or np.isnan([ends[axis] for axis in axes[:3]]).any():
        return False
    affine[: len(axes[:3]), 3] = [ends[axis] for axis in axes[:3]]
    return True


def _vectors(text: str) -> list[tuple[float, ...] | None]:
    """The vectors of a NRRD field, ``(1,0,0) none (0,0,2)``."""
    found: list[tuple[float, ...] | None] = []
    for part in re.findall(r"\([^()]*\)|[^\s()]+", text):
        if part.lower() == "none":
            found.append(None)
        elif part.startswith("("):
            vector = tuple(float(number) for number in part[1:-1].split(","))
            found.append(None if np.isnan(vector).all() and len(vector) != 3 else vector)
        else:
            raise ValueError(part)
    return found
