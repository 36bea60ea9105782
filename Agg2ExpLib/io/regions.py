"""Regions of interest from any label map: drawn by hand, from another model, lesions; brought onto the model grid.

A region is given as text, ``FILE`` or ``FILE:name1,name2``; ``FILE>=2`` or ``FILE>=2:name`` takes all voxels of at least 2 as ONE
region (reader counts, probabilities). The file may lie on any grid.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..system.names import clean_name, existing, same_form
from .grid import Grid
from .region_files import Found, find_regions, read_layers, whole_numbers
from .region_masks import settled
from .resample import resample
from .volume import Volume, stem_of

MOST_REGIONS = 1000


@dataclass(frozen=True)
class RegionSpec:
    """A parsed region argument: the file, the lowest value of a thresholded map (or None), and the names (or none)."""

    path: Path
    threshold: float | None = None
    names: tuple[str, ...] = ()


def parse_region(spec: str) -> RegionSpec:
    """Split ``FILE[>=number][:name1,name2]``; colons that belong to the file's path (a drive letter, too) stay with it.

    Raises:
        InputError: no such file, or an empty name.
    """
    ends = [len(spec), *(match.start() for match in reversed(list(re.finditer(":", spec))))]
    if "\0" in spec:
        raise InputError("The path of a region holds the character NUL: check the path.")
    for end in ends:
        path, threshold = _split_threshold(spec[:end])
        if spec[:end] and _is_there(path):
            if end == len(spec):
                return RegionSpec(path, threshold)
            names = tuple(clean_name(name) for name in spec[end + 1 :].split(","))
            if not all(names):
                raise InputError(f"A region of {path.name} has an empty name: write {path.name}:name1,name2.")
            return RegionSpec(path, threshold, names)
    # The colon of a drive letter (position 1) does not begin names.
    end = next((end for end in ends[1:] if end > 1), len(spec))
    raise InputError(f"The label map file {_split_threshold(spec[:end])[0]} does not exist: check the path.")


def read_regions(spec: str, grid: Grid) -> tuple[list[tuple[str, np.ndarray]], list[str]]:
    """Read the regions of interest of one file.

    Names are those given (in the order of the values), else those of a Slicer ``.seg.nrrd``, else the file's name for one
    region and ``<file>_<value>`` for several. A region so small that no voxel centre of a coarser grid meets it takes the voxels it
    fills by at least half, or else the one it fills most.

    Args:
        spec: ``FILE``, ``FILE:name1,name2``, ``FILE>=2`` or ``FILE>=2:name``.
        grid: the model grid.

    Returns:
        Pairs of name and bool mask of ``grid.shape``, and sentences for the user.

    Raises:
        InputError: a file that cannot be read, without regions or with values that are not whole numbers, names that do not fit
            or occur twice, a region entirely outside the grid.
    """
    parsed = parse_region(spec)
    layers = read_layers(parsed.path)
    warnings = list(layers[0].warnings)
    if parsed.threshold is not None:
        reached = np.logical_or.reduce([layer.array >= parsed.threshold for layer in layers])
        layers = [Volume(reached, layers[0].affine, layers[0].name)]
        found = [Found(clean_name(stem_of(parsed.path)), 0, None)] if layers[0].array.any() else []
        if not found:
            raise InputError(f"No voxel of {parsed.path.name} reaches {parsed.threshold:g}: give a lower threshold.")
    else:
        layers = [whole_numbers(layer, parsed.path) for layer in layers]
        found = find_regions(parsed.path, layers, warnings)
        if len(found) > MOST_REGIONS:
            raise InputError(f"{parsed.path.name} has {len(found)} different values: give a label map of at most {MOST_REGIONS}.")
    found = _named(found, parsed)
    regions = []
    for layer, volume in enumerate(layers):
        mine = [region for region in found if region.layer == layer]
        if not mine:
            continue
        sampled = resample(volume, grid, "nearest", outside=0)
        for region in mine:
            inside = np.not_equal(sampled, 0) if region.value is None else np.equal(sampled, region.value)
            source = volume.array != 0 if region.value is None else volume.array == region.value
            mask = settled(Volume(source, volume.affine), inside, grid, f"region '{region.name}'", warnings)
            regions.append((region.name, np.ascontiguousarray(mask)))
    order = {region.name: position for position, region in enumerate(found)}
    return sorted(regions, key=lambda region: order[region[0]]), warnings


def read_all_regions(
    specs: Iterable[str], grid: Grid, labels: Iterable[str], before: Iterable[str] = ()
) -> tuple[list[tuple[str, np.ndarray]], list[str]]:
    """The regions of several files, as :func:`read_regions` reads each.

    Args:
        specs: see :func:`read_regions`.
        grid: the model grid.
        labels: names of the model's labels, which no region may have.
        before: names of the extra regions that there are already.

    Whether the names can be told apart as names of files is checked by who writes them (``runs.results.check_region_files``).

    Raises:
        InputError: as :func:`read_regions`, or for names that occur twice.
    """
    names = {*map(same_form, labels), *map(same_form, before), "target_mask"}  # the last is taken in scenes
    regions: list[tuple[str, np.ndarray]] = []
    warnings: list[str] = []
    for spec in specs:
        found, told = read_regions(spec, grid)
        warnings += told
        for name, mask in found:
            if name in names:
                raise InputError(f"There are two regions named '{name}': name the extra one differently, as in FILE:my_{name}.")
            names.add(name)
            regions.append((name, mask))
    return regions, warnings


def read_mask(path: str | Path, grid: Grid) -> tuple[np.ndarray, list[str]]:
    """The voxels of a file that are not 0, as one bool mask of ``grid.shape``, and sentences for the user.

    Raises:
        InputError: a file that cannot be read, without voxels, or entirely outside the grid.
    """
    path = Path(path)
    layers = read_layers(path)
    source = Volume(np.logical_or.reduce([layer.array != 0 for layer in layers]), layers[0].affine, stem_of(path))
    if not source.array.any():
        raise InputError(f"{path.name} is empty (every voxel is 0): draw the mask and save it again.")
    sampled = resample(source, grid, "nearest", outside=0)
    warnings = list(layers[0].warnings)
    return np.ascontiguousarray(settled(source, sampled, grid, "target mask", warnings)), warnings


def place_mask(mask: Volume, grid: Grid, words: str) -> tuple[np.ndarray, list[str]]:
    """The voxels of a volume that are not 0, as a bool mask of ``grid.shape``, and sentences for the user.

    Args:
        mask: on any grid.
        grid: the model grid.
        words: what it is, for messages.

    Raises:
        InputError: it is empty, or lies entirely outside the grid.
    """
    source = Volume(mask.array != 0, mask.affine, mask.name)
    if not source.array.any():
        raise InputError(f"The {words} is empty: every voxel is 0.")
    warnings: list[str] = list(mask.warnings)
    sampled = resample(source, grid, "nearest", outside=0)
    return np.ascontiguousarray(settled(source, sampled, grid, words, warnings)), warnings


def _split_threshold(text: str) -> tuple[Path, float | None]:
    """The path and the number of ``FILE>=number``; a file that is really called so wins."""
    match = re.fullmatch(r"(.+?)\s*>=\s*([0-9]*\.?[0-9]+)", text, re.DOTALL)
    if match is None or existing(Path(text)).exists():
        return existing(Path(text)), None
    return existing(Path(match[1])), float(match[2])


def _named(found: list[Found], parsed: RegionSpec) -> list[Found]:
    """The regions under the names the user gave; names must fit and differ."""
    if parsed.names:
        if len(parsed.names) != len(found):
            raise InputError(
                f"{parsed.path.name} has {len(found)} region{'s' if len(found) != 1 else ''} but {len(parsed.names)} "
                f"name{'s were' if len(parsed.names) != 1 else ' was'} given: give one name for each, or none."
            )
        found = [Found(name, region.layer, region.value) for name, region in zip(parsed.names, found, strict=True)]
    names = [region.name for region in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"{parsed.path.name} has two regions named '{name}': give each its own, as in {parsed.path.name}:one,two."
            )
    return found


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long for any file is one with names behind it
        return False
