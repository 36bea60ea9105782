"""Files that go to another computer together, with names that every system can hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ..io.regions import parse_region
from ..io.source_files import files_in, files_of
from .frames import fit_name


class Parcel:
    """Files that go together, each in a folder of its own since two may have the same name.

    Attributes:
        files: relative names and files.
    """

    def __init__(self) -> None:
        self.files: list[tuple[str, Path]] = []

    def add(self, path: Path) -> str:
        """Add a file with those that belong to it; returns its name in the parcel."""
        folder = str(len(self.files))
        if path.is_dir():
            self.files += [(f"{folder}/{name}", file) for name, file in _named(path, files_of(path))]
            return folder
        files = _named(path.parent, files_of(path))
        self.files += [(f"{folder}/{name}", file) for name, file in files]
        return f"{folder}/{files[0][0]}"

    def add_region(self, spec: str) -> str:
        """Add the file of a region; returns its spec with the name in the parcel."""
        parsed = parse_region(spec)
        least = f">={parsed.threshold:g}" if parsed.threshold is not None else ""
        names = f":{','.join(parsed.names)}" if parsed.names else ""
        return f"{self.add(parsed.path)}{least}{names}"


def ct_files(path: Path) -> tuple[list[tuple[str, Path]], str]:
    """The files of a CT with their relative names, and the relative name of the CT itself.

    Raises:
        InputError: it is not there, or a part of it lies in another folder.
    """
    if path.is_dir():
        own = fit_name(path.resolve().name)
        return [(f"{own}/{name}", file) for name, file in _named(path, files_in(path))], own
    files = _named(path.parent, files_of(path))
    return files, files[0][0]


def _named(folder: Path, files: Sequence[Path]) -> list[tuple[str, Path]]:
    """Files with their names below a folder.

    Raises:
        InputError: one lies elsewhere, where the others would look for it in vain.
    """
    try:
        return [("/".join(fit_name(part) for part in file.relative_to(folder).parts), file) for file in files]
    except ValueError:
        raise InputError(f"{files[0].name} keeps its voxels in another folder: save it as one file to send it.") from None
