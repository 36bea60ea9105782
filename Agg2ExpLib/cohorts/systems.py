"""Second-level aggregation: labels joined into anatomical systems, extra regions into pathologies."""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..models.labels import BACKGROUND, CLASS_GROUP, GROUP_COLORS, OTHER_GROUP, PATHOLOGY_GROUP, Label, group_color
from ..system.json_files import read_json
from .matrices import VALUES, CohortMatrices


def by_system(cohort: CohortMatrices) -> CohortMatrices:
    """The cohort with systems as rows and columns.

    ``S[A, B] = mean over the labels a of system A that the patient has of Σ_{b in B} E[a, b]``: how much of an average label of A
    falls into B. Extra regions form the column "pathologies"; they may overlap the labels, and are outside the rows' sum.
    The classes of a classifier are one row, "classes". Only mass and its signed parts are joined; sizes and enrichment are not.
    """
    system = {label.name: label.group for label in cohort.labels}
    system |= dict.fromkeys(cohort.extra, PATHOLOGY_GROUP)
    found = list(dict.fromkeys(system[name] for name in cohort.columns))
    order = [name for name in GROUP_COLORS if name in found and name not in (BACKGROUND, PATHOLOGY_GROUP)]
    order += [name for name in found if name not in GROUP_COLORS]
    own = [*order, *(name for name in (BACKGROUND,) if name in found)]
    columns = [*own, *(name for name in (PATHOLOGY_GROUP,) if name in found)]
    of_row = [system.get(row, CLASS_GROUP) for row in cohort.rows]
    rows = [name for name in (*own, *({CLASS_GROUP} - set(own))) if name in of_row]
    shape = (len(cohort.patients), len(rows), len(columns))
    values = {name: np.full(shape, np.nan) for name in VALUES}
    for key in ("mass", "positive_mass", "negative_mass"):
        array = cohort.values[key]
        for j, column in enumerate(columns):
            inside = [index for index, name in enumerate(cohort.columns) if system[name] == column]
            part = array[:, :, inside]
            # a region that a patient lacks adds nothing; a row that it lacks stays undefined
            joined = np.where(np.isfinite(part).any(axis=2), np.nansum(part, axis=2), np.nan)
            for i, row in enumerate(rows):
                mine = joined[:, [index for index, name in enumerate(of_row) if name == row]]
                count = np.isfinite(mine).sum(axis=1)
                total = np.nansum(mine, axis=1)
                values[key][:, i, j] = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    labels = tuple(Label(name, index, group_color(name), name) for index, name in enumerate(own))
    extra = tuple(name for name in columns if name == PATHOLOGY_GROUP)
    dice = np.full((len(cohort.patients), len(rows)), np.nan)
    voxels = np.full((len(cohort.patients), len(columns)), np.nan)
    return replace(
        cohort, rows=tuple(rows), columns=tuple(columns), values=values, roi_voxels=voxels, extra=extra, labels=labels, dice=dice
    )


def with_systems(cohort: CohortMatrices, path: Path) -> CohortMatrices:
    """The cohort with systems from a JSON file ``{"lung_upper_lobe_left": "lungs", …}``; labels not named keep theirs.

    Raises:
        InputError: it cannot be read or names an unknown label.
    """
    content = read_json(path, "The file of systems")
    if not isinstance(content, dict) or not all(isinstance(value, str) and value.strip() for value in content.values()):
        raise InputError(f'{path} must be a JSON object of label and system, e.g. {{"heart": "cardiovascular"}}.')
    names = [label.name for label in cohort.labels]
    for name in content:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            raise InputError(
                f"{path} names the label '{name}', which the cohort lacks" + (f": is it '{near[0]}'?" if near else ".")
            )
    taken = {BACKGROUND, PATHOLOGY_GROUP}
    if bad := [value for name, value in content.items() if value in taken and name != value]:
        raise InputError(f"{path}: the system '{bad[0]}' is kept for regions that are no organ: choose another name.")
    labels = tuple(replace(label, group=content.get(label.name, label.group or OTHER_GROUP)) for label in cohort.labels)
    return replace(cohort, labels=labels)
