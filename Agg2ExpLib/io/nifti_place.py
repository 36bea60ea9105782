"""Where the voxels of a NIfTI file lie: the sform, or else the qform, or else the voxel sizes alone.

See https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h, "3D IMAGE (VOLUME) ORIENTATION AND LOCATION IN SPACE".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .affines import check_affine, no_orientation

# NIfTI xyzt_units codes: metres, millimetres, micrometres; 0 (unknown) is taken as millimetres.
UNIT_TO_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
UNIT_NAMES = {1: "metres", 3: "micrometres"}
# A voxel size that differs from another one by more than this part of it was not meant to be the same.
SAME_SIZE = 1e-2
# Beyond this length a quaternion's parts are no rounding of a rotation.
LONGEST_QUATERNION = 1.01


def place_of(path: Path, header: Any, shape: tuple[int, int, int]) -> tuple[np.ndarray, list[str]]:
    """The affine voxel → RAS mm of a nibabel NIfTI header, and sentences about what is doubtful in it.

    Raises:
        InputError: neither form nor the voxel sizes can be used.
    """
    warnings: list[str] = []
    unit = int(header["xyzt_units"]) & 7
    scale = UNIT_TO_MM.get(unit, 1.0)
    pixdim = _voxel_sizes(header, shape)
    forms = {
        "sform": (_sform(header), int(header["sform_code"])),
        "qform": (_qform(header), int(header["qform_code"])),
    }
    given = [name for name, (_, code) in forms.items() if code > 0]
    usable = [name for name in given if _problem(path, forms[name][0], scale) is None]
    if not given:
        affine = _from_sizes(path, pixdim, shape)
        warnings.append(no_orientation(path, " (no sform, no qform)"))
    elif not usable:
        if given == ["qform"] and (pixdim is None or not (pixdim > 0).all()):
            raise _bad_sizes(path, header)
        problem = _problem(path, forms[given[0]][0], scale)
        raise problem or InputError(f"{path.name} has no orientation that can be used: export it again.")
    else:
        affine = np.array(forms[usable[0]][0])
        for name in given:
            if name not in usable:
                warnings.append(f"The {name} in {path.name} makes no sense, so the {usable[0]} is used: check the place.")
        if len(usable) == 2:
            _compare_forms(path, forms["sform"][0], forms["qform"][0], shape, warnings)
        _compare_sizes(path, usable[0], affine, pixdim, warnings)
    if unit in UNIT_NAMES:
        # Files exist that name another unit and mean millimetres; voxels of a metre or a micrometre are no CT.
        sizes = np.linalg.norm(affine[:3, :3], axis=0)
        if _is_usual(sizes) and not _is_usual(sizes * scale):
            warnings.append(f"{path.name} says that its lengths are in {UNIT_NAMES[unit]}, but they are a CT's in mm and taken so.")
        else:
            affine[:3] *= scale
            warnings.append(f"{path.name} gives lengths in {UNIT_NAMES[unit]}; they were converted to mm.")
    return affine, warnings


def _sform(header: Any) -> np.ndarray:
    affine = np.eye(4)
    affine[:3] = np.array([header["srow_x"], header["srow_y"], header["srow_z"]], dtype=np.float64)
    return affine


def _qform(header: Any) -> np.ndarray | None:
    """The affine of the quaternion, shortened to a rotation where rounding made it longer; None where it is none."""
    from nibabel.quaternions import quat2mat

    parts = np.array([header["quatern_b"], header["quatern_c"], header["quatern_d"]], dtype=np.float64)
    sizes = np.array(header["pixdim"][1:4], dtype=np.float64)
    if not np.isfinite([*parts, *sizes]).all() or not (sizes > 0).all():
        return None
    length = float(np.linalg.norm(parts))
    if length > LONGEST_QUATERNION:
        return None
    first = np.sqrt(max(0.0, 1.0 - length**2))
    affine = np.eye(4)
    affine[:3, :3] = quat2mat(np.array([first, *parts]) / max(length, 1.0)) * sizes
    if float(header["pixdim"][0]) < 0:
        affine[:3, 2] *= -1
    affine[:3, 3] = [float(header[name]) for name in ("qoffset_x", "qoffset_y", "qoffset_z")]
    return affine


def _problem(path: Path, affine: np.ndarray | None, scale: float) -> InputError | None:
    """Why a form cannot be used, or None."""
    if affine is None:
        return InputError(f"{path.name} has an orientation (qform) that cannot be read: export it again.")
    try:
        check_affine(path, affine)
    except InputError as error:
        try:
            # Lengths in metres or micrometres look odd until they are converted.
            check_affine(path, np.diag([scale, scale, scale, 1.0]) @ affine)
        except InputError:
            return error
    return None


def _voxel_sizes(header: Any, shape: tuple[int, int, int]) -> np.ndarray | None:
    """``pixdim`` of the three axes; None where it is no number."""
    sizes = np.array(header["pixdim"][1:4], dtype=np.float64)
    return sizes if np.isfinite(sizes).all() else None


def _from_sizes(path: Path, pixdim: np.ndarray | None, shape: tuple[int, int, int]) -> np.ndarray:
    """Without any form: the voxel sizes, the middle of the image at the origin, the first axis to the patient's left."""
    if pixdim is None or not (pixdim > 0).all():
        raise InputError(f"{path.name} has a voxel spacing that is zero, negative or no number: export it again.")
    affine = np.diag([-pixdim[0], pixdim[1], pixdim[2], 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def _is_usual(sizes: np.ndarray) -> bool:
    """Whether these may be a CT's voxel sizes in mm."""
    return bool((sizes >= 0.02).all() and (sizes <= 50).all())


def _bad_sizes(path: Path, header: Any) -> InputError:
    sizes = ", ".join(f"{float(size):g}" for size in header["pixdim"][1:4])
    return InputError(f"{path.name} has a voxel spacing that is zero or negative ({sizes} mm): export it again.")


def _compare_forms(
    path: Path, sform: np.ndarray | None, qform: np.ndarray | None, shape: tuple[int, int, int], warnings: list[str]
) -> None:
    assert sform is not None
    assert qform is not None
    apart = _corner_distance(sform, qform, shape)
    if not np.isfinite(apart) or apart > 0.5 * np.linalg.norm(sform[:3, :3], axis=0).min():
        warnings.append(
            f"The two orientations in {path.name} (sform, qform) differ by up to {apart:.1f} mm; the sform is used: "
            "check that left and right are right."
        )


def _compare_sizes(path: Path, name: str, affine: np.ndarray, pixdim: np.ndarray | None, warnings: list[str]) -> None:
    """Say where the voxel sizes beside a form contradict it; both are written by every program that knows what it does."""
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if pixdim is None or not (pixdim > 0).all() or np.abs(pixdim / sizes - 1).max() <= SAME_SIZE:
        return
    told = " × ".join(f"{size:.3g}" for size in pixdim)
    used = " × ".join(f"{size:.3g}" for size in sizes)
    warnings.append(
        f"The voxel sizes in {path.name} (pixdim {told} mm) contradict its {name} ({used} mm), which is used: check the place."
    )


def _corner_distance(first: np.ndarray, second: np.ndarray, shape: tuple[int, int, int]) -> float:
    """The largest distance in mm between the places two affines give to a corner voxel."""
    corners = np.stack(np.meshgrid(*((0, size - 1) for size in shape), [1], indexing="ij"), axis=-1).reshape(-1, 4)
    return float(np.linalg.norm(corners @ (first - second).T, axis=1).max())
