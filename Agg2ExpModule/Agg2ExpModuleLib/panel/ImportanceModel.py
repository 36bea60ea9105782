"""From the numbers of a result to what the graph and the matrix of the panel show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from ..drawing.GraphData import GraphData, GraphEdge, GraphNode, MatrixCell, MatrixData, MatrixHeader
from ..words.MethodWords import shortTitle

if TYPE_CHECKING:
    import numpy as np

    from Agg2ExpLib.models.labels import Label
    from Agg2ExpLib.roi_importance.matrix import ImportanceMatrix
    from Agg2ExpLib.runs.results import Results

VARIANTS = ("absolute", "positive", "negative")
MEASURES = ("mass", "mean", "enrichment")
LAYOUTS = ("anatomical", "circle")
_SPACE = "\N{NO-BREAK SPACE}"


class ImportanceModel:
    """An importance matrix with the places of its regions.

    Args:
        matrix: local or global RoI importance.
        labels: the model's labels in channel order; of a classifier's results its classes too, behind those of the regions.
        positions: region to ``(x, y)`` in mm as from ``importance.graph.region_positions``; plain numbers, so that a scene
            can keep them. Without them the layout is a circle.
    """

    def __init__(
        self, matrix: ImportanceMatrix, labels: Sequence[Label], positions: Mapping[str, Sequence[float]] | None = None
    ) -> None:
        self.matrix = matrix
        self.labels = tuple(labels)
        self.positions = {name: (float(place[0]), float(place[1])) for name, place in (positions or {}).items()}
        self._byName = {label.name: label for label in self.labels}

    @classmethod
    def fromResults(cls, results: Results) -> ImportanceModel:
        """Of an opened results folder; reads its label map and its extra regions.

        Raises:
            InputError: a file of the result cannot be read.
        """
        segmentation = results.segmentation()
        extra = {name: volume.array > 0 for name, volume in results.extra_rois().items()}
        return cls.fromSegmentation(results.importance(), results.labels, segmentation.array, segmentation.affine, extra)

    @classmethod
    def fromSegmentation(
        cls,
        matrix: ImportanceMatrix,
        labels: Sequence[Label],
        segmentation: np.ndarray,
        affine: np.ndarray,
        extra: Mapping[str, np.ndarray] | None = None,
    ) -> ImportanceModel:
        """With places from a label map ``[x, y, z]``, its affine (voxel to RAS mm) and masks of the extra regions."""
        from Agg2ExpLib.roi_importance.graph import region_positions

        return cls(matrix, labels, region_positions(segmentation, affine, labels, extra))

    @property
    def classifies(self) -> bool:
        """Whether the rows are classes, which are no regions."""
        return any(row not in self.matrix.columns for row in self.matrix.rows)

    def title(self, name: str) -> str:
        """A region's name as people read it."""
        label = self._byName.get(name)
        return label.title if label else name.replace("_", " ").capitalize()

    def shortTitle(self, name: str) -> str:
        """As :meth:`title`, the side as one letter."""
        return shortTitle(self.title(name))

    def values(self, variant: str = "absolute", measure: str = "mass") -> np.ndarray:
        """``[rows, columns]`` as they are shown: shares in 0..1, the mean as a part of its row's largest, enrichment as a factor.

        Raises:
            ValueError: unknown variant or measure.
        """
        import numpy as np

        values = self.matrix.measured(variant, measure)
        if measure == "mean" and values.size:
            largest = np.max(np.where(np.isfinite(values), values, 0.0), axis=1, keepdims=True)
            values = np.divide(values, largest, out=np.full_like(values, np.nan), where=largest > 0)
        return values

    def caption(self, variant: str = "absolute", measure: str = "mass") -> str:
        """What a number is, in one sentence."""
        what = {
            "absolute": _("attribution"),
            "positive": _("supporting attribution"),
            "negative": _("opposing attribution"),
        }[variant]
        whose = _("class's") if self.classifies else _("label's")
        if measure == "mass":
            return _("Share of the {whose} {what} that lies in the region").format(whose=whose, what=what)
        if measure == "mean":
            return _("Mean {what} per voxel of the region, as a share of the {whose} strongest region").format(
                whose=whose, what=what
            )
        return _("Share of the {whose} {what} in the region, divided by the region's share of the volume; 1 is chance").format(
            whose=whose, what=what
        )

    def graph(
        self,
        variant: str = "absolute",
        measure: str = "mass",
        topK: int | None = 3,
        minimum: float = 0.0,
        background: bool = False,
        layout: str = "anatomical",
    ) -> GraphData:
        """The graph.

        Args:
            variant: ``absolute``, ``positive`` (supporting) or ``negative`` (opposing).
            measure: ``mass``, ``mean`` or ``enrichment``.
            topK: the strongest edges into each label, this many; None keeps all.
            minimum: edges of this weight or less are left out, in the unit of :meth:`values`.
            background: whether the background is a region of the graph.
            layout: ``anatomical`` (circle where no place is known) or ``circle``.

        Raises:
            ValueError: unknown variant or measure.
        """
        from Agg2ExpLib.models.labels import GROUP_COLORS, group_color
        from Agg2ExpLib.roi_importance.graph import graph_parts

        values = self.values(variant, measure)
        nodes, edges = graph_parts(self.matrix, self.labels, values, topK, background, minimum)
        strongest = max((attributes["weight"] for *_names, attributes in edges), default=0.0)
        layout = "anatomical" if layout == "anatomical" and self.positions else "circle"
        places = self._places(nodes, layout)
        groups = [group for group in GROUP_COLORS if any(node["group"] == group for node in nodes.values())]
        unknown = {node["group"] for node in nodes.values()} - set(GROUP_COLORS)
        return GraphData(
            nodes=tuple(self._node(name, node, places.get(name), values, variant, measure) for name, node in nodes.items()),
            edges=tuple(
                GraphEdge(
                    source=source,
                    target=target,
                    weight=attributes["weight"],
                    relative=attributes["weight"] / strongest,
                    rank=attributes["rank"],
                    text=valueText(attributes["weight"], measure),
                    error=self._error(target, source, variant, measure),
                    tip=self.tip(target, source, variant, measure),
                )
                for source, target, attributes in edges
            ),
            layout=layout,
            legend=tuple((group.capitalize(), group_color(group)) for group in [*groups, *sorted(unknown)]),
            caption=(
                _("Arrow from region to class: {what}") if self.classifies else _("Arrow from region to label: {what}")
            ).format(what=_lowered(self.caption(variant, measure))),
            strongestText=valueText(strongest, measure) if edges else "",
        )

    def matrixData(self, variant: str = "absolute", measure: str = "mass", background: bool = True) -> MatrixData:
        """The heat map: labels of the model, then extra regions, then the background, which does not set the colour scale.

        Raises:
            ValueError: unknown variant or measure.
        """
        values = self.values(variant, measure)
        columns = sorted(range(len(self.matrix.columns)), key=self._columnOrder)
        if not background:
            columns = [column for column in columns if not self._isBackground(self.matrix.columns[column])]
        rows = sorted(range(len(self.matrix.rows)), key=lambda row: self._isBackground(self.matrix.rows[row]))
        inner = [
            float(values[row, column])
            for row in rows
            for column in columns
            if math.isfinite(values[row, column]) and not self._isBackground(self.matrix.columns[column])
        ]
        strongest = max(inner, default=0.0)
        cells = tuple(
            tuple(self._cell(row, column, float(values[row, column]), strongest, variant, measure) for column in columns)
            for row in rows
        )
        return MatrixData(
            rows=tuple(self.header(self.matrix.rows[row]) for row in rows),
            columns=tuple(self.header(self.matrix.columns[column]) for column in columns),
            cells=cells,
            caption=self.caption(variant, measure),
            scale=valueText(strongest, measure),
        )

    def tip(self, label: str, roi: str, variant: str = "absolute", measure: str = "mass") -> str:
        """What hovering over a pair tells: the value with its error, and how it splits."""
        row, column = self.matrix.rows.index(label), self.matrix.columns.index(roi)
        value = float(self.values(variant, measure)[row, column])
        pattern = _("{label} in itself: {value}") if label == roi else _("{roi} → {label}: {value}")
        text = valueText(value, measure)
        error = self._error(label, roi, variant, measure)
        if error is not None:
            text += f" ± {valueText(error, measure, decimals=2)}"
        lines = [pattern.format(roi=self.title(roi), label=self.title(label), value=text), self.caption(variant, measure) + "."]
        if variant == "absolute" and measure == "mass" and math.isfinite(value):
            supporting, opposing = (self.matrix.best(f"{sign}_mass")[row, column] for sign in ("positive", "negative"))
            split = _("Supporting {supporting}, opposing {opposing}").format(
                supporting=valueText(float(supporting), "mass"), opposing=valueText(float(opposing), "mass")
            )
            enrichment = float(self.matrix.best("enrichment")[row, column])
            if math.isfinite(enrichment):
                split += _("; {factor} of what its volume alone would get").format(factor=valueText(enrichment, "enrichment"))
            lines.append(split + ".")
        if math.isfinite(self.matrix.limit[row, column]) and self.matrix.limit_error[row, column] > 0:
            lines.append(_("Told for endless noise samples; the map shows those that were taken."))
        if self.matrix.roi_voxels[column] == 0:
            lines.append(_("The model found no voxel of this region."))
        return "\n".join(lines)

    def _places(self, nodes: Mapping[str, dict[str, Any]], layout: str) -> dict[str, tuple[float, float]]:
        from Agg2ExpLib.roi_importance.graph import circular_layout

        if layout == "circle":
            return circular_layout({name: node["group"] for name, node in nodes.items()}, (0.0, 0.0))
        known = {name: self.positions[name] for name in nodes if name in self.positions}
        if not known:
            return {}
        lows = [min(place[axis] for place in known.values()) for axis in (0, 1)]
        extents = [max(place[axis] for place in known.values()) - lows[axis] for axis in (0, 1)]
        longest = max(*extents, 1e-6)
        margins = [(1 - extent / longest) / 2 for extent in extents]  # one scale for both axes keeps the body's proportions
        return {
            name: ((x - lows[0]) / longest + margins[0], (y - lows[1]) / longest + margins[1]) for name, (x, y) in known.items()
        }

    def _node(
        self,
        name: str,
        node: Mapping[str, Any],
        place: tuple[float, float] | None,
        values: np.ndarray,
        variant: str,
        measure: str,
    ) -> GraphNode:
        own = node["context"]
        known = own is not None and math.isfinite(own)
        return GraphNode(
            name=name,
            title=self.title(name),
            shortTitle=self.shortTitle(name),
            color=node["color"],
            group=node["group"],
            position=place,
            share=own if known and measure != "enrichment" else None,
            shareText=valueText(own, measure) if known else "",
            explained=node["explained"],
            extra=node["extra"],
            tip=self._nodeTip(name, node, values, variant, measure),
        )

    def _nodeTip(self, name: str, node: Mapping[str, Any], values: np.ndarray, variant: str, measure: str) -> str:
        lines = [f"{self.title(name)} ({_('extra region') if node['extra'] else node['group']})"]
        if not node["explained"]:
            return "\n".join([*lines, _("Not explained: only a region that labels lean on.")])
        row = self.matrix.rows.index(name)
        if name in self.matrix.columns:
            lines.append(self.tip(name, name, variant, measure).split("\n")[0])
        others = [
            (float(values[row, column]), roi)
            for column, roi in enumerate(self.matrix.columns)
            if roi != name and not self._isBackground(roi) and math.isfinite(values[row, column]) and values[row, column] > 0
        ]
        if others:
            strongest = sorted(others, key=lambda pair: -pair[0])[:3]
            lines.append(
                _("Leans most on {regions}").format(
                    regions=", ".join(f"{self.title(roi)} {valueText(value, measure)}" for value, roi in strongest)
                )
            )
        return "\n".join(lines)

    def _error(self, label: str, roi: str, variant: str, measure: str) -> float | None:
        """Only the mass of all attribution has a measured error."""
        if variant != "absolute" or measure != "mass":
            return None
        error = float(self.matrix.best("standard_error")[self.matrix.rows.index(label), self.matrix.columns.index(roi)])
        return error if math.isfinite(error) and error > 0 else None

    def _cell(self, row: int, column: int, value: float, strongest: float, variant: str, measure: str) -> MatrixCell:
        label, roi = self.matrix.rows[row], self.matrix.columns[column]
        missing = not math.isfinite(value) or self.matrix.roi_voxels[column] == 0
        # the square root keeps small shares visible beside the few large ones
        strength = None if missing else math.sqrt(min(1.0, max(0.0, value) / strongest)) if strongest > 0 else 0.0
        return MatrixCell(
            text="–" if missing else cellText(value, measure),
            strength=strength,
            own=label == roi,
            tip=self.tip(label, roi, variant, measure),
        )

    def header(self, name: str) -> MatrixHeader:
        """Title and colour of a region."""
        from Agg2ExpLib.models.labels import PATHOLOGY_GROUP, group_color

        label = self._byName.get(name)
        group = label.group if label else PATHOLOGY_GROUP
        return MatrixHeader(
            name, self.title(name), self.shortTitle(name), group_color(group), group, label is None, self._isBackground(name)
        )

    def _isBackground(self, name: str) -> bool:
        from Agg2ExpLib.models.labels import BACKGROUND

        label = self._byName.get(name)
        return label.group == BACKGROUND if label else name == BACKGROUND

    def _columnOrder(self, column: int) -> tuple[bool, bool]:
        name = self.matrix.columns[column]
        return self._isBackground(name), name in self.matrix.extra


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def valueText(value: float, measure: str, decimals: int = 1) -> str:
    """A weight with its unit in few characters: ``12 %``, ``3.4 %``, ``1.8×``; ``–`` where there is none."""
    if not math.isfinite(value):
        return "–"
    if measure == "enrichment":
        return f"{value:.0f}×" if value >= 9.95 else f"{value:.2g}×" if value >= 0.095 else "<0.1×" if value > 0 else "0×"
    percent = 100 * value
    smallest = 10.0**-decimals
    if 0 < percent < smallest / 2:
        return f"<{smallest:g}{_SPACE}%"
    return f"{percent:.0f}{_SPACE}%" if percent >= 9.95 or percent == 0 else f"{percent:.{decimals}f}{_SPACE}%"


def cellText(value: float, measure: str) -> str:
    """As :func:`valueText` without the unit and as short as can be, for the cells of the matrix."""
    text = valueText(value, measure).replace(f"{_SPACE}%", "").replace("×", "")
    return "0.0" if text.startswith("<") else text
