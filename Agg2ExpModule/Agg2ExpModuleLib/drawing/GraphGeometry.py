"""Where everything of the importance graph stands on a canvas of a given size: no Qt, so that it can be tested by its numbers.

Pixels, x to the right, y down. Text is measured by a function that the caller gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .EdgeRoutes import Curve, Point, Rect, overlap, route, weightPlaces
from .GraphData import GraphData, GraphEdge, GraphNode

Measure = Callable[[str, int, bool], tuple[float, float]]  # text, pixel size, bold → width, height

SMALL, LARGE = 340.0, 900.0  # canvas widths between which sizes grow
_LEAST_TEXT = 8  # pixels
_EVEN = 0.5


@dataclass(frozen=True)
class PlacedNode:
    """A node: its disc, and its title below in ``lines`` (empty where there is no room or no need)."""

    node: GraphNode
    x: float
    y: float
    radius: float
    lines: tuple[str, ...]
    titleRect: Rect
    linked: bool


@dataclass(frozen=True)
class PlacedEdge:
    """An edge: its curve between the two discs, the line's width and the length of the arrow's head."""

    edge: GraphEdge
    curve: Curve
    width: float
    head: float


@dataclass(frozen=True)
class LegendEntry:
    """An entry of the legend: a mark at ``x``, ``y`` (its middle) and its text.

    The mark is a disc in ``color``, or without a colour a line: that of the strongest weight, or of arrows of one ``sign``.
    """

    text: str
    color: tuple[int, int, int] | None
    x: float
    y: float
    sign: int = 0


@dataclass
class GraphScene:
    """Everything placed; ``plot`` is the part of the canvas without caption and legend."""

    width: float
    height: float
    data: GraphData
    plot: Rect
    textSize: int
    smallSize: int
    nodes: dict[str, PlacedNode] = field(default_factory=dict)
    edges: list[PlacedEdge] = field(default_factory=list)
    legend: list[LegendEntry] = field(default_factory=list)
    caption: tuple[str, ...] = ()
    lineHeight: float = 12.0

    def nodeAt(self, x: float, y: float) -> str | None:
        """The node whose disc or title is at a point; discs come first."""
        near = [(math.hypot(x - place.x, y - place.y) - max(place.radius, 8.0), name) for name, place in self.nodes.items()]
        distance, name = min(near, default=(1.0, ""))
        if distance <= 2:
            return name
        for name, place in self.nodes.items():
            left, top, width, height = place.titleRect
            if place.lines and left <= x <= left + width and top <= y <= top + height:
                return name
        return None

    def edgeAt(self, x: float, y: float, names: frozenset[str] | None = None) -> GraphEdge | None:
        """The nearest edge within a few pixels of a point; with ``names`` only edges into or out of these nodes."""
        best, found = 1.0, None
        for place in self.edges:
            if names is not None and not {place.edge.source, place.edge.target} & names:
                continue
            distance = place.curve.distance(x, y) / (place.width / 2 + 4)
            if distance <= best:
                best, found = distance, place.edge
        return found

    def sideMarks(self) -> list[tuple[str, float, float]]:
        """Text and middle of the letters for the patient's sides, as radiologists look; none in a circle."""
        if self.data.layout != "anatomical":
            return []
        left, top, width, height = self.plot
        half = 0.5 * (self.textSize + 2)
        discs = [(p.x - p.radius, p.y - p.radius, 2 * p.radius, 2 * p.radius) for p in self.nodes.values()]
        taken = discs + [p.titleRect for p in self.nodes.values() if p.lines]
        marks = []
        for text, x in (("R", left + half), ("L", left + width - half)):
            for part in (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8, 0.1, 0.9):
                y = top + part * height
                if not any(overlap((x - half, y - half, 2 * half, 2 * half), other) for other in taken):
                    marks.append((text, x, y))
                    break
        return marks

    def weights(self, edges: Sequence[GraphEdge], measure: Measure) -> list[tuple[GraphEdge, Rect]]:
        """Places for the weights of these edges, in this order; edges for whose text there is no room are left out."""
        chosen = set(map(id, edges))
        order = {id(edge): index for index, edge in enumerate(edges)}
        placed = sorted((place for place in self.edges if id(place.edge) in chosen), key=lambda place: order[id(place.edge)])
        sizes = [measure(place.edge.text, self.smallSize, True) for place in placed]
        discs = [
            (place.x - place.radius - 1, place.y - place.radius - 1, 2 * place.radius + 2, 2 * place.radius + 2)
            for place in self.nodes.values()
        ]
        taken = discs + [place.titleRect for place in self.nodes.values() if place.lines]
        rects = weightPlaces([place.curve for place in placed], sizes, taken, [place.curve for place in self.edges], self.plot)
        return [(place.edge, rect) for place, rect in zip(placed, rects, strict=True) if rect is not None]


