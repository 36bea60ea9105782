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
from ..runs.results import extra_roi_path
from .grid import Grid, resample
from .nrrd import read_header
from .volume import Volume, read_volume, stem_of

# Points taken along an axis of a source voxel, at most, when a small region's occupancy of coarser voxels is measured.
MOST_POINTS = 8


@dataclass(frozen=True)
class RegionSpec:
    """A parsed region argument: the file, the lowest value of a thresholded map (or None), and the names (or none)."""

    path: Path
    threshold: float | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Found:
    """A region in its file: its name, which of the file's layers holds it and with which value (None: all voxels but 0)."""

    name: str
    layer: int
    value: int | None


def parse_region(spec: str) -> RegionSpec:
    """Split ``FILE[>=number][:name1,name2]``; colons that belong to the file's path (a drive letter, too) stay with it.

    Raises:
        InputError: no such file, or an empty name.
    """
    ends = [len(spec), *(match.start() for match in reversed(list(re.finditer(":", spec))))]
    for end in ends:
        path, threshold = _split_threshold(spec[:end])
        if spec[:end] and path.exists():
            if end == len(spec):
                return RegionSpec(path, threshold)
            names = tuple(name.strip() for name in spec[end + 1 :].split(","))
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
    layers = _read_layers(parsed.path)
    warnings = list(layers[0].warnings)
    if parsed.threshold is not None:
        reached = np.logical_or.reduce([layer.array >= parsed.threshold for layer in layers])
        layers = [Volume(reached, layers[0].affine, layers[0].name)]
        found = [_Found(stem_of(parsed.path), 0, None)] if layers[0].array.any() else []
        if not found:
            raise InputError(f"No voxel of {parsed.path.name} reaches {parsed.threshold:g}: give a lower threshold.")
    else:
        layers = [_whole_numbers(layer, parsed.path) for layer in layers]
        found = _find_regions(parsed.path, layers, warnings)
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
            mask = _settled(Volume(source, volume.affine), inside, grid, f"region '{region.name}'", warnings)
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

    Raises:
        InputError: as :func:`read_regions`, or for names that occur twice or would share a file in the results.
    """
    files = {extra_roi_path(Path(), name).name.casefold(): name for name in before}
    names = {*labels, *files.values(), "target_mask"}  # the last is taken in scenes
    regions: list[tuple[str, np.ndarray]] = []
    warnings: list[str] = []
    for spec in specs:
        found, told = read_regions(spec, grid)
        warnings += told
        for name, mask in found:
            file = extra_roi_path(Path(), name).name.casefold()
            if name in names:
                raise InputError(f"There are two regions named '{name}': name the extra one differently, as in FILE:my_{name}.")
            if file in files:
                raise InputError(f"The regions '{files[file]}' and '{name}' are too alike for file names: name one differently.")
            names.add(name)
            files[file] = name
            regions.append((name, mask))
    return regions, warnings


def read_mask(path: str | Path, grid: Grid) -> tuple[np.ndarray, list[str]]:
    """The voxels of a file that are not 0, as one bool mask of ``grid.shape``, and sentences for the user.

    Raises:
        InputError: a file that cannot be read, without voxels, or entirely outside the grid.
    """
    path = Path(path)
    layers = _read_layers(path)
    source = Volume(np.logical_or.reduce([layer.array != 0 for layer in layers]), layers[0].affine, stem_of(path))
    if not source.array.any():
        raise InputError(f"{path.name} is empty (every voxel is 0): draw the mask and save it again.")
    sampled = resample(source, grid, "nearest", outside=0)
    warnings = list(layers[0].warnings)
    return np.ascontiguousarray(_settled(source, sampled, grid, "target mask", warnings)), warnings


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
    return np.ascontiguousarray(_settled(source, sampled, grid, words, warnings)), warnings


def _split_threshold(text: str) -> tuple[Path, float | None]:
    """The path and the number of ``FILE>=number``; a file that is really called so wins."""
    match = re.fullmatch(r"(.+?)\s*>=\s*([0-9]*\.?[0-9]+)", text)
    if match is None or Path(text).exists():
        return Path(text), None
    return Path(match[1]), float(match[2])


def _read_layers(path: Path) -> list[Volume]:
    """The file's volumes: one, or several for a Slicer segmentation whose segments overlap."""
    if path.is_dir():
        raise InputError(f"{path.name} is a folder: give a label map file (.nii.gz, .nrrd, .seg.nrrd, .mha).")
    if path.is_file() and path.name.lower().endswith(".nrrd") and path.stat().st_size:
        fields = read_header(path).fields
        if fields.get("dimension") == "4" and fields.get("kinds", "").split()[:1] in (["list"], ["vector"]):
            return _read_list(path)
    volume = read_volume(path)
    if volume.array.dtype.kind == "f" and not np.isfinite(volume.array).all():
        raise InputError(f"{path.name} has voxels that are NaN or infinite: save it as a label map of whole numbers.")
    return [volume]


def _read_list(path: Path) -> list[Volume]:
    """A 4D ``.seg.nrrd`` whose first axis runs over layers."""
    import SimpleITK

    try:
        image = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(f"{path.name} is damaged or incomplete: copy or export it again.") from error
    if image.GetDimension() != 3:
        raise InputError(f"{path.name} is no list of 3D layers: export it as a label map.")
    voxels = SimpleITK.GetArrayFromImage(image)
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    return [Volume(voxels[..., layer].T, affine, stem_of(path)) for layer in range(voxels.shape[3])]


