"""The ground truth of a patient on the model grid: which voxels truly belong to each label of the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..io.grid import Grid
from ..io.read import read_volume
from ..io.region_files import segments_of
from ..io.regions import parse_region, read_regions
from ..io.resample import resample
from ..models.label_maps import LabelScheme
from ..models.labels import Label
from ..system.names import folded


def read_truth(spec: str, scheme: LabelScheme | None, labels: Sequence[Label], grid: Grid) -> dict[str, np.ndarray]:
    """Read the ground truth.

    Args:
        spec: a label map whose values are the indices of the model's labels; or, with names in place of values, as for
            ``--extra-rois``: ``FILE:name1,name2`` in the order of the values, or a ``.seg.nrrd`` with segments called like labels.
        scheme: which values, or mask files of a folder, belong to which label; then ``spec`` is a plain path.
        labels: of the model.
        grid: the model grid.

    Returns:
        Bool mask of ``grid.shape`` (nearest neighbour) of each label that the truth speaks of. The background is among them only
        where all others are.

    Raises:
        InputError: it cannot be read, or has values or names of no label of the model.
    """
    if scheme is not None:
        volume = scheme.read(Path(spec))
        channels = resample(volume, grid, "nearest", outside=0)
        masks = [(label.name, channels == label.index) for label in scheme.labels[1:]]
        return _of_model(masks, labels, "⟨label_map⟩")
    parsed = parse_region(spec)
    known = {folded(label.name) for label in labels}
    if parsed.names or parsed.threshold is not None or any(folded(name) in known for name, *_ in segments_of(parsed.path)):
        return _of_model(read_regions(spec, grid)[0], labels, parsed.path.name)
    values = resample(read_volume(parsed.path), grid, "nearest", outside=0)
    if (values < 0).any() or (values != np.rint(values)).any() or values.max() >= len(labels):
        raise InputError(
            f"{parsed.path} is no label map of this model: its values must be whole numbers from 0 to {len(labels) - 1}, the "
            f"indices of the model's labels; or say what they are with ⟨label_map⟩ or as {parsed.path.name}:name1,name2."
        )
    return {label.name: values == label.index for label in labels}


def _of_model(masks: Sequence[tuple[str, np.ndarray]], labels: Sequence[Label], source: str) -> dict[str, np.ndarray]:
    """The masks under the names of the model's labels; others, such as lesions, are left out."""
    names = {folded(label.name): label.name for label in labels}
    found = {names[folded(name)]: mask for name, mask in masks if folded(name) in names}
    if not found:
        raise InputError(
            f"None of the names in {source} ({', '.join(name for name, _ in masks)}) is a label of the model: it has "
            f"{', '.join(label.name for label in labels)}."
        )
    if all(label.name in found for label in labels[1:]):
        found.setdefault(labels[0].name, ~np.logical_or.reduce([found[label.name] for label in labels[1:]]))
    return found
