"""Answers of ``agg2exp whatif`` read back from their folders, such as those that another computer has made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..inference.segmentation import Segmented
from ..io.read import read_volume
from ..runs.explanation import Explanation
from ..system.json_files import read_json
from .edit import Edit
from .effects import Effects
from .effects_table import RECORD as EFFECTS_RECORD
from .effects_table import TABLE as EFFECTS_TABLE
from .effects_table import number_of, read_rows
from .outcome import COLUMNS, CT_AFTER, RECORD, SEGMENTATION_AFTER, TABLE, LabelChange, WhatIf


def read_what_if(folder: Path, result: Explanation) -> WhatIf:
    """One change of a CT, with what the result holds of the CT before it.

    Args:
        folder: of the answer.
        result: that was asked about.

    Raises:
        InputError: a file is missing or damaged.
    """
    run = _record(folder / RECORD)
    ct, drawn = read_volume(folder / CT_AFTER), read_volume(folder / SEGMENTATION_AFTER)
    asked = {key: value for key, value in run["edit"].items() if value is not None}
    labels = [
        LabelChange(row["label"], *(number_of(row[name]) for name in (*COLUMNS[1:3], *COLUMNS[4:])))
        for row in read_rows(folder / TABLE, COLUMNS)
    ]
    return WhatIf(
        Edit(**{**asked, "regions": tuple(asked["regions"])}),
        result.grid,
        ct.array,
        np.not_equal(ct.array, result.hu),
        Segmented(np.asarray(result.segmentation)),
        Segmented(drawn.array),
        tuple(labels),
        run,
    )


def read_removed_in_turn(folder: Path) -> Effects:
    """What removing each region did.

    Args:
        folder: ``RESULT/what_if/all``.

    Raises:
        InputError: a file is missing or damaged.
    """
    run = _record(folder / EFFECTS_RECORD)
    names = ("dice", "volume_change_percent", "mean_logit_change")
    rows, columns = tuple(run["labels"]), tuple(run["regions"])
    tables = np.full((len(names), len(rows), len(columns)), np.nan)
    for line in read_rows(folder / EFFECTS_TABLE, ("label", "removed", *names)):
        for table, name in zip(tables, names, strict=True):
            table[rows.index(line["label"]), columns.index(line["removed"])] = number_of(line[name])
    dice, volume, logit = tables
    return Effects(rows, columns, dice, volume, logit, str(run["fill"]), run)


def _record(path: Path) -> dict[str, Any]:
    found = read_json(path, "The record")
    if not isinstance(found, dict):
        raise InputError(f"{path} is not as agg2exp whatif wrote it: ask again.")
    return found
