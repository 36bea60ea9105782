"""Which cases are kept out of training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError


def held_out(names: Sequence[str], share: str, seed: int) -> set[str]:
    """Names of the cases to validate on: those a file lists, or a share drawn at random, at least one of two or more.

    Args:
        names: of all cases.
        share: a number from 0 to below 1, or the path of a text file with a name a line.
        seed: of the draw.

    Raises:
        InputError: neither of the two, or the file names an unknown case.
    """
    file = Path(share)
    if file.is_file():
        listed = {line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()}
        if unknown := sorted(listed - set(names)):
            raise InputError(f"{share} names the case '{unknown[0]}', which is not among the data.")
        return listed
    try:
        part = float(share)
    except ValueError:
        raise InputError(f"⟨validation⟩ must be a share such as 0.1 or a text file of case names, not {share!r}.") from None
    if not 0 <= part < 1:
        raise InputError(f"⟨validation⟩ must be at least 0 and below 1, not {share}.")
    count = min(max(1, round(part * len(names))), len(names) - 1) if part else 0
    return {str(name) for name in np.random.default_rng(seed).permutation(sorted(names))[:count]}
