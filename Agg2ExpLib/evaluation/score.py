"""One measured number, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass

ABSENT = "the segmentation of this patient lacks the label"


@dataclass(frozen=True)
class Score:
    """A number of a metric.

    Attributes:
        value: None where it is undefined.
        note: why it is undefined, or what one should know about it; may be empty.
    """

    value: float | None
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One line of ``evaluation.csv``.

    Attributes:
        patient: id.
        label: explained label; empty where the number is of all labels together.
        method: as the user wrote it.
        metric: name.
        value: None where it is undefined.
        unit: of the value.
        note: see :class:`Score`.
    """

    patient: str
    label: str
    method: str
    metric: str
    value: float | None
    unit: str
    note: str = ""
