"""The importance matrix of an existing result with further regions of interest, without running the model again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..io.regions import read_all_regions
from ..io.write import write_volume
from ..monitor import Monitor
from ..roi_importance.kept_noise import KeptNoise
from ..roi_importance.limit import with_limits, without_sampling
from ..roi_importance.matrix import LIMIT_OF, ImportanceMatrix, Regions, RegionSums, importance_matrix
from ..roi_importance.tables import write_tidy, write_wide
from ..system.files import OutputFolder, write_json
from .privacy import private_names, without_names
from .results import EXTRA_ROIS, RUN_FILE, TIDY_FILE, WIDE_FILE, Results, check_region_files, extra_roi_path

_OF_SAMPLES = ("standard_error", *LIMIT_OF.values())  # what cannot be told from the maps alone


def add_regions(results: Results, extra: Sequence[tuple[str, np.ndarray]]) -> ImportanceMatrix:
    """The matrix of a result with more columns.

    Monte-Carlo errors and shares for endless samples are kept for the columns that the result has; those of new ones are told from
    what the result keeps of its noise, and NaN where it keeps none (KernelSHAP, or a result of an older version).

    Args:
        results: with the maps.
        extra: name and boolean mask ``[x, y, z]`` on the model grid of each new region; may overlap others.
    """
    masks = [(name, volume.array > 0) for name, volume in results.extra_rois().items()] + list(extra)
    regions = extended_regions(results, masks)
    sums = {label: regions.sums(results.attribution(label).array) for label in results.explained}
    return extended_matrix(results.importance(), regions, sums, results.noise())


def extended_regions(results: Results, extra: Sequence[tuple[str, np.ndarray]]) -> Regions:
    """The regions of a result's own labels with these as the extra ones (all of them, also those that it has already)."""
    return Regions(results.segmentation().array, [label.name for label in results.labels], extra)


def extended_matrix(
    before: ImportanceMatrix, regions: Regions, sums: Mapping[str, RegionSums], noise: Mapping[str, KeptNoise]
) -> ImportanceMatrix:
    """The matrix over other regions; errors and limits as for :func:`add_regions`.

    Args:
        before: gives the errors.
        regions: the columns.
        sums: for each explained label what ``regions.sums`` gave for its map.
        noise: what is kept of the labels' noise samples, as far as it is.
    """
    matrix = importance_matrix(regions, dict(sums))
    if (before.standard_error == 0).all():  # the method has no Monte-Carlo error
        return without_sampling(replace(matrix, standard_error=np.zeros(matrix.mass.shape)))
    rows = {label: noise[label].row(regions, sums[label]) for label in matrix.rows if label in noise}
    errors = matrix.standard_error.copy()
    for label, row in rows.items():
        errors[matrix.rows.index(label)] = row.standard_error
    matrix = with_limits(replace(matrix, standard_error=errors), rows)
    arrays = {name: getattr(matrix, name).copy() for name in _OF_SAMPLES}
    for j, column in enumerate(matrix.columns):
        if column in before.columns:
            at = before.columns.index(column)
            for name, array in arrays.items():
                array[:, j] = [getattr(before, name)[before.rows.index(row), at] for row in matrix.rows]
    return replace(matrix, **arrays)


def recompute_importance(
    result: Path, output: Path, extra_rois: Sequence[str], patient_id: str | None, overwrite: bool, monitor: Monitor
) -> Path:
    """Write a copy of a results folder with further regions; unchanged files are hard links where the disk allows.

    Args:
        result: existing results folder.
        output: results folder to write.
        extra_rois: ``FILE`` or ``FILE:name1,name2`` each.
        patient_id: id in the tables, or None to keep it.
        overwrite: whether ``output`` may be replaced.
        monitor: is told what is worth knowing about the regions.

    Returns:
        The folder written.

    Raises:
        InputError: for a folder that is no result, or a region that cannot be used.
    """
    results = Results.open(result)
    if not results.explained:
        raise InputError(f"{result} holds no attribution maps: make them with agg2exp explain first.")
    if Path(result).resolve() in (output.resolve(), *output.resolve().parents):
        raise InputError("The output must not be the result itself or lie in it: choose another ⟨output⟩.")
    grid = results.segmentation().grid
    before = results.run.get("extra_rois", ())
    taken = [label.name for label in (*results.labels, *results.classes)]
    added, warnings = read_all_regions(extra_rois, grid, taken, before)
    check_region_files([*before, *(name for name, _ in added)])
    for warning in warnings:
        monitor.notice(warning)
    folder = OutputFolder(output, overwrite)
    try:
        shutil.copytree(result, folder.temporary, copy_function=_link, dirs_exist_ok=True, ignore=shutil.ignore_patterns("views"))
        (folder.temporary / EXTRA_ROIS).mkdir(exist_ok=True)
        for name, mask in added:
            write_volume(extra_roi_path(folder.temporary, name), mask.astype(np.uint8), grid.affine, compress=True)
        matrix = add_regions(results, added)
        patient = patient_id or results.patient
        write_tidy(folder.temporary / TIDY_FILE, matrix, patient)
        write_wide(folder.temporary / WIDE_FILE, matrix, patient)
        run = {**results.run, "patient": patient, "extra_rois": list(matrix.extra)}
        run["notices"] = [*run.get("notices", ()), *warnings]
        if patient_id:
            ct_name = (run.get("ct") or {}).get("name")
            private = private_names(ct_name or "ct", extra_rois)
            run["ct"] = {**(run.get("ct") or {}), "name": None}
            run["notices"] = [without_names(notice, private) for notice in run["notices"]]
        write_json(folder.temporary / RUN_FILE, run)
        return folder.publish()
    except OSError as error:
        # copytree gathers what went wrong in its first argument alone
        raise InputError(
            f"Cannot write {output} ({error.strerror or 'copying failed'}): make room or choose another ⟨output⟩."
        ) from error
    finally:
        folder.discard()


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