def placeGraph(data: GraphData, width: float, height: float, fontSize: int, measure: Measure) -> GraphScene:
    """Place a graph.

    Args:
        data: the graph.
        width: of the canvas in pixels, as ``height``.
        fontSize: pixel size of the window's usual text.
        measure: width and height of a text.
    """
    grown = min(1.0, max(0.0, (width - SMALL) / (LARGE - SMALL)))
    textSize = max(_LEAST_TEXT, round(fontSize * (0.84 + 0.2 * grown)))
    smallSize = max(_LEAST_TEXT, round(fontSize * (0.78 + 0.14 * grown)))
    scene = GraphScene(width, height, data, (0.0, 0.0, width, height), textSize, smallSize)
    margin = 8.0
    scene.lineHeight = measure("Ag", smallSize, False)[1]
    scene.caption = tuple(_even(data.caption, width - 2 * margin, lambda text: measure(text, smallSize, False)[0]))
    scene.legend, legendHeight = _legend(data, width, height, margin, smallSize, measure)
    top = margin + scene.lineHeight * len(scene.caption) + 4
    scene.plot = (margin, top, max(40.0, width - 2 * margin), max(40.0, height - top - legendHeight - 4))
    _placeNodes(scene, grown, measure)
    _placeEdges(scene, grown)
    return scene


def wrapped(text: str, room: float, most: int, widthOf: Callable[[str], float]) -> list[str]:
    """A text on at most ``most`` lines that fit; what does not fit ends in an ellipsis."""
    lines: list[str] = []
    words = text.split(" ")
    while words and len(lines) < most:
        count = 1
        while count < len(words) and widthOf(" ".join(words[: count + 1])) <= room:
            count += 1
        lines.append(" ".join(words[:count]))
        words = words[count:]
    if lines and (words or widthOf(lines[-1]) > room):
        line = lines[-1]
        while line and widthOf(line + "…") > room:
            line = line[:-1]
        lines[-1] = line.rstrip() + "…"
    return lines


def _even(text: str, room: float, widthOf: Callable[[str], float]) -> list[str]:
    """A text on as few lines as fit, two at most, of about equal width."""
    lines = wrapped(text, room, 2, widthOf)
    if len(lines) == 2 and not lines[-1].endswith("…"):
        for part in (0.9, 0.8, 0.7, 0.6, 0.55):
            narrower = wrapped(text, part * room, 2, widthOf)
            if narrower[-1].endswith("…"):
                break
            lines = narrower
    return lines


def titleLines(title: str) -> tuple[str, ...]:
    """A title on one line, or on two of about equal length."""
    words = title.split(" ")
    if len(words) < 2 or len(title) <= 8:
        return (title,)
    cuts = [(" ".join(words[:index]), " ".join(words[index:])) for index in range(1, len(words))]
    return min(cuts, key=lambda cut: max(len(cut[0]), len(cut[1])))


def evened(places: Mapping[str, Point]) -> dict[str, Point]:
    """Places half way to an even spread along both axes: who lies left of or above whom stays, crowds and lone ones move."""
    result = dict(places)
    for axis in (0, 1):
        values = sorted({round(place[axis], 6) for place in places.values()})
        steps = max(1, len(values) - 1)
        low, extent = min(values, default=0.0), max(1e-6, max(values, default=1.0) - min(values, default=0.0))
        for name, place in places.items():
            even = low + extent * values.index(round(place[axis], 6)) / steps
            moved = [*result[name]]
            moved[axis] = (1 - _EVEN) * place[axis] + _EVEN * even
            result[name] = (moved[0], moved[1])
    return result


