"""A counterfactual's folder, read back; CTs and differences stay on the disk until they are used."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..io.read import read_map, read_volume
from ..models.labels import make_labels
from ..roi_importance.tables import read_tidy
from ..runs.result_checks import checked_run
from ..runs.results import COUNTERFACTUAL, CT_FILE, RUN_FILE, SEGMENTATION_FILE, TARGET_MASK_FILE, TIDY_FILE, extra_roi_path
from ..system.json_files import read_json
from .choices import LESS, MORE
from .outcome import (
    CURVE_COLUMNS,
    CURVE_FILE,
    DIFFERENCE,
    RECONSTRUCTION_FILE,
    Counterfactual,
    Step,
    drawing_path,
    frame_path,
)


def is_counterfactual(folder: str | Path) -> bool:
    """Whether a folder holds a counterfactual, by its record."""
    path = Path(folder) / RUN_FILE
    if not path.is_file():
        return False
    run = read_json(path, "The record")
    return isinstance(run, dict) and run.get("task") == COUNTERFACTUAL


def read_counterfactual(folder: str | Path) -> Counterfactual:
    """Read a folder that ``agg2exp counterfactual`` wrote.

    Raises:
        InputError: it is none, or a file in it is missing or damaged.
    """
    folder = Path(folder)
    if not is_counterfactual(folder):
        raise InputError(f"{folder} is no counterfactual: give the folder that agg2exp counterfactual wrote.")
    run = checked_run(read_json(folder / RUN_FILE, "The record"), folder / RUN_FILE)
    entries = run["labels"]
    labels = make_labels(
        [entry["name"] for entry in entries],
        {entry["name"]: entry["color"] for entry in entries},
        {entry["name"]: entry["group"] for entry in entries},
    )
    ct = read_volume(folder / CT_FILE)
    drawn = (folder / SEGMENTATION_FILE).is_file()
    found = [name for name in (LESS, MORE) if (folder / DIFFERENCE / f"{name}.nrrd").is_file()]
    table = _told(folder / RECONSTRUCTION_FILE)
    target = folder / TARGET_MASK_FILE
    return Counterfactual(
        ct.grid,
        labels,
        str(run["target"]["name"]),
        ct.array,
        read_volume(folder / SEGMENTATION_FILE).array if drawn else None,
        _steps(folder, drawn),
        {name: read_map(folder / DIFFERENCE / f"{name}.nrrd").array for name in found},
        {name: read_map(folder / DIFFERENCE / f"{name}_path.nrrd").array for name in found},
        read_tidy(folder / TIDY_FILE, tuple(label.name for label in labels))[1],
        table.get("dice", {}),
        table.get("hu_error", {}),
        {name: read_volume(extra_roi_path(folder, name)).array > 0 for name in run.get("extra_rois", ())},
        read_volume(target).array > 0 if target.is_file() else None,
        run,
    )


def _steps(folder: Path, drawn: bool) -> tuple[Step, ...]:
    steps = []
    for number, row in enumerate(_rows(folder / CURVE_FILE, CURVE_COLUMNS)):
        labels = read_volume(drawing_path(folder, number)).array.astype(np.uint8, copy=False) if drawn else None
        volumes = {name.removesuffix("_ml"): _number(value) for name, value in row.items() if name not in CURVE_COLUMNS}
        amount, output, probability, change, mean = (_number(row[name]) for name in CURVE_COLUMNS[1:])
        hu = read_map(frame_path(folder, number)).array
        steps.append(Step(amount, hu, labels, output, probability, change / 100, mean, volumes))
    return tuple(steps)


def _told(path: Path) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for row in _rows(path, ("what", "name", "value")):
        found.setdefault(row["what"], {})[row["name"]] = _number(row["value"])
    return found


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error}): make the counterfactual again.") from error
    if not rows or any(row.get(column) is None for row in rows for column in columns):
        raise InputError(f"{path} is not as agg2exp counterfactual wrote it: make it again.")
    return rows


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
