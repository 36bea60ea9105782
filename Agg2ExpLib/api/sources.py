"""What people have in memory as a CT or a region: arrays, nibabel and SimpleITK images, MONAI MetaTensors, files, our volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..io.affines import LPS_TO_RAS
from ..io.grid import Grid
from ..io.read import checked_ct, read_volume
from ..io.read import read_ct as read_ct_file
from ..io.regions import place_mask, read_all_regions, read_mask
from ..io.volume import Volume

_KINDS = "a file or DICOM folder, an array with its affine, or an image of nibabel, SimpleITK or MONAI"


def read_ct(source: Any, affine: Any = None, name: str = "ct") -> Volume:
    """A CT with every check, from a file or from memory.

    Args:
        source: NIfTI, NRRD or MetaImage file; folder with a DICOM series; array ``[x, y, z]`` of HU with ``affine``; nibabel or
            SimpleITK image; MONAI MetaTensor ``[x, y, z]`` or ``[1, x, y, z]``; or a volume that was read before.
        affine: 4×4 of an array, voxel index → patient RAS mm.
        name: of what comes from memory; in results it is the patient id unless another is given.

    Returns:
        The volume ``[x, y, z]`` in HU on its own grid; doubts are in ``warnings``.

    Raises:
        InputError: it cannot be used; one sentence says why.

    Examples:
        >>> ct = agg2exp.read_ct("chest.nii.gz")  # or a folder with a DICOM series
        >>> ct = agg2exp.read_ct(hu, affine=np.diag([-6, -6, 6, 1]))  # an array and how it lies in the patient
        >>> ct = agg2exp.read_ct(nibabel.load("chest.nii.gz"), name="case 7")
        >>> ct.array.shape, ct.grid.spacing, ct.warnings
    """
    if isinstance(source, str | Path):
        return read_ct_file(source)
    return checked_ct(as_volume(source, affine, name))


def as_volume(source: Any, affine: Any = None, name: str = "") -> Volume:
    """Any 3D image as a volume with its values as they are; see :func:`read_ct` for what is taken.

    Raises:
        InputError: it is nothing of the kind, not 3D, or has no usable place in the patient.
    """
    if isinstance(source, Volume):
        return source
    if isinstance(source, str | Path):
        return read_volume(source)
    if isinstance(source, tuple) and len(source) == 2 and affine is None:
        source, affine = source
    if hasattr(source, "GetDirection") and hasattr(source, "GetSpacing"):
        return _from_itk(source, name)
    if hasattr(source, "dataobj") and hasattr(source, "affine"):
        return _volume(np.asanyarray(source.dataobj), source.affine, name)
    if affine is None:
        affine = getattr(source, "affine", None)
    if hasattr(source, "detach"):
        source = source.detach().cpu().numpy()
    if not isinstance(source, np.ndarray | np.memmap):
        raise InputError(f"Cannot read a {type(source).__name__} as a volume: give {_KINDS}.")
    if affine is None:
        raise InputError("An array does not say how it lies in the patient: give its affine (voxel index → RAS mm) too.")
    return _volume(np.asarray(source), affine, name)


def regions_on_grid(
    regions: Mapping[str, Any] | Sequence[str] | None, ct: Volume, grid: Grid, labels: Sequence[str], before: Sequence[str] = ()
) -> tuple[list[tuple[str, np.ndarray]], list[str]]:
    """Further regions of interest on the model grid.

    Args:
        regions: masks by name, each an array on the CT's grid (not 0 is inside) or anything that :func:`as_volume` takes; or
            files as on the command line, ``FILE``, ``FILE:name1,name2`` or ``FILE>=2:name``.
        ct: whose grid arrays without an affine are on.
        grid: the model grid.
        labels: names that no region may have.
        before: names of regions that there are already.

    Returns:
        Name and boolean mask of each, and sentences for the user.

    Raises:
        InputError: a region that cannot be used, or a name that is taken.
    """
    if regions is None:
        return [], []
    if isinstance(regions, str):
        regions = [regions]
    if not isinstance(regions, Mapping):
        return read_all_regions(regions, grid, labels, before)
    taken = {*labels, *before, "target_mask"}
    found, warnings = [], []
    for name, source in regions.items():
        if name in taken:
            raise InputError(f"There are two regions named '{name}': name the extra one differently, as in my_{name}.")
        mask, told = mask_on_grid(source, ct, grid, f"region '{name}'")
        found.append((name, mask))
        warnings += told
    return found, warnings


def mask_on_grid(source: Any, ct: Volume, grid: Grid, words: str) -> tuple[np.ndarray, list[str]]:
    """One mask (not 0 is inside) on the model grid, boolean ``[x, y, z]``, and sentences for the user.

    Args:
        source: an array on the CT's grid, or anything that :func:`as_volume` takes.
        ct: whose grid it is on.
        grid: the model grid.
        words: what it is, for messages.

    Raises:
        InputError: it is empty, of another shape, or lies outside the grid.
    """
    if isinstance(source, str | Path):
        return read_mask(source, grid)
    if isinstance(source, np.ndarray) and source.shape != ct.array.shape:
        shapes = f"{source.shape}, but the CT is {ct.array.shape}"
        raise InputError(f"The {words} is an array of shape {shapes}: give it on the CT's grid, or with its own affine.")
    return place_mask(as_volume(source, ct.affine if isinstance(source, np.ndarray) else None), grid, words)


def _from_itk(image: Any, name: str) -> Volume:
    import SimpleITK

    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError("A SimpleITK image must be 3D with one value a voxel.")
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return _volume(SimpleITK.GetArrayFromImage(image).transpose(), LPS_TO_RAS @ affine, name)


def _volume(array: np.ndarray, affine: Any, name: str) -> Volume:
    affine = np.asarray(getattr(affine, "numpy", lambda: affine)(), dtype=np.float64)
    if array.ndim == 4 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 3 or 0 in array.shape:
        raise InputError(f"A volume must be 3D [x, y, z], not an array of shape {array.shape}.")
    if array.dtype.kind not in "biuf":
        raise InputError(f"A volume must hold numbers, not {array.dtype}.")
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise InputError("The affine must be a 4×4 matrix of numbers that leads from voxel indices to RAS mm.")
    return Volume(array, affine, name)
