"""The table of ``agg2exp cohort run``: one patient a line with the paths of CT, ground truth and further regions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..system.names import existing, id_problem, is_reserved, same_form
from .csv_lines import read_lines, require_columns
from .regions import parse_region

_SAFE = re.compile(r"[\w+()-][\w .+()-]*")


@dataclass(frozen=True)
class Entry:
    """One patient of the table.

    Attributes:
        patient: id, the name of the results folder.
        ct: CT file or DICOM folder.
        truth: ground truth, a file or ``FILE:names`` (see :func:`~.truth.read_truth`), or None.
        extra_rois: further regions, each as for ``--extra-rois``.
    """

    patient: str
    ct: str
    truth: str | None
    extra_rois: tuple[str, ...]


def read_entries(path: Path, check_files: bool = True) -> list[Entry]:
    """Read the table: columns ``patient,ct`` and, where wanted, ``truth`` and ``extra_rois`` (several separated by ``;``).

    Relative paths count from the table's folder; other columns (sex, age, …) are left for ``agg2exp cohort outliers --metadata``.

    Args:
        path: CSV.
        check_files: whether all paths must exist here; on a cluster the workers may see others.

    Raises:
        InputError: unreadable, a column is missing, a patient occurs twice or has no proper id, a file is missing.
    """
    header, lines = read_lines(path)
    require_columns(path, header, ["patient", "ct"])
    entries: dict[str, Entry] = {}
    folded: set[str] = set()
    missing: list[str] = []
    folder = path.resolve().parent
    for number, line in enumerate(lines, start=2):
        patient = same_form(line["patient"])
        if not _SAFE.fullmatch(patient) or patient.endswith((" ", ".")) or is_reserved(patient) or id_problem(patient):
            raise InputError(f"{path}, line {number}: '{patient}' cannot name a folder: use letters, digits, - and _ for patients.")
        if patient.casefold() in folded:
            raise InputError(f"{path}, line {number}: patient '{patient}' occurs twice: each may occur once.")
        if not line["ct"]:
            raise InputError(f"{path}, line {number}: patient '{patient}' has no CT.")
        folded.add(patient.casefold())
        truth = line.get("truth") or None
        regions = tuple(str(folder / part.strip()) for part in line.get("extra_rois", "").split(";") if part.strip())
        entry = Entry(patient, str(existing(folder / line["ct"])), str(folder / truth) if truth else None, regions)
        if check_files:
            if not Path(entry.ct).exists():
                missing.append(f"{entry.ct} (patient '{patient}')")
            for spec in (*((entry.truth,) if entry.truth else ()), *regions):
                parse_region(spec)
        entries[patient] = entry
    if missing:
        more = f" and {len(missing) - 1} more files are missing" if len(missing) > 1 else " is missing"
        raise InputError(f"{path}: {missing[0]}{more}: correct the table and start again.")
    return list(entries.values())
