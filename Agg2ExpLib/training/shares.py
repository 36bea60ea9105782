"""Which cases are kept out of training."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
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
    listed = _listed(names, share)
    if listed is not None:
        return listed
    count = _count(len(names), share)
    return {str(name) for name in np.random.default_rng(seed).permutation(sorted(names))[:count]}


def held_out_alike(kinds: Mapping[str, Hashable], share: str, seed: int) -> set[str]:
    """The same, drawn so that cases of every kind are kept out in the same share.

    Args:
        kinds: kind of every case by its name.
        share, seed: as in :func:`held_out`.

    Raises:
        InputError: as in :func:`held_out`.
    """
    listed = _listed(list(kinds), share)
    if listed is not None:
        return listed
    drawn = [str(name) for name in np.random.default_rng(seed).permutation(sorted(kinds))]
    drawn.sort(key=lambda name: repr(kinds[name]))  # a stable sort: within a kind at random
    count = _count(len(drawn), share)
    return {drawn[int((k + 0.5) * len(drawn) / count)] for k in range(count)}


def _listed(names: Sequence[str], share: str) -> set[str] | None:
    file = Path(share)
    if not file.is_file():
        return None
    try:
        listed = {line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{share} cannot be read as a list of case names ({error}): write one name a line, in UTF-8.") from None
    if unknown := sorted(listed - set(names)):
        raise InputError(f"{share} names the case '{unknown[0]}', which is not among the data.")
    return listed


def _count(cases: int, share: str) -> int:
    try:
        part = float(share)
    except ValueError:
        raise InputError(f"⟨validation⟩ must be a share such as 0.1 or a text file of case names, not {share!r}.") from None
    if not 0 <= part < 1:
        raise InputError(f"⟨validation⟩ must be at least 0 and below 1, not {share}.")
    return min(max(1, round(part * cases)), cases - 1) if part else 0
