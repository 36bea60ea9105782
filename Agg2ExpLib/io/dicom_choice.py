"""Which slices of a folder form the volume: one series, one scan of every place, every slice once."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from .dicom_slice import TRAITS, Slice

# Direction cosines and spacings this close may belong to the same stack; whether they fit is then measured in mm.
SAME_DIRECTION = 0.02
SAME_SPACING = 0.02
# A step between slices this many times the usual one means that slices are missing.
GAP = 1.5
# Places closer than this are the same, unless the whole series is that thin.
SAME_PLACE_MM = 0.3


def choose_stack(folder: Path, slices: Sequence[Slice], notes: list[str]) -> list[Slice]:
    """The CT stack that covers the most places, or the largest of another modality where there is no CT.

    Raises:
        InputError: every file claims to be a series of its own.
    """
    stacks = _stacks(slices)
    largest = max(stacks, key=_places)
    if _places(largest) == 1 and len(slices) > 2 and len({item.series[0] for item in slices}) == len(slices):
        raise InputError(
            f"Every file in {folder.name} has a Series Instance UID of its own, so they cannot be told to be one series: the "
            "export has damaged them, export the series again."
        )
    ranked = sorted(stacks, key=lambda stack: (stack[0].modality != "CT", -_places(stack), -len(stack)))
    chosen = ranked[0]
    if len(ranked) > 1:
        count = max(len({item.series[0] for item in slices}), 2)
        notes.append(
            f"{folder.name} holds {count} DICOM series or parts of series; the CT with the most slices ({_places(chosen)}) "
            "is used: to use another, give a folder with it alone."
        )
    if chosen[0].modality != "CT":
        modality = re.sub(r"\W", "", chosen[0].modality)[:16] or "unknown"
        notes.append(f"The DICOM series in {folder.name} is of modality {modality}, not CT: its values are not in HU.")
    return chosen


def one_scan(folder: Path, stack: list[Slice], same_pixels: Callable[[Slice, Slice], bool], notes: list[str]) -> list[Slice]:
    """The slices in order along their normal, one at each place.

    Args:
        folder: for the sentences.
        stack: of one series.
        same_pixels: whether two images are alike, pixel by pixel.
        notes: gets what was left out.

    Raises:
        InputError: different images of the same place that no attribute tells apart.
    """
    ordered = _by_height(stack)
    differ: list[str] = []
    for _ in range(len(TRAITS)):
        found = _separate(ordered, differ)
        if found is None:
            break
        trait, best = found
        value = best[0].traits.get(trait, "")[:40] or "none"
        notes.append(
            f"The series in {folder.name} holds more than one scan of the same place, which differ in {TRAITS[trait]}; the one "
            f"with the most slices ({len(best)} of {len(ordered)}, {TRAITS[trait]} {value}) is used and the others are left out."
        )
        ordered = best
    ordered = _without_copies(folder, ordered, same_pixels, notes)
    if differ and len(ordered) > 1:
        words = " and ".join(dict.fromkeys(TRAITS[trait] for trait in differ))
        notes.append(f"Some slices of the series in {folder.name} differ from their neighbours in {words}: check that they belong.")
    return ordered


def heights(ordered: Sequence[Slice]) -> np.ndarray:
    """Places along the normal of the first slice, in mm."""
    return np.array([item.position @ ordered[0].normal for item in ordered])


def _stacks(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Slices that can form one volume together."""
    members: dict[str, list[Slice]] = defaultdict(list)
    for item in slices:
        members[item.series[0]].append(item)
    # An export that gives every slice a frame of reference of its own says nothing by it.
    framed = {series: 2 * len({item.series[1] for item in mine}) <= len(mine) for series, mine in members.items()}
    groups: dict[tuple[object, ...], list[list[Slice]]] = defaultdict(list)
    for item in slices:
        frame = item.series[1] if framed[item.series[0]] else ""
        mine = groups[item.series[0], frame, item.shape, item.modality]
        for stack in mine:
            if _stacks_with(stack[0], item):
                stack.append(item)
                break
        else:
            mine.append([item])
    return [stack for mine in groups.values() for stack in mine]


