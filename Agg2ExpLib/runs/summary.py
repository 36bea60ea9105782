"""A result in words, for the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..models.labels import BACKGROUND
from .results import Results, told_percent

if TYPE_CHECKING:
    from ..roi_importance.matrix import ImportanceMatrix
    from .explanation import Explanation


def summarise(results: Results, count: int = 3) -> str:
    """Which regions matter most for each explained label, with the error of each share.

    Shares are equation 7 for endless samples where that is known, else of the map; the background is
    told apart, since it takes most of the mass by its size alone.
    """
    return f"{_explained_in_words(results.run, results.importance(), count)}\nResults: {results.folder}"


def summarise_explanation(found: Explanation) -> str:
    """An explanation in memory in words: as :func:`summarise`, or the volumes of its labels where nothing was explained."""
    return _volumes_in_words(found.run) if found.matrix is None else _explained_in_words(found.run, found.matrix, 3)


def _explained_in_words(run: Mapping[str, Any], matrix: ImportanceMatrix, count: int) -> str:
    seconds = run["seconds"]["total"]
    method = run["parameters"]["method"]
    parameters = run["parameters"]
    counts = [
        (parameters[word], word) for word in ("samples", "steps", "coalitions") if word in parameters and method != "gradient"
    ]
    if run.get("samples"):
        few, many = min(run["samples"].values()), max(run["samples"].values())
        counts = [(f"{few} to {many}" if few != many else few, "samples")]
    samples = "".join(f", {count_of} {word if count_of != 1 else word[:-1]}" for count_of, word in counts)
    lines = [f"{run['patient']}: {method}{samples} on {run['device']}, {run['precision']}, {seconds:.0f} s"]
    if run.get("classes"):
        lines.append(textwrap.fill(f"  says {told_classes(run['classes'])}", 110, subsequent_indent="    "))
    width = max(len(name) for name in matrix.rows)
    for index, row in enumerate(matrix.rows):
        parts = []
        for region, _ in matrix.strongest(row, count):
            column = matrix.columns.index(region)
            share, error = matrix.best()[index, column], matrix.best("standard_error")[index, column]
            precision = f" ± {100 * error:.1f}" if np.isfinite(error) and error > 0 else ""
            name = "itself" if region == row else region
            parts.append(f"{name} {100 * share:.1f}{precision} %")
        background = ""
        if BACKGROUND in matrix.columns:
            background = f"   (background {100 * matrix.best()[index, matrix.columns.index(BACKGROUND)]:.0f} %)"
        if row in run.get("samples", {}):
            background += f"   {run['samples'][row]} samples"
        lines.append(f"  {row:{width}}  leans on  {', '.join(parts)}{background}")
    for region in matrix.extra:
        column = matrix.columns.index(region)
        order = np.argsort(-matrix.best("enrichment")[:, column])[:count]
        shares = ", ".join(
            f"{matrix.rows[i]} {100 * matrix.best()[i, column]:.2f} % (×{matrix.best('enrichment')[i, column]:.1f})" for i in order
        )
        lines.append(f"  region {region}: {shares}   (× = share of attribution ÷ share of volume)")
    if "global_mask" in run:
        held, dice = mask_in_words(run["global_mask"])
        lines += [f"  global mask: {held}", *textwrap.wrap(dice, 110, initial_indent="    ", subsequent_indent="    ")]
    if run.get("left_out"):
        lines.append(f"  left out: {left_out_in_words(run['left_out'])}")
    if run["absent"]:
        lines.append(f"  not found in this CT: {', '.join(run['absent'])}")
    return "\n".join(lines)


def told_classes(classes: Sequence[Mapping[str, Any]]) -> str:
    """``nodule 93 %, effusion 2 %``: the classes of a ``run.json`` with their probabilities, the likeliest first."""
    ordered = sorted(classes, key=lambda entry: -float(entry["probability"]))
    return ", ".join(f"{entry['name']} {told_percent(entry['probability'])}" for entry in ordered)


def summarise_volumes(results: Results) -> str:
    """Every label with its volume."""
    return f"{_volumes_in_words(results.run)}\nResults: {results.folder}"


def _volumes_in_words(run: Mapping[str, Any]) -> str:
    lines = [f"{run['patient']}: segmented in {run['seconds']['total']:.0f} s on {run['device']}"]
    entries = run["labels"][1:]
    width = max(len(entry["name"]) for entry in entries)
    lines += [f"  {entry['name']:{width}}  {entry['volume_ml']:9.1f} mL" for entry in entries]
    return "\n".join(lines)


def left_out_in_words(left_out: Mapping[str, Any]) -> str:
    """How many windows of each label were left out, and how much of its weight lay in them at most."""
    windows = sum(entry["windows"] for entry in left_out.values())
    most = max(left_out, key=lambda name: float(left_out[name]["weight"]))
    share = 100 * left_out[most]["weight"]
    return f"{windows} times a window, with at most {share:.2f} % of a label's summed weight ({most})"


def mask_in_words(mask: Mapping[str, Any]) -> tuple[str, str]:
    """What the global mask of a ``run.json`` holds, and the Dice of each label with only the mask and without it."""

    def told(value: float | None) -> str:
        return "undefined" if value is None else f"{value:.2f}"

    kept = f"{mask['kept']} of {mask['regions']} supervoxels ({mask['supervoxels']})"
    held = f"{kept} hold {100 * mask['coverage']:.0f} % of the attribution in {100 * mask['volume_share']:.0f} % of the volume"
    pairs = [f"{label} {told(dice['only_mask'])} / {told(dice['without_mask'])}" for label, dice in mask["dice"].items()]
    return held, f"Dice with only the mask / without it: {', '.join(pairs)}"
