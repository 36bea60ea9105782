"""What a process that does several jobs need not read again: the last models and the last CT."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from ..io.read import read_ct
from ..io.volume import Volume
from ..models.model import Model, load_model

_T = TypeVar("_T")
Stamp = tuple[tuple[str, int, int], ...]
# More files than a scan or a model folder has are not looked at one by one.
_MOST_FILES = 5000


class Kept:
    """Reads a model or a CT, and gives the same one again as long as its files have not changed.

    Only the last of each is kept. A run that reads a single job makes one of its own and forgets it.
    """

    def __init__(self) -> None:
        self._model: tuple[object, Model] | None = None
        self._segmenter: tuple[object, Model] | None = None
        self._autoencoder: tuple[object, Model] | None = None
        self._ct: tuple[object, Volume] | None = None

    def model(self, weights: str, card: str | None, **variant: object) -> Model:
        """As :func:`~Agg2ExpLib.models.model.load_model`.

        Raises:
            InputError: see there.
        """
        self._model = self._read(self._model, weights, card, variant)
        return self._model[1]

    def segmenter(self, weights: str) -> Model:
        """As :meth:`model`, for the model that draws a classifier's regions.

        Raises:
            InputError: see there.
        """
        self._segmenter = self._read(self._segmenter, weights, None, {})
        return self._segmenter[1]

    def autoencoder(self, weights: str) -> Model:
        """As :meth:`model`, for the autoencoder in whose latents a CT is moved.

        Raises:
            InputError: see there.
        """
        self._autoencoder = self._read(self._autoencoder, weights, None, {})
        return self._autoencoder[1]

    def _read(
        self, before: tuple[object, Model] | None, weights: str, card: str | None, variant: Mapping[str, object]
    ) -> tuple[object, Model]:
        # A card, a bundle's configuration or nnU-Net's plans may lie beside a file of weights or a folder, or above it.
        around = {folder.resolve() for folder in list(Path(weights).parents)[: 3 if Path(weights).is_file() else 1]}
        beside = tuple(stamp(file) for folder in sorted(around) for file in sorted(folder.glob("*.json")))
        files = (stamp(weights), stamp(card), beside)
        key = (weights, card, tuple(sorted(variant.items())), files) if files[0] is not None else None
        return _again(before, key, lambda: load_model(weights, card, **variant))  # type: ignore[arg-type]

    def ct(self, path: str) -> Volume:
        """As :func:`~Agg2ExpLib.io.read.read_ct`.

        Raises:
            InputError: see there.
        """
        files = stamp(path)
        self._ct = _again(self._ct, (path, files) if files is not None else None, lambda: read_ct(Path(path)))
        return self._ct[1]

    @property
    def holds(self) -> bool:
        """Whether there is anything to forget."""
        return any(kept is not None for kept in (self._model, self._segmenter, self._autoencoder, self._ct))

    def release(self, model: bool = True) -> None:
        """Forget everything, or the CT alone."""
        self._ct = None
        if model:
            self._model = self._segmenter = self._autoencoder = None


def stamp(path: str | Path | None) -> Stamp | None:
    """Names, sizes and times of the files of a path, by which a change is seen; None where nothing can be told.

    Args:
        path: a file, or a folder with everything in it.
    """
    if path is None:
        return None
    try:
        found = []
        for entry in [Path(path), *(Path(path).rglob("*") if Path(path).is_dir() else ())]:
            status = entry.stat()
            found.append((str(entry), status.st_mtime_ns, status.st_size))
            if len(found) > _MOST_FILES:
                return None
    except OSError:
        return None
    return tuple(sorted(found))


def _again(before: tuple[object, _T] | None, key: object, read: Callable[[], _T]) -> tuple[object, _T]:
    """What was read before under the same key; without a key it is read anew."""
    if before is not None and key is not None and before[0] == key:
        return before
    return key, read()
