"""The 3D sets of MedMNIST (doi:10.1038/s41597-022-01721-8) as they are released: ``.npz`` files with a split of their own."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..models.card_labels import MAX_LABELS
from .class_source import Case

INTENSITIES = (0.0, 255.0)  # stored as bytes
SETS = ("train", "val", "test")
_KEYS = tuple(f"{part}_{kind}" for part in SETS for kind in ("images", "labels"))
CITATION = "Yang J. et al., MedMNIST v2, Scientific Data 2023, doi:10.1038/s41597-022-01721-8, file {name}"
INTENDED_USE = (
    "Research on classifiers and their explanation: small volumes of the kind of {name}, with intensities from 0 to 255 and no "
    "scale in mm, as arrays or files with 1 mm voxels. Not for CT scans, and not for any clinical use."
)


class MedmnistSource:
    """Volumes of an ``.npz`` with ``train_images`` ``[n, x, y, z]``, ``train_labels`` ``[n, 1]`` and the same for val and test.

    Args:
        path: the file.
        names: of the classes, in the order of the numbers in the labels; ``class_0`` … where not given.

    Attributes:
        shape: of the volumes.

    Raises:
        InputError: the file is broken, not of this kind, or the names do not fit its labels.
    """

    output = "softmax"

    def __init__(self, path: Path, names: Sequence[str] = ()):
        self.name = path.name
        self._images, self._labels = _read(path)
        self.shape: tuple[int, int, int] = self._images["train"].shape[1:]
        count = int(max(labels.max() for labels in self._labels.values())) + 1
        if not 2 <= count <= MAX_LABELS:
            raise InputError(f"The labels of {path.name} tell {count} classes: from 2 to {MAX_LABELS} can be told apart.")
        if names and len(names) < count:
            raise InputError(f"{path.name} has {count} classes, but {len(names)} names are given: name all with ⟨classes⟩.")
        self.classes = tuple(names) or tuple(f"class_{k}" for k in range(count))
        self.targets = self._targets("train")

    def _targets(self, part: str) -> np.ndarray:
        return np.eye(len(self.classes), dtype=np.float32)[self._labels[part]]

    def volume(self, number: int) -> np.ndarray:
        """See :class:`~Agg2ExpLib.training.class_source.ClassSource`."""
        return self._images["train"][number].astype(np.float32)

    def validation(self) -> Iterator[Case]:
        """The validation set."""
        return self._cases("val", "validation")

    def test(self) -> Iterator[Case]:
        """The test set."""
        return self._cases("test", "test")

    def _cases(self, part: str, group: str) -> Iterator[Case]:
        for number, (image, target) in enumerate(zip(self._images[part], self._targets(part), strict=True)):
            yield Case(group, f"{group} {number}", image.astype(np.float32), target)

    def describe(self) -> dict[str, Any]:
        """The file and its split."""
        counts = ", ".join(f"{len(self._labels[part])} {part}" for part in SETS)
        data = f"{self.name}: {'x'.join(map(str, self.shape))} voxels, its own split ({counts})"
        return {"data": [data], "citation": CITATION.format(name=self.name), "intended_use": INTENDED_USE.format(name=self.name)}


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    try:
        # As an archive first: np.load takes an .npy for what it is, and text for pickled data.
        with zipfile.ZipFile(path) as archive, np.load(path, allow_pickle=False) as file:
            missing = next((key for key in _KEYS if f"{key}.npy" not in archive.namelist()), None)
            arrays = {} if missing else {key: file[key] for key in _KEYS}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, KeyError) as error:
        raise InputError(f"{path.name} cannot be read as an .npz file ({error}): fetch it again.") from error
    if missing:
        raise InputError(f"{path.name} lacks {missing}: give an .npz of MedMNIST, with train, val and test.")
    images = {part: arrays[f"{part}_images"] for part in SETS}
    labels = {part: arrays[f"{part}_labels"] for part in SETS}
    for part in SETS:
        shape = images[part].shape
        if len(shape) != 4 or images[part].dtype != np.uint8 or shape[1:] != images["train"].shape[1:]:
            raise InputError(
                f"{part}_images of {path.name} is {images[part].dtype} {list(shape)}: bytes [n, x, y, z] of one size are needed."
            )
        if (
            labels[part].shape not in ((shape[0],), (shape[0], 1))
            or labels[part].dtype.kind not in "iu"
            or (labels[part] < 0).any()
        ):
            raise InputError(
                f"{part}_labels of {path.name} is {labels[part].dtype} {list(labels[part].shape)}: it must hold one class for each "
                "volume."
            )
        if not shape[0]:
            raise InputError(f"{part}_images of {path.name} holds no volume: give an .npz of MedMNIST, with train, val and test.")
        labels[part] = labels[part].reshape(-1).astype(int)
    return images, labels
