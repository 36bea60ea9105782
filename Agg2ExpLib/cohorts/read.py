"""Reading a cohort from tables (tidy or wide, one patient or many) and results folders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from ..io.csv_lines import read_lines
from ..runs.results import RUN_FILE, TIDY_FILE, Results
from .combine import combine
from .matrices import CohortMatrices, PatientMatrix
from .settings import settings_of
from .tidy import read_tidy_patients
from .wide import is_wide, read_dice, read_wide_patients

# What a folder of a cohort holds: how it was made, and the results of every patient.
RECORD = "cohort.json"
PATIENTS = "patients"
DICE_FILE = "dice.csv"


def read_cohort(
    sources: Iterable[str | Path],
    extra_rois: Iterable[str] = (),
    mixed_models: bool = False,
    dice: str | Path | None = None,
) -> CohortMatrices:
    """Read a cohort.

    Args:
        sources: tables (tidy as in the results folder, or wide as the paper's), results folders, folders of results folders, and
            folders that ``agg2exp cohort run`` wrote.
        extra_rois: names of regions that are no labels of the model, where the tables do not tell.
        mixed_models: accept results of different weights in one cohort.
        dice: table of Dice (columns ``patient,label,dice``, or ``<label>_dice``), to add to what the sources hold.

    Returns:
        The cohort, patients sorted by id, so that the order of ``sources`` does not matter.

    Raises:
        InputError: a source is missing or no such table, a patient occurs twice, values are missing or wrong, label sets or models
            differ.
    """
    patients = read_patients(sources)
    if dice is not None:
        patients = _with_dice(patients, Path(dice))
    return combine(patients, tuple(extra_rois), mixed_models)


def read_patients(sources: Iterable[str | Path]) -> list[PatientMatrix]:
    """The patients of :func:`read_cohort` as they were read.

    Raises:
        InputError: a source is missing or no such table.
    """
    paths = [Path(source) for source in sources]
    if not paths:
        raise InputError("A cohort needs at least one table or results folder.")
    missing = [path for path in paths if not path.exists()]
    if missing:
        more = f" (nor {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise InputError(f"There is no file or folder {missing[0]}{more}: check the path.")
    patients: list[PatientMatrix] = []
    for path in paths:
        patients += _read_folder(path) if path.is_dir() else _read_table(path)
    return patients


def _read_table(path: Path) -> list[PatientMatrix]:
    header, lines = read_lines(path)
    if is_wide(header):
        return read_wide_patients(path, header, lines)
    return read_tidy_patients(path, header, lines)


def _read_folder(folder: Path) -> list[PatientMatrix]:
    if (folder / RUN_FILE).is_file():
        return [_read_result(folder)]
    base = folder / PATIENTS if (folder / PATIENTS).is_dir() else folder
    # Folders whose names begin with a dot are unfinished.
    inner = sorted(path.parent for path in base.glob(f"*/{RUN_FILE}") if not path.parent.name.startswith("."))
    if not inner:
        raise InputError(f"{folder} holds no results of Agg2Exp: give a results folder, a folder of them, or a table.")
    return [_read_result(path) for path in inner]


def _read_result(folder: Path) -> PatientMatrix:
    results = Results.open(folder)
    table = folder / TIDY_FILE
    if not table.is_file():
        raise InputError(f"{folder} holds no {TIDY_FILE}: it is a segmentation without an explanation.")
    read = read_tidy_patients(table, *read_lines(table))
    if len(read) != 1 or read[0].patient != results.patient:
        raise InputError(f"{table} is not the table of patient '{results.patient}' that {RUN_FILE} names: was it replaced?")
    run = results.run
    scores = read_dice(folder / DICE_FILE).get(results.patient, {}) if (folder / DICE_FILE).is_file() else {}
    return replace(
        read[0],
        folder=folder,
        weights=run.get("weights", {}).get("sha256"),
        labels=results.labels,
        extra=tuple(run.get("extra_rois", ())),
        dice=scores,
        settings={**settings_of(run), **read[0].settings},
        ct=(run.get("ct") or {}).get("sha256"),
    )


def _with_dice(patients: list[PatientMatrix], path: Path) -> list[PatientMatrix]:
    scores = read_dice(path)
    if not any(patient.patient in scores for patient in patients):
        raise InputError(f"None of the patients in {path} belongs to the cohort: check the column 'patient'.")
    return [replace(patient, dice={**patient.dice, **scores.get(patient.patient, {})}) for patient in patients]
