"""Finds CTs with their classes in a table or in a folder for each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..io.volume import SUFFIXES, stem_of
from .tables import read_cases

_NOT_CLASSES = ("ct", "patient")
_LAYOUTS = "give a folder for each class with its CTs, or a CSV with the columns ct and class (or ct and one of 0 and 1 a class)"


@dataclass(frozen=True)
class Labelled:
    """CTs with their classes.

    Attributes:
        classes: in channel order.
        output: ``softmax`` where each CT has one class, ``sigmoid`` where each class is there or not.
        patients: of each CT, by which cases are kept out of training; the CT's own name where nobody said.
        cts: files or DICOM folders.
        targets: float32 ``[cts, classes]``, 0 or 1.
    """

    classes: tuple[str, ...]
    output: str
    patients: tuple[str, ...]
    cts: tuple[Path, ...]
    targets: np.ndarray


def find_labelled(data: Path) -> Labelled:
    """CTs of a CSV (paths relative to it) or of a folder that has one folder for each class.

    A CSV has the column ``ct`` and either ``class``, a name for each CT, or a column of 0 and 1 for each class; with the column
    ``patient`` the CTs of a patient stay together.

    Raises:
        InputError: nothing found, a path that does not exist, or a truth that makes no sense.
    """
    if data.is_file():
        return _of_table(data)
    if data.is_dir():
        return _of_folders(data)
    raise InputError(f"There is no folder or table {data}: {_LAYOUTS}.")


def _of_table(table: Path) -> Labelled:
    columns, rows = read_cases(table, ["ct"], _LAYOUTS)
    cts = [Path(row["ct"]) for row in rows]
    patients = tuple(row.get("patient") or row["ct"] for row in rows)
    if "class" in columns:
        names = [row["class"] for row in rows]
        if empty := next((row["ct"] for row, name in zip(rows, names, strict=True) if not name), None):
            raise InputError(f"{table.name} gives {empty} no class: name one.")
        return _one_each(names, patients, cts, table.name)
    classes = [column for column in columns if column not in _NOT_CLASSES]
    if not classes:
        raise InputError(f"{table.name} has no class: {_LAYOUTS}.")
    return Labelled(tuple(classes), "sigmoid", patients, tuple(cts), _zeros_and_ones(rows, classes, table.name))


def _zeros_and_ones(rows: Sequence[dict[str, str]], classes: Sequence[str], source: str) -> np.ndarray:
    targets = np.zeros((len(rows), len(classes)), np.float32)
    for number, row in enumerate(rows):
        for k, name in enumerate(classes):
            value = row[name]
            if value not in ("0", "1", "0.0", "1.0"):
                raise InputError(
                    f"{source} has {value!r} in the column {name} for {row['ct']}: each column beside ct and patient is a class "
                    "with 0 or 1."
                )
            targets[number, k] = float(value)
    return targets


def _of_folders(data: Path) -> Labelled:
    names, cts = [], []
    for folder in sorted(path for path in data.iterdir() if path.is_dir() and not path.name.startswith(".")):
        for ct in sorted(folder.iterdir()):
            if not ct.name.startswith(".") and (ct.is_dir() or ct.name.lower().endswith(SUFFIXES)):
                names.append(folder.name)
                cts.append(ct)
    if not cts:
        raise InputError(f"{data} holds no folder with CTs: {_LAYOUTS}.")
    patients = tuple(f"{name}/{ct.name if ct.is_dir() else stem_of(ct)}" for name, ct in zip(names, cts, strict=True))
    return _one_each(names, patients, cts, data.name)


def _one_each(names: Sequence[str], patients: tuple[str, ...], cts: Sequence[Path], source: str) -> Labelled:
    classes = sorted(set(names))
    if len(classes) < 2:
        raise InputError(
            f"All CTs of {source} are of the class '{classes[0]}', so nothing can be learnt: add CTs of another class."
        )
    targets = np.eye(len(classes), dtype=np.float32)[[classes.index(name) for name in names]]
    return Labelled(tuple(classes), "softmax", patients, tuple(cts), targets)
