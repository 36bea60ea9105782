"""Finds CTs with their label maps in a folder or a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..io.volume import stem_of
from .tables import read_cases

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
_CT_NAMES, _MAP_NAMES = ("ct", "image", "img"), ("labels", "label", "segmentation", "seg", "mask")


@dataclass(frozen=True)
class Pair:
    """A CT and its label map, or the folder with one mask file a structure."""

    name: str
    ct: Path
    labels: Path


def find_pairs(data: Path) -> list[Pair]:
    """Pairs in a CSV (columns ``ct`` and ``labels``, paths relative to it) or a folder in one of these layouts:

    - ``imagesTr/`` and ``labelsTr/`` (nnU-Net, Medical Segmentation Decathlon) or ``images/`` and ``labels/``, files of one name;
    - a folder for each case with a CT (``ct``, ``image``) and a label map (``labels``, ``segmentation``, …), or with
      ``segmentations/`` of one mask a structure (TotalSegmentator).

    Raises:
        InputError: nothing found, a CT without its label map, or a case named twice.
    """
    if data.is_file():
        pairs = _pairs_of_table(data)
    elif data.is_dir():
        pairs = _pairs_of_folders(data) or _pairs_of_cases(data)
    else:
        raise InputError(f"There is no folder or table {data}: give CTs with their label maps.")
    if not pairs:
        raise InputError(
            f"{data} holds no CT with a label map: give imagesTr and labelsTr, a folder for each case with ct and labels, "
            "or a CSV with the columns ct and labels."
        )
    names = [pair.name for pair in pairs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"{data} names the case '{twice}' twice: give every case a name of its own.")
    return pairs


def _pairs_of_table(table: Path) -> list[Pair]:
    _, rows = read_cases(table, ["ct", "labels"], "it must have ct and labels")
    return [Pair(row.get("patient") or stem_of(row["ct"]), Path(row["ct"]), Path(row["labels"])) for row in rows]


def _pairs_of_folders(data: Path) -> list[Pair]:
    for images, labels in (("imagesTr", "labelsTr"), ("images", "labels")):
        if not (data / images).is_dir():
            continue
        maps = {stem_of(path): path for path in _volumes(data / labels)}
        pairs = []
        for ct in _volumes(data / images):
            name = stem_of(ct)
            name = name[: -len("_0000")] if name.endswith("_0000") and name not in maps else name
            if name not in maps:
                raise InputError(f"{ct} has no label map of the name {name} in {data / labels}: add it or remove the CT.")
            pairs.append(Pair(name, ct, maps[name]))
        return pairs
    return []


def _pairs_of_cases(data: Path) -> list[Pair]:
    pairs = []
    for case in sorted(path for path in data.iterdir() if path.is_dir()):
        files = {stem_of(path).casefold(): path for path in _volumes(case)}
        ct = next((files[name] for name in _CT_NAMES if name in files), None)
        labels = next((files[name] for name in _MAP_NAMES if name in files), None)
        if labels is None and (case / "segmentations").is_dir():
            labels = case / "segmentations"
        if ct and labels:
            pairs.append(Pair(case.name, ct, labels))
        elif ct:
            raise InputError(f"{case} has a CT but no label map ({', '.join(_MAP_NAMES)} or segmentations/): add it or remove it.")
    return pairs


def _volumes(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIXES) and not path.name.startswith("."))
