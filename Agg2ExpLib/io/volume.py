"""A 3D image in patient space, and the kinds of files that hold one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..system.names import same_form
from .grid import Grid

NIFTI_SUFFIXES = (".nii.gz", ".nii")
NRRD_SUFFIXES = (".nrrd", ".nhdr")
META_SUFFIXES = (".mha", ".mhd")
SUFFIXES = NIFTI_SUFFIXES + NRRD_SUFFIXES + META_SUFFIXES


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3D image in patient space.

    Attributes:
        array: ``[x, y, z]``; HU for a CT (int16 where the values are whole numbers), else what was stored.
        affine: 4×4 float64, voxel index → RAS mm.
        name: file name without its suffixes, or the folder's name; never anything from the image's own tags.
        warnings: full sentences for the user.

    Examples:
        >>> ct = agg2exp.read_ct("chest.nii.gz")
        >>> ct.array.min(), ct.array.max()  # HU
        >>> right, front, top, _ = ct.affine @ [0, 0, 0, 1]  # where the first voxel lies, in mm
        >>> cropped = agg2exp.Volume(ct.array[..., :32], ct.affine, ct.name)
    """

    array: np.ndarray
    affine: np.ndarray
    name: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def grid(self) -> Grid:
        """Shape and affine."""
        x, y, z = (int(size) for size in self.array.shape)
        return Grid((x, y, z), self.affine)


def suffix_of(path: str | Path) -> str | None:
    """The known suffix at the end of a file name, in lower case, or None."""
    name = Path(path).name.lower()
    return next((known for known in SUFFIXES if name.endswith(known)), None)


def stem_of(path: str | Path) -> str:
    """The file name as given, without its (double) suffix; a folder's whole name. Always fit for UTF-8."""
    # A link is not followed: who names the case in a link means that name, and not the patient's in the file behind it.
    name = Path(path).name if Path(path).name not in ("", "..") else Path(path).resolve().name
    name = same_form(name.encode("utf-8", errors="replace").decode("utf-8"))
    for suffix in (".seg.nrrd", *SUFFIXES):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name
