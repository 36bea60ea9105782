"""A label's row of the matrix in two or three sentences, made from its numbers alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..models.labels import BACKGROUND, title_of
from .matrix import ImportanceMatrix

# Effects smaller than these are not worth a word.
_LEAST_PERCENT, _LEAST_DICE = 1.0, 0.99


@dataclass(frozen=True)
class Effect:
    """What removing a region did to a label.

    Attributes:
        percent: change of its volume.
        dice: overlap with what it was.
    """

    percent: float
    dice: float


def sentence_of(matrix: ImportanceMatrix, row: str, count: int = 3) -> str:
    """Where the model leaned for a label.

    Args:
        matrix: local RoI importance.
        row: an explained label or class.
        count: regions that are named beside the label itself.
    """
    shares, errors, enrichment = matrix.best(), matrix.best("standard_error"), matrix.best("enrichment")
    i = matrix.rows.index(row)

    def told(column: str) -> str:
        j = matrix.columns.index(column)
        error = f" ± {100 * errors[i, j]:.1f}" if np.isfinite(errors[i, j]) and errors[i, j] > 0 else ""
        return f"{100 * shares[i, j]:.1f}{error} %"

    parts = []
    if row in matrix.columns and np.isfinite(own := shares[i, matrix.columns.index(row)]) and own > 0:
        times = enrichment[i, matrix.columns.index(row)]
        more = f" ({times:.1f} times its share of the volume)" if np.isfinite(times) else ""
        parts.append(f"{told(row)} of what the model leaned on lies in the {_name(row)} itself{more}")
    others = [name for name, _ in matrix.strongest(row, count + 1) if name != row][:count]
    if others:
        listed = [f"{told(name)} in the {_name(name)}" for name in others]
        if not parts:
            listed[0] = listed[0].replace(" in the ", " of what the model leaned on lies in the ", 1)
        parts.append(_joined(listed))
    text = ", ".join(parts)
    if BACKGROUND in matrix.columns and np.isfinite(rest := shares[i, matrix.columns.index(BACKGROUND)]):
        text += f"; {100 * rest:.0f} % lies in no labelled region"
    positive, negative = (float(np.nansum(matrix.best(f"{sign}_mass")[i, _own(matrix)])) for sign in ("positive", "negative"))
    if positive + negative > 0:
        kind = "label" if row in matrix.columns else "class"
        text += f". In sum {100 * positive / (positive + negative):.0f} % of it supports the {kind}"
    return f"{title_of(row)}: {text}."


def effect_sentence(row: str, effects: Mapping[str, Effect]) -> str:
    """What the label did when regions were removed: the strongest effect, or that there was none; empty without any.

    Args:
        row: the label.
        effects: by removed region.
    """
    others = {name: effect for name, effect in effects.items() if name != row and not math.isnan(effect.dice)}
    if not others:
        return ""
    name = min(others, key=lambda region: others[region].dice)
    effect = others[name]
    if effect.dice >= _LEAST_DICE and abs(effect.percent) < _LEAST_PERCENT:
        return f"Removing any one of {len(others)} other regions changes the {_name(row)} by less than 1 % (Dice at least 0.99)."
    change = f"volume {effect.percent:+.1f} %, Dice {effect.dice:.2f}"
    return f"Of {len(others)} other regions, removing the {_name(name)} changes it most: {change}."


def _own(matrix: ImportanceMatrix) -> list[int]:
    """Columns of the model's own labels, which divide the volume."""
    return [j for j, name in enumerate(matrix.columns) if name not in matrix.extra]


def _name(name: str) -> str:
    text = title_of(name)
    return text[:1].lower() + text[1:]


def _joined(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