def _placeNodes(scene: GraphScene, grown: float, measure: Measure) -> None:
    from Agg2ExpLib.roi_importance.graph import anatomical_layout

    data = scene.data
    left, top, width, height = scene.plot
    linked = {name for edge in data.edges for name in (edge.source, edge.target)}
    linked |= {node.name for node in data.nodes if node.explained}
    if not data.nodes or width < 20 or height < 20:
        return
    scale = 1.0
    while True:  # smaller discs and texts until the boxes have a chance to fit
        size = max(_LEAST_TEXT, round(scene.textSize * scale))
        radii, lines, boxes = {}, {}, {}
        for node in data.nodes:
            strong = node.name in linked
            radius = (11 + 7 * grown) * scale if node.explained else (7 + 4 * grown) * scale if strong else 4 + 2 * grown
            title = node.title if grown > 0.6 else node.shortTitle
            shown = titleLines(title) if strong or node.extra or grown > 0.15 else ()
            textWidth = max((measure(line, size, False)[0] for line in shown), default=0.0)
            textHeight = measure("Ag", size, False)[1] * 0.92 * len(shown)
            radii[node.name], lines[node.name] = radius, shown
            boxes[node.name] = (max(2 * radius + 6, textWidth + 4), 2 * radius + textHeight + 6)
        area = sum(boxWidth * boxHeight for boxWidth, boxHeight in boxes.values())
        if area < 0.62 * width * height or scale < 0.72:
            break
        scale *= 0.94
    scene.textSize = size
    shares = {name: (min(0.9, w / width), min(0.9, h / height)) for name, (w, h) in boxes.items()}
    known = {node.name: node.position for node in data.nodes if node.position is not None}
    if data.layout == "anatomical":
        known = evened(known)
    places = anatomical_layout([node.name for node in data.nodes], known, shares, width / height)
    for node in data.nodes:
        x, y = left + places[node.name][0] * width, top + (1 - places[node.name][1]) * height
        boxWidth, boxHeight = boxes[node.name]
        radius = radii[node.name]
        centre = y - boxHeight / 2 + 2 + radius
        textHeight = boxHeight - 2 * radius - 6
        rect = (x - boxWidth / 2 + 1, centre + radius + 2, boxWidth - 2, textHeight)
        scene.nodes[node.name] = PlacedNode(node, x, centre, radius, lines[node.name], rect, node.name in linked)


def _placeEdges(scene: GraphScene, grown: float) -> None:
    if not scene.nodes:
        return
    widest = 4.5 + 3.0 * grown
    order = sorted(scene.data.edges, key=lambda edge: edge.weight)
    discs = [(place.x, place.y, place.radius) for place in scene.nodes.values()]
    titles = [place.titleRect if place.lines else None for place in scene.nodes.values()]
    names = list(scene.nodes)
    for edge in order:
        width = 0.8 + widest * edge.relative
        head = 5.5 + 1.3 * width
        curve = route(names.index(edge.source), names.index(edge.target), discs, titles, width, scene.plot)
        scene.edges.append(PlacedEdge(edge, curve, width, head))


def _legend(
    data: GraphData, width: float, height: float, margin: float, size: int, measure: Measure
) -> tuple[list[LegendEntry], float]:
    """Entries in rows from the bottom upwards, and the height of all rows."""
    texts: list[tuple[str, tuple[int, int, int] | None, int]] = [(text, None, sign) for text, sign in data.signs]
    texts += [(text, color, 0) for text, color in data.legend]
    if data.strongestText:
        texts.append((data.strongestText, None, 0))
    rows: list[list[tuple[str, tuple[int, int, int] | None, int, float]]] = [[]]
    x = margin
    for text, color, sign in texts:
        wide = (16 if color else 30) + measure(text, size, False)[0] + 12
        if rows[-1] and x + wide - 12 > width - margin:
            rows.append([])
            x = margin
        rows[-1].append((text, color, sign, x))
        x += wide
    line = measure("Ag", size, False)[1] + 4
    total = line * len(rows) + 4 if texts else 0.0
    entries = [
        LegendEntry(text, color, x, height - total + line * (index + 0.5), sign)
        for index, row in enumerate(rows)
        for text, color, sign, x in row
    ]
    return entries, total
