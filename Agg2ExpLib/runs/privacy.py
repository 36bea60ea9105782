"""Takes the names of the files a run was given out of its sentences: they may name the patient.

Needed wherever somebody gave another patient id, which says that the files' names are not to be told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import InputError
from ..io.regions import parse_region
from ..io.source_files import files_in
from ..io.volume import SUFFIXES, stem_of
from ..system.json_files import shown

# A slice called 7 cannot be told from the number 7, and names nobody.
_SHORT = re.compile(r"\d{1,4}")


def private_names(ct: str, regions: Iterable[str] = (), others: Iterable[str] = ()) -> dict[str, str]:
    """What a run's sentences may not name, and the words in its place.

    Args:
        ct: file or DICOM folder.
        regions: each ``FILE`` or ``FILE:names``; the ground truth, too.
        others: further files (references, target mask).
    """
    names: dict[str, str] = {}
    path = Path(ct)
    if path.is_dir():
        for file in _files(path):
            for part in file.relative_to(path).parts:
                if not _SHORT.fullmatch(part):
                    names[part] = "a file of the CT"
    for spec in regions:
        try:
            file = parse_region(spec).path
        except InputError:
            file = Path(spec)
        _add(names, file, "the region file")
    for other in others:
        _add(names, Path(other), "a file given")
    _add(names, path, "the CT")
    names[stem_of(path)] = "the CT"
    return {name: words for name, words in names.items() if name.casefold() != "ct"}


def without_names(text: str, names: Mapping[str, str]) -> str:
    """The text with other words for the names, whatever their capitals; the longest first."""
    if not names:
        return text
    folded = {name.casefold(): words for name, words in names.items()}
    listed = sorted(filter(None, names), key=len, reverse=True)
    suffixes = "|".join(map(re.escape, SUFFIXES))
    pattern = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, listed))})({suffixes})?(?!\w)", re.IGNORECASE)
    return pattern.sub(lambda match: folded.get(match[1].casefold(), "a file"), text)


def _add(names: dict[str, str], path: Path, words: str) -> None:
    """A path in every way a sentence may give it."""
    for form in (path, path.absolute(), path.resolve()):
        names[shown(form)] = words
        if form.parent != Path("/") and str(form.parent) != ".":
            names[shown(form.parent)] = "its folder"
    names[shown(path.name)] = words


def _files(folder: Path) -> list[Path]:
    try:
        return files_in(folder)
    except InputError:
        return []
