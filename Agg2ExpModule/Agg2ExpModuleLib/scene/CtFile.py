"""The CT of the scene as a file for child processes, which is written anew only when the CT has changed."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

from ..engine.WorkFolder import WorkFolder
from .SceneVolumes import fileNameOf, volumeAffine, writeVolumeSteps


class CtFile:
    """Keeps the file of one CT, in a private folder, until :meth:`forget`.

    A process that stays alive knows the file again by its name, size and time, and need not read it twice.
    """

    def __init__(self) -> None:
        self._work: WorkFolder | None = None
        self._key: tuple[object, ...] = ()
        self._path: Path | None = None

    def steps(self, node: Any, name: str = "") -> Generator[str, None, Path]:
        """Write the file where it is not there yet, a few slices in each step.

        Args:
            node: a CT.
            name: of the file; by default the CT's.

        Returns:
            The file.

        Raises:
            InputError: see ``checkVolume``.
            OSError: it cannot be written.
        """
        image = node.GetImageData()
        key = (node.GetID(), image.GetMTime() if image is not None else 0, volumeAffine(node).tobytes())
        file = f"{fileNameOf(name or node.GetName())}.nrrd"
        if self._path is not None and key == self._key and self._path.name == file and self._path.is_file():
            return self._path
        self.forget()
        self._work = WorkFolder()
        path = self._work.path / file
        yield from writeVolumeSteps(node, path)
        self._path, self._key = path, key
        return path

    def holds(self, node: Any) -> bool:
        """Whether the file is of this node."""
        return self._path is not None and node.GetID() == self._key[0]

    def forget(self) -> None:
        """Delete it."""
        work, self._work, self._path = self._work, None, None
        if work is not None:
            work.remove()
