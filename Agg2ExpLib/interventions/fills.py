"""What takes the place of a region that is removed from a CT."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from .choices import FILLS

AIR_HU, SOFT_TISSUE_HU = -1000.0, 40.0
# Standard deviation of the blur, and thickness of what counts as a region's surroundings.
BLUR_MM, SHELL_MM = 20.0, 6.0
# Of the solver: well below what a CT's noise is.
_TOLERANCE, _MOST_STEPS = 1e-4, 2000


def fill(hu: np.ndarray, mask: np.ndarray, kind: str, spacing: Sequence[float]) -> np.ndarray:
    """The CT with another content in a region.

    Args:
        hu: ``[x, y, z]``.
        mask: boolean ``[x, y, z]``, the region.
        kind: ``surroundings``: the smoothest continuation of what lies around it (harmonic, so that no edge is left); ``blurred``:
            the CT through a Gaussian of 20 mm; ``mean``: of the 6 mm around it; ``air``: -1000 HU; ``soft_tissue``: 40 HU.
        spacing: edges of a voxel in mm.

    Returns:
        New float32 array; outside the region the CT as it was.

    Raises:
        InputError: another kind, or one that needs surroundings where there are none.
    """
    if kind not in FILLS:
        raise InputError(f"Unknown ⟨fill⟩ '{kind}': use {', '.join(FILLS)}.")
    filled = np.array(hu, dtype=np.float32)
    if kind in ("surroundings", "mean") and mask.all():
        raise InputError("The region covers the whole image, so it has no surroundings to be filled from: use ⟨fill⟩ air, say.")
    if kind == "surroundings":
        filled[mask] = _harmonic(filled, mask, spacing)
    elif kind == "blurred":
        from scipy.ndimage import gaussian_filter

        filled[mask] = gaussian_filter(filled, [BLUR_MM / size for size in spacing], mode="nearest")[mask]
    elif kind == "mean":
        filled[mask] = filled[_shell(mask, spacing)].mean()
    else:
        filled[mask] = AIR_HU if kind == "air" else SOFT_TISSUE_HU
    return filled


def _shell(mask: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """The voxels around a region."""
    from scipy.ndimage import distance_transform_edt

    distance = distance_transform_edt(~mask, sampling=tuple(spacing))
    near = (distance > 0) & (distance <= max(SHELL_MM, *spacing))
    return np.asarray(near)


def _harmonic(hu: np.ndarray, mask: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Values in the region that solve Laplace's equation with what lies around it as boundary; the image's border is free.

    A part of the region that touches nothing outside it cannot occur, since the region is not everything.
    """
    from scipy.ndimage import distance_transform_edt
    from scipy.sparse import csr_array, diags_array
    from scipy.sparse.linalg import LinearOperator, cg

    count = int(mask.sum())
    number = np.full(mask.shape, -1, dtype=np.int64)
    number[mask] = np.arange(count)
    diagonal, right = np.zeros(count), np.zeros(count)
    rows, columns, weights = [], [], []
    for axis, size in enumerate(spacing):
        weight = 1.0 / size**2
        for ahead in (True, False):
            here, there = (slice(None, -1), slice(1, None)) if ahead else (slice(1, None), slice(None, -1))
            own = number[(slice(None),) * axis + (here,)]
            other = number[(slice(None),) * axis + (there,)]
            values = hu[(slice(None),) * axis + (there,)]
            inside = own >= 0
            np.add.at(diagonal, own[inside], weight)
            both = inside & (other >= 0)
            rows.append(own[both])
            columns.append(other[both])
            weights.append(np.full(int(both.sum()), -weight))
            edge = inside & (other < 0)
            np.add.at(right, own[edge], weight * values[edge])
    matrix = csr_array(
        (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), shape=(count, count)
    ) + diags_array(diagonal)
    # The nearest value outside is a start from which few steps lead to the solution.
    nearest = distance_transform_edt(mask, sampling=tuple(spacing), return_distances=False, return_indices=True)
    start = hu[tuple(nearest)][mask].astype(np.float64)
    scale = LinearOperator(matrix.shape, matvec=lambda vector: vector / diagonal)
    found, _ = cg(matrix, right, x0=start, rtol=_TOLERANCE, maxiter=_MOST_STEPS, M=scale)
    return np.asarray(found, dtype=np.float32)
