"""Patient minus cohort as a graph and a matrix: what this patient's labels lean on more or less than those of others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from ..drawing.GraphData import GraphData, GraphNode, MatrixCell, MatrixData
from .ImportanceModel import ImportanceModel, valueText

if TYPE_CHECKING:
    import numpy as np

    from Agg2ExpLib.cohorts.compare import Comparison

DIFFERENCE = "difference"
_MINUS = "\N{MINUS SIGN}"


class DifferenceModel(ImportanceModel):
    """The differences of a comparison; edges and cells carry their size and their sign.

    Args:
        model: of the patient.
        comparison: with the cohort.
    """

    def __init__(self, model: ImportanceModel, comparison: Comparison) -> None:
        super().__init__(model.matrix, model.labels, model.positions)
        self.comparison = comparison
        self.differences = comparison.difference(model.matrix)

    def values(self, variant: str = "absolute", measure: str = "mass") -> np.ndarray:
        """Sizes of the differences ``[rows, columns]`` in 0..1; NaN where nothing was compared."""
        import numpy as np

        return np.abs(self.differences)

    def caption(self, variant: str = "absolute", measure: str = "mass") -> str:
        """What a number is, in one sentence."""
        return _("This patient minus the mean of {count} patients, in percentage points").format(count=self.comparison.patients)

    def graph(
        self,
        variant: str = "absolute",
        measure: str = "mass",
        topK: int | None = 3,
        minimum: float = 0.0,
        background: bool = False,
        layout: str = "anatomical",
    ) -> GraphData:
        """The graph of the largest differences into each label; ``variant`` and ``measure`` are those of :attr:`differences`."""
        data = super().graph("absolute", "mass", topK, minimum, background, layout)
        edges = []
        for edge in data.edges:
            value = self.difference(edge.target, edge.source)
            if value:
                edges.append(replace(edge, sign=1 if value > 0 else -1, text=differenceText(value)))
        return replace(
            data,
            edges=tuple(edges),
            caption=self.caption(),
            strongestText=_("{size} points").format(size=data.strongestText.rstrip("%").strip()) if edges else "",
            signs=((_("more than the cohort"), 1), (_("less"), -1)),
        )

    def matrixData(self, variant: str = "absolute", measure: str = "mass", background: bool = True) -> MatrixData:
        """The heat map; the background does not set the colour scale."""
        data = super().matrixData("absolute", "mass", background)
        return replace(data, signed=True, scale=data.scale.rstrip("%").strip())

    def difference(self, label: str, roi: str) -> float:
        """Patient minus cohort, NaN where it is not known."""
        return float(self.differences[self.matrix.rows.index(label), self.matrix.columns.index(roi)])

    def tip(self, label: str, roi: str, variant: str = "absolute", measure: str = "mass") -> str:
        """The difference and the two numbers behind it."""
        one = self.comparison.of(label)
        pattern = _("{label} in itself: {value}") if label == roi else _("{roi} → {label}: {value}")
        names = {"roi": self.title(roi), "label": self.title(label)}
        if one is None or roi not in self.comparison.columns:
            return pattern.format(**names, value=_("not compared"))
        column = self.comparison.columns.index(roi)
        value = _("{difference} percentage points").format(difference=differenceText(self.difference(label, roi)))
        numbers = _("This patient {own}, mean of {count} patients {mean}.").format(
            own=valueText(float(one.values[column]), "mass"), count=one.patients, mean=valueText(float(one.mean[column]), "mass")
        )
        return f"{pattern.format(**names, value=value)}\n{numbers}"

    def _node(
        self,
        name: str,
        node: Mapping[str, Any],
        place: tuple[float, float] | None,
        values: np.ndarray,
        variant: str,
        measure: str,
    ) -> GraphNode:
        made = super()._node(name, node, place, values, variant, measure)
        value = self.difference(name, name) if node["explained"] else math.nan
        return replace(made, share=None, shareText=shortDifference(value) if math.isfinite(value) else "")

    def _nodeTip(self, name: str, node: Mapping[str, Any], values: np.ndarray, variant: str, measure: str) -> str:
        lines = [f"{self.title(name)} ({_('extra region') if node['extra'] else node['group']})"]
        if not node["explained"]:
            return "\n".join([*lines, _("Not explained: only a region that labels lean on.")])
        return "\n".join([*lines, self.tip(name, name)])

    def _error(self, label: str, roi: str, variant: str, measure: str) -> float | None:
        return None

    def _cell(self, row: int, column: int, value: float, strongest: float, variant: str, measure: str) -> MatrixCell:
        cell = super()._cell(row, column, value, strongest, variant, measure)
        signed = float(self.differences[row, column])
        if not math.isfinite(signed):
            return replace(cell, text="–", strength=None)
        strength = math.sqrt(min(1.0, abs(signed) / strongest)) if strongest > 0 else 0.0
        return replace(cell, text=differenceText(signed), strength=strength, sign=1 if signed > 0 else -1 if signed < 0 else 0)


def differenceText(value: float) -> str:
    """A difference of shares in percentage points with its sign: ``+4.1``, ``−12``, ``0.0``."""
    points = 100 * value
    text = f"{abs(points):.0f}" if abs(points) >= 9.95 else f"{abs(points):.1f}"
    return text if text == "0.0" else ("+" if points > 0 else _MINUS) + text


def shortDifference(value: float) -> str:
    """As :func:`differenceText` without decimals, for the inside of a node."""
    text = f"{abs(100 * value):.0f}"
    return text if text == "0" else ("+" if value > 0 else _MINUS) + text
