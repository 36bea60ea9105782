"""A comparison with a cohort in a sentence."""

from __future__ import annotations

from ..models.labels import title_of
from .compare import Comparison


def comparison_sentence(comparison: Comparison | None, row: str) -> str:
    """How a label's row compares with the others, and the region that is farthest from them; empty where it was not compared.

    Args:
        comparison: of a patient with a cohort, or None.
        row: the label.
    """
    one = comparison.of(row) if comparison is not None else None
    if comparison is None or one is None:
        return ""
    text = f"Compared with {one.patients} other patients this is {one.verdict if one.verdict != 'unknown' else 'not judged'}"
    beyond = [j for j, side in enumerate(one.outside) if side]
    if beyond:
        j = max(beyond, key=lambda at: abs(one.difference[at]))
        where = title_of(comparison.columns[j])
        text += (
            f"; the {where[:1].lower()}{where[1:]} has {100 * one.values[j]:.1f} %, of the others 95 % have "
            f"{100 * one.low[j]:.1f} to {100 * one.high[j]:.1f} %"
        )
    return text + "."