def _whole_numbers(volume: Volume, path: Path) -> Volume:
    """The label map as unsigned integers."""
    array = volume.array
    if array.dtype.kind == "f" and not (array == np.rint(array)).all():
        raise InputError(
            f"{path.name} has values that are not whole numbers: give a label map, or {path.name}>=0.5 to threshold it."
        )
    if array.min() < 0:
        raise InputError(f"{path.name} has negative values: give a label map, whose background is 0.")
    if array.dtype.kind == "u":
        return volume
    return Volume(array.astype(np.min_scalar_type(int(array.max()))), volume.affine, volume.name, volume.warnings)


def _find_regions(path: Path, layers: list[Volume], warnings: list[str]) -> list[_Found]:
    """The regions of a label map, in the order of its segments, or of its values."""
    present = [{int(value) for value in np.unique(layer.array)} - {0} for layer in layers]
    if not any(present):
        raise InputError(f"{path.name} has no region (every voxel is 0): draw one and save it again.")
    found = []
    for name, layer, value in segments_of(path):
        if layer < len(layers) and value in present[layer]:
            present[layer].discard(value)
            found.append(_Found(name, layer, value))
        else:
            warnings.append(f"The segment '{name}' of {path.name} is empty and is left out.")
    rest = [(layer, value) for layer, values in enumerate(present) for value in sorted(values)]
    alone = not found and len(rest) == 1
    for layer, value in rest:
        number = f"{value}" if len(layers) == 1 else f"{layer}_{value}"
        found.append(_Found(stem_of(path) if alone else f"{stem_of(path)}_{number}", layer, value))
    return found


def segments_of(path: Path) -> list[tuple[str, int, int]]:
    """Name, layer and value of each segment of a Slicer segmentation file, in its order."""
    if not path.name.lower().endswith(".nrrd"):
        return []
    keys = read_header(path).keys
    segments = []
    for number in sorted(int(match[1]) for key in keys if (match := re.fullmatch(r"Segment(\d+)_Name", key))):
        prefix = f"Segment{number}_"
        try:
            value, layer = int(keys.get(prefix + "LabelValue", number + 1)), int(keys.get(prefix + "Layer", 0))
        except ValueError:
            continue
        segments.append((keys[prefix + "Name"], layer, value))
    return segments


def _named(found: list[_Found], parsed: RegionSpec) -> list[_Found]:
    """The regions under the names the user gave; names must fit and differ."""
    if parsed.names:
        if len(parsed.names) != len(found):
            raise InputError(
                f"{parsed.path.name} has {len(found)} region{'s' if len(found) != 1 else ''} but {len(parsed.names)} "
                f"name{'s were' if len(parsed.names) != 1 else ' was'} given: give one name for each, or none."
            )
        found = [_Found(name, region.layer, region.value) for name, region in zip(parsed.names, found, strict=True)]
    names = [region.name for region in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"{parsed.path.name} has two regions named '{name}': give each its own, as in {parsed.path.name}:one,two."
            )
    return found


def _settled(source: Volume, sampled: np.ndarray, grid: Grid, name: str, warnings: list[str]) -> np.ndarray:
    """The mask on the grid of the region called ``name``, checked: not outside, not lost between the voxel centres."""
    outside = _share_outside(source, grid)
    if outside == 1:
        raise InputError(f"The {name} lies entirely outside the CT: give one drawn on this scan.")
    if not sampled.any():
        sampled = _by_occupancy(source, grid)
        if not sampled.any():
            raise InputError(f"The {name} lies entirely outside the CT: give one drawn on this scan.")
        kept = np.count_nonzero(sampled)
        warnings.append(f"The {name} is thinner than the model's voxels: it is represented by the {kept} it fills most.")
    if outside > 0:
        warnings.append(f"{max(1, round(100 * outside))} % of the {name} lie outside the CT and are left out.")
    return sampled


def _share_outside(source: Volume, grid: Grid) -> float:
    """Share of a bool region's voxels that lie more than one voxel beyond the grid's outer voxel centres."""
    to_grid = np.linalg.inv(grid.affine) @ source.affine
    low, high = _bounds(source.array)
    shape = np.asarray(grid.shape)
    box = Grid((2, 2, 2), to_grid)
    ends = box.to_ras(low + box.corners() * (high - low))
    if (ends >= -1).all() and (ends <= shape).all():
        return 0.0
    index = box.to_ras(np.argwhere(source.array))
    return float(np.mean(((index < -1) | (index > shape)).any(axis=1)))


def _bounds(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest index of the mask's voxels along each axis."""
    ends = []
    for axis in range(3):
        occupied = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        ends.append((occupied[0], occupied[-1]))
    low, high = np.array(ends, dtype=np.float64).T
    return low, high


def _by_occupancy(source: Volume, grid: Grid) -> np.ndarray:
    """Voxels of the grid that a small bool region fills by at least half, or else the one(s) it fills most."""
    to_grid = np.linalg.inv(grid.affine) @ source.affine
    steps = np.linalg.norm(to_grid[:3, :3], axis=0)
    counts = np.clip(np.ceil(4 * steps), 1, MOST_POINTS).astype(int)
    offsets = np.stack(np.meshgrid(*((np.arange(count) + 0.5) / count - 0.5 for count in counts), indexing="ij"), axis=-1).reshape(
        -1, 3
    )
    share = abs(np.linalg.det(to_grid[:3, :3])) / len(offsets)
    mask = np.zeros(grid.shape, dtype=bool)
    filled = np.zeros(grid.shape, dtype=np.float32)
    voxels = np.argwhere(source.array)
    for offset in offsets:
        index = np.floor(Grid((1, 1, 1), to_grid).to_ras(voxels + offset) + 0.5).astype(np.int64)
        index = index[((index >= 0) & (index < grid.shape)).all(axis=1)]
        np.add.at(filled, tuple(index.T), np.float32(share))
    most = float(filled.max())
    if most > 0:
        mask = filled >= min(0.5, most * (1 - 1e-4))
    return mask
