"""What is known of a cohort: its mean matrix, and how it differs from a second one."""

from __future__ import annotations

from dataclasses import dataclass, field

from .importance import GlobalImportance
from .matrices import CohortMatrices
from .significance import Test


@dataclass
class Summary:
    """What was found; tables, figures and report are made from it.

    Attributes:
        name: of the cohort.
        cohort: the patients' matrices.
        overall: their mean.
        systems: their mean over anatomical systems.
        other, other_name, other_overall: the same of a second cohort, where there is one.
        differences: tests between the two, on the share inside each label's own segment.
        notices: what a reader should know.
    """

    name: str
    cohort: CohortMatrices
    overall: GlobalImportance
    systems: GlobalImportance
    other: CohortMatrices | None = None
    other_name: str = ""
    other_overall: GlobalImportance | None = None
    differences: list[Test] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
