"""Random sets of voxels: the same for every method and label of a patient, and on every machine."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..errors import InputError

# Seed sequences pad with zeros, so a purpose's number stands last and is never zero.
_PURPOSE = 1001


def random_subset(shape: Sequence[int], voxels: int, seed: int, run: int) -> np.ndarray:
    """Different voxels of a volume, each set of that size as likely as any other.

    Args:
        shape: of the volume.
        voxels: size m of the subset.
        seed: of the evaluation.
        run: number of the subset.

    Returns:
        int64 ``[voxels]``, sorted indices into the volume in C order.

    Raises:
        InputError: the volume has fewer voxels.
    """
    count = math.prod(shape)
    if voxels > count:
        size = " × ".join(str(side) for side in shape)
        raise InputError(
            f"The scan has {count} voxels on the model grid ({size}), fewer than the {voxels} of a random subset: set "
            f"⟨subset_voxels⟩ to {max(count // 100, 1)}, say."
        )
    generator = np.random.default_rng([seed, run, _PURPOSE])
    return np.sort(generator.choice(count, size=voxels, replace=False, shuffle=False))