def _stacks_with(one: Slice, other: Slice) -> bool:
    return (
        np.allclose(one.spacing, other.spacing, rtol=SAME_SPACING)
        and np.allclose(one.row, other.row, rtol=0, atol=SAME_DIRECTION)
        and np.allclose(one.column, other.column, rtol=0, atol=SAME_DIRECTION)
    )


def _places(stack: Sequence[Slice]) -> int:
    """Number of different places of a stack."""
    ordered = _by_height(stack)
    return 1 + int(np.count_nonzero(~_near(ordered))) if ordered else 0


def _by_height(stack: Sequence[Slice]) -> list[Slice]:
    normal = stack[0].normal
    return sorted(stack, key=lambda item: (round(float(item.position @ normal), 4), item.path.as_posix(), item.frame))


def _near(ordered: Sequence[Slice]) -> np.ndarray:
    """Which steps between neighbours are none: both lie at the same place."""
    steps = np.diff(heights(ordered))
    if not len(steps):
        return np.zeros(0, dtype=bool)
    usual = float(np.quantile(steps, 0.9))
    near: np.ndarray = steps <= max(1e-3, min(SAME_PLACE_MM, 0.5 * usual))
    return near


def _separate(ordered: list[Slice], differ: list[str]) -> tuple[str, list[Slice]] | None:
    """The first trait whose values alternate along the stack, and the largest group of one value.

    Values that follow one another (passes, one acquisition a slice) do not alternate. Where no group is a whole scan by itself, the
    trait goes into ``differ``.
    """
    repeats = bool(_near(ordered).any())
    for trait in TRAITS:
        groups: dict[str, list[Slice]] = defaultdict(list)
        for item in ordered:
            groups[item.traits.get(trait, "")].append(item)
        if len(groups) < 2 or not _overlap(list(groups.values())):
            continue
        best = sorted(groups.items(), key=lambda entry: (-_places(entry[1]), _natural(entry[0])))[0][1]
        if _places(best) > 1 and (repeats or not _has_gap(best)):
            return trait, best
        if trait not in differ and not repeats:
            differ.append(trait)
    return None


def _overlap(groups: Sequence[Sequence[Slice]]) -> bool:
    """Whether two of the groups lie in each other along the stack."""
    normal = groups[0][0].normal
    ranges = []
    for group in groups:
        places = [float(item.position @ normal) for item in group]
        ranges.append((min(places), max(places)))
    ranges.sort()
    reached = -np.inf
    for low, high in ranges:
        if low <= reached + 1e-3:
            return True
        reached = max(reached, high)
    return False


def _has_gap(ordered: Sequence[Slice]) -> bool:
    steps = np.diff(heights(ordered))
    return bool((steps > GAP * np.median(steps)).any())


def _natural(text: str) -> tuple[float, str]:
    """Numbers before texts, in their order."""
    try:
        return float(text), ""
    except ValueError:
        return float("inf"), text


def _without_copies(
    folder: Path, ordered: list[Slice], same_pixels: Callable[[Slice, Slice], bool], notes: list[str]
) -> list[Slice]:
    """Every place once; images of one place must be copies of each other."""
    near = _near(ordered)
    kept, copies, sent = [ordered[0]], 0, False
    for item, repeated in zip(ordered[1:], near, strict=True):
        if not repeated:
            kept.append(item)
            continue
        other = kept[-1]
        if not same_pixels(other, item):
            apart = abs(float((item.position - other.position) @ other.normal))
            raise InputError(
                f"Several different slices in {folder.name} lie at the same place ({other.title} and {item.title}, {apart:.2f} mm "
                "apart) and nothing tells their scans apart: export one phase of the scan only."
            )
        copies += 1
        sent = sent or item.instance != other.instance
    if copies and sent:
        notes.append(f"{copies} slice{'s' if copies > 1 else ''} in {folder.name} are there more than once and were used once.")
    return kept
