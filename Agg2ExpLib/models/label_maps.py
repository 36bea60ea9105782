"""Which voxels of a label map, or which masks of a folder, belong to which label."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..io.read import read_volume
from ..io.volume import Volume, stem_of
from ..synthetic.tissues import CHANNEL_OF_ID
from ..system.json_files import read_json
from ..system.names import same_form
from .labels import BACKGROUND, PAPER_LABELS, Label, make_labels

# File names of TotalSegmentator's one-mask-a-structure folders behind each of the paper's labels that is not named alike.
_PAPER_MASKS = {"ribs": ["rib_*"], "vertebraes": ["vertebrae_*"]}
THORAX = "thorax"


@dataclass(frozen=True)
class LabelScheme:
    """How label maps are read.

    Attributes:
        labels: of the network, background first.
        values: voxel values of a label map behind each label.
        masks: file-name patterns (no suffix) of mask folders behind each label.
    """

    labels: tuple[Label, ...]
    values: Mapping[str, Sequence[int]]
    masks: Mapping[str, Sequence[str]]

    def read(self, path: Path) -> Volume:
        """Channels (uint8) of a label map, or of a folder of masks; where masks overlap the later label wins.

        Raises:
            InputError: a file that cannot be read, masks on different grids, or none of the labels at all.
        """
        return self._read_masks(path) if path.is_dir() else self._read_map(path)

    def _read_map(self, path: Path) -> Volume:
        volume = read_volume(path)
        values = np.rint(volume.array).astype(np.int64)
        channels = np.zeros(values.shape, np.uint8)
        for label in self.labels[1:]:
            channels[np.isin(values, list(self.values.get(label.name, ())))] = label.index
        if not channels.any():
            raise InputError(f"{path} holds none of the labels (its values are {_few(np.unique(values))}): check ⟨label_map⟩.")
        return Volume(channels, volume.affine, volume.name)

    def _read_masks(self, folder: Path) -> Volume:
        channels: np.ndarray | None = None
        affine = np.eye(4)
        for label in self.labels[1:]:
            for file in sorted(folder.iterdir()):
                if not any(fnmatch.fnmatchcase(stem_of(file), same_form(pattern)) for pattern in self.masks.get(label.name, ())):
                    continue
                mask = read_volume(file)
                if channels is None:
                    channels, affine = np.zeros(mask.array.shape, np.uint8), mask.affine
                if mask.array.shape != channels.shape or not np.allclose(mask.affine, affine, atol=1e-3):
                    raise InputError(f"{file} lies on another grid than the masks beside it: masks of one folder must share one.")
                channels[mask.array > 0] = label.index
        if channels is None:
            raise InputError(f"{folder} holds no mask of any of the labels: check ⟨label_map⟩.")
        return Volume(channels, affine, folder.parent.name)


def read_scheme(data: Path, label_map: str | None) -> LabelScheme:
    """The labels to train.

    Args:
        data: the folder of pairs; its ``dataset.json`` (nnU-Net, Decathlon) serves when nothing else is given.
        label_map: ``thorax`` for the paper's 17 labels from TotalSegmentator v2 maps, a JSON file
            ``{"aorta": 52, "ribs": [92, 93], "lung": ["lung_*"]}`` (voxel values, or file names of masks), or names in the order
            of the voxel values, ``aorta,heart`` being 1 and 2.

    Raises:
        InputError: no labels are given, or they cannot be understood.
    """
    if label_map == THORAX:
        return _paper_scheme()
    if label_map is None:
        folder = data if data.is_dir() else data.parent
        if not (folder / "dataset.json").is_file():
            raise InputError("Which labels do the label maps hold? Give ⟨label_map⟩: thorax, names in order, or a JSON file.")
        return _scheme(
            _dataset_labels(read_json(folder / "dataset.json", "The description"), folder / "dataset.json"), "dataset.json"
        )
    if label_map.endswith(".json"):
        return _scheme(read_json(Path(label_map), "The label map"), label_map)
    names = [name.strip() for name in label_map.split(",") if name.strip()]
    names = names[1:] if names and names[0] == BACKGROUND else names
    return _scheme({name: value for value, name in enumerate(names, start=1)}, "⟨label_map⟩")


def _paper_scheme() -> LabelScheme:
    values = {label.name: [int(v) for v in np.flatnonzero(label.index == CHANNEL_OF_ID)] for label in PAPER_LABELS[1:]}
    masks = {label.name: _PAPER_MASKS.get(label.name, [label.name]) for label in PAPER_LABELS[1:]}
    return LabelScheme(PAPER_LABELS, values, masks)


def _scheme(entries: object, source: str) -> LabelScheme:
    if not isinstance(entries, dict) or not entries:
        raise InputError(f'{source} must name labels with their voxel values, such as {{"aorta": 52}}.')
    values: dict[str, list[int]] = {}
    masks: dict[str, list[str]] = {}
    for name, given in entries.items():
        if name == BACKGROUND:
            continue
        items = given if isinstance(given, list) else [given]
        numbers = [item for item in items if isinstance(item, int) and not isinstance(item, bool)]
        patterns = [item for item in items if isinstance(item, str)]
        if not items or len(items) not in (len(numbers), len(patterns)):
            raise InputError(f"{source} gives '{name}' {given!r}: give voxel values, e.g. 52 or [92, 93], or names of mask files.")
        values[name], masks[name] = numbers, patterns or [name]
    if not 1 <= len(values) <= 255:
        raise InputError(f"{source} names {len(values)} labels: there must be 1 to 255.")
    taken = [value for several in values.values() for value in several]
    if twice := next((value for value in taken if taken.count(value) > 1), None):
        raise InputError(f"{source} gives the voxel value {twice} to two labels: every value belongs to one.")
    return LabelScheme(make_labels([BACKGROUND, *values]), values, masks)


def _dataset_labels(content: object, file: Path) -> dict[str, Any]:
    """``labels`` of a dataset.json: name → value in nnU-Net v2, value → name before."""
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, dict):
        raise InputError(f"{file} has no labels: give ⟨label_map⟩.")
    if all(key.isdigit() for key in labels):
        return {str(name): int(value) for value, name in labels.items() if int(value) > 0}
    return {name: value for name, value in labels.items() if name != "ignore" and value not in (0, "0")}


def _few(values: np.ndarray) -> str:
    shown = ", ".join(str(value) for value in values[:8])
    return shown + (", …" if len(values) > 8 else "")
