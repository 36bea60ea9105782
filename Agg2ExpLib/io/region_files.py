"""Files that hold regions of interest: label maps, and Slicer segmentations with their names, layers and values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..system.names import clean_name
from ..system.regular_files import is_regular
from .affines import check_affine
from .nrrd import NrrdHeader, read_header
from .nrrd_volume import read_nrrd_layers
from .read import read_volume
from .source_files import guarded
from .volume import NRRD_SUFFIXES, Volume, stem_of, suffix_of


@dataclass(frozen=True)
class Found:
    """A region in its file: its name, which of the file's layers holds it and with which value (None: all voxels but 0)."""

    name: str
    layer: int
    value: int | None


def read_layers(path: Path) -> list[Volume]:
    """The file's volumes: one, or several for a Slicer segmentation whose segments overlap.

    Raises:
        InputError: as :func:`~.read.read_volume`, or a value that is no number.
    """
    if path.is_dir():
        raise InputError(f"{path.name} is a folder: give a label map file (.nii.gz, .nrrd, .seg.nrrd, .mha).")
    if suffix_of(path) in NRRD_SUFFIXES and is_regular(path) and path.stat().st_size:
        arrays, affine, warnings = guarded(path, lambda: read_nrrd_layers(path))
        check_affine(path, affine)
        volumes = [Volume(array, affine, stem_of(path), tuple(warnings)) for array in arrays]
    else:
        volumes = [read_volume(path)]
    if any(volume.array.dtype.kind == "f" and not np.isfinite(volume.array).all() for volume in volumes):
        raise InputError(f"{path.name} has voxels that are NaN or infinite: save it as a label map of whole numbers.")
    return volumes


def whole_numbers(volume: Volume, path: Path) -> Volume:
    """The label map as unsigned integers.

    Raises:
        InputError: values that are negative or no whole numbers.
    """
    array = volume.array
    if array.dtype.kind == "f" and not (array == np.rint(array)).all():
        raise InputError(
            f"{path.name} has values that are not whole numbers: give a label map, or {path.name}>=0.5 to threshold it."
        )
    if array.min() < 0:
        raise InputError(f"{path.name} has negative values: give a label map, whose background is 0.")
    if array.dtype.kind == "u":
        return volume
    if array.max() >= 2**32:
        raise InputError(f"{path.name} has values beyond 32 bits: give a label map.")
    return Volume(array.astype(np.min_scalar_type(int(array.max()))), volume.affine, volume.name, volume.warnings)


def find_regions(path: Path, layers: list[Volume], warnings: list[str]) -> list[Found]:
    """The regions of a label map, in the order of its segments, or of its values.

    Raises:
        InputError: there is none.
    """
    present = [{int(value) for value in np.unique(layer.array)} - {0} for layer in layers]
    if not any(present):
        raise InputError(f"{path.name} has no region (every voxel is 0): draw one and save it again.")
    found = []
    for name, layer, value in segments_of(path):
        if layer < len(layers) and value in present[layer]:
            present[layer].discard(value)
            found.append(Found(name, layer, value))
        else:
            warnings.append(f"The segment '{name}' of {path.name} is empty and is left out.")
    rest = [(layer, value) for layer, values in enumerate(present) for value in sorted(values)]
    alone = not found and len(rest) == 1
    for layer, value in rest:
        number = f"{value}" if len(layers) == 1 else f"{layer}_{value}"
        found.append(Found(clean_name(stem_of(path) if alone else f"{stem_of(path)}_{number}"), layer, value))
    return found


def segments_of(path: Path) -> list[tuple[str, int, int]]:
    """Name, layer and value of each segment of a Slicer segmentation file, in its order.

    Where a key is missing, Slicer's defaults count: before version 4.11 every segment was a layer of its own with the value 1.

    Raises:
        InputError: it is no NRRD file although its name says so.
    """
    if suffix_of(path) not in NRRD_SUFFIXES or not is_regular(path):
        return []
    header = guarded(path, lambda: read_header(path))
    keys, several = header.keys, _has_layers(header)
    segments = []
    for number in sorted({int(match[1]) for key in keys if (match := re.fullmatch(r"Segment(\d{1,6})_(?:Name|ID)", key))}):
        prefix = f"Segment{number}_"
        layer = _number(keys, prefix + "Layer", number if several else 0)
        value = _number(keys, prefix + "LabelValue", 1 if several else number + 1)
        name = clean_name(keys.get(prefix + "Name", "")) or clean_name(keys.get(prefix + "ID", "")) or f"Segment_{number + 1}"
        segments.append((name, layer, value))
    return segments


def _has_layers(header: NrrdHeader) -> bool:
    """Whether the segments lie in layers, be it one."""
    return len(header.fields.get("sizes", "").split()) == 4


def _number(keys: dict[str, str], key: str, default: int) -> int:
    try:
        return int(keys.get(key, default))
    except ValueError:
        return default
