"""The importance graph and its layouts, without any drawing: shared by the figures and by Slicer's panel.

Nodes are regions, an edge ``b → a`` carries ``E[a, b]``: how much of label a's attribution falls into region b (equation 7).
Only :func:`importance_graph` needs networkx, so that a Slicer without it can still show a result's graph.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..models.labels import BACKGROUND, CLASS_GROUP, GROUP_COLORS, OTHER_GROUP, PATHOLOGY_GROUP, Label, group_color, title_of
from .matrix import LIMIT_OF

if TYPE_CHECKING:
    import networkx

    from .matrix import ImportanceMatrix

Point = tuple[float, float]


def importance_graph(
    matrix: ImportanceMatrix,
    labels: Sequence[Label],
    variant: str = "absolute",
    top: int | None = 3,
    background: bool = False,
    minimum: float = 0.0,
) -> networkx.DiGraph:
    """The graph of an importance matrix.

    Args:
        matrix: local or global RoI importance.
        labels: the model's labels; regions not among them (extra RoIs) count as pathologies. Rows that are no region at all are the
            classes of a classifier, which no arrow leaves.
        variant: ``absolute``, ``positive``, ``negative``, ``mean`` or ``enrichment``.
        top: keep the strongest edges into each node, this many; None keeps all.
        background: whether the background is a node.
        minimum: edges of this weight or less are left out.

    Returns:
        A DiGraph of the regions that have voxels or are explained.

        Node attributes: ``title``, ``group``, ``color`` (of the system, 0..255), ``label_color``, ``voxels``, ``explained``,
        ``extra``, ``context`` (``E[a, a]``; None where not explained). Edge attributes: ``weight`` (the variant), ``rank`` (1 is
        the strongest into its node), ``mass``, ``positive_mass``, ``negative_mass``, ``mean``, ``enrichment``,
        ``standard_error``, each with its limit where that is known. A region's
        share in itself is its ``context`` and no edge. Graph attribute: ``variant``.

    Raises:
        ValueError: for an unknown variant.
    """
    import networkx

    nodes, edges = graph_parts(matrix, labels, matrix.variant(variant), top, background, minimum)
    graph = networkx.DiGraph(variant=variant)
    for name, attributes in nodes.items():
        graph.add_node(name, **attributes)
    for source, target, attributes in edges:
        graph.add_edge(source, target, **attributes)
    return graph


def graph_parts(
    matrix: ImportanceMatrix,
    labels: Sequence[Label],
    values: np.ndarray,
    top: int | None = 3,
    background: bool = False,
    minimum: float = 0.0,
) -> tuple[dict[str, dict[str, Any]], list[tuple[str, str, dict[str, Any]]]]:
    """Nodes and edges of :func:`importance_graph` as plain data.

    Args:
        matrix: local or global RoI importance.
        labels: the model's labels.
        values: ``[rows, columns]``, the weights; NaN gives no edge.
        top: as for :func:`importance_graph`, and so are ``background`` and ``minimum``.

    Returns:
        Node to its attributes in the order of the columns, and ``(source, target, attributes)`` of each edge, the strongest into
        a node first.
    """
    by_name = {label.name: label for label in labels}
    nodes: dict[str, dict[str, Any]] = {}
    for column, name in enumerate(matrix.columns):
        label = by_name.get(name)
        is_background = label.group == BACKGROUND if label else name == BACKGROUND
        if is_background and not background:
            continue
        row = matrix.rows.index(name) if name in matrix.rows else None
        if row is None and matrix.roi_voxels[column] == 0:
            continue
        group = label.group if label else PATHOLOGY_GROUP
        nodes[name] = {
            "title": title_of(name),
            "group": group,
            "color": group_color(group),
            "label_color": label.color if label else group_color(group),
            "voxels": int(matrix.roi_voxels[column]),
            "explained": row is not None,
            "extra": label is None,
            "context": None if row is None else float(values[row, column]),
        }
    for name in matrix.rows:
        if name not in matrix.columns:
            color = group_color(CLASS_GROUP)
            nodes[name] = {"title": title_of(name), "group": CLASS_GROUP, "color": color, "label_color": color, "voxels": 0}
            nodes[name] |= {"explained": True, "extra": False, "context": None}
    edges = []
    best = {name: matrix.best(name) for name in LIMIT_OF}
    for row, name in enumerate(matrix.rows):
        if name not in nodes:
            continue
        sources = [
            column
            for column, source in enumerate(matrix.columns)
            if source in nodes and source != name and np.isfinite(values[row, column]) and values[row, column] > minimum
        ]
        sources.sort(key=lambda column: (-values[row, column], column))
        for rank, column in enumerate(sources[:top], start=1):
            attributes = {
                "weight": float(values[row, column]),
                "rank": rank,
                "mass": float(best["mass"][row, column]),
                "positive_mass": float(best["positive_mass"][row, column]),
                "negative_mass": float(best["negative_mass"][row, column]),
                "mean": float(best["mean"][row, column]),
                "enrichment": float(best["enrichment"][row, column]),
                "standard_error": float(best["standard_error"][row, column]),
            }
            edges.append((matrix.columns[column], name, attributes))
    return nodes, edges


def region_positions(
    segmentation: np.ndarray, affine: np.ndarray, labels: Sequence[Label], extra: Mapping[str, np.ndarray] | None = None
) -> dict[str, Point]:
    """Where each region lies in the coronal plane as radiologists see it.

    Args:
        segmentation: label map ``[x, y, z]`` with the labels' ``index`` as values.
        affine: voxel index to patient RAS in mm.
        labels: the model's labels; the background is left out.
        extra: further regions, name to mask ``[x, y, z]`` on the same grid.

    Returns:
        Region to ``(x, y)`` in mm of its centre of mass: x grows from the patient's right to the left (the image's left to
        right), y grows upwards. Regions without a voxel are missing.
    """
    count = max((label.index for label in labels), default=0) + 1
    voxels = np.zeros(count)
    index_sum = np.zeros((3, count))
    slow = int(np.argmax(np.abs(segmentation.strides)))  # planes that lie in one piece are read quickest
    planes: np.ndarray = np.moveaxis(segmentation, slow, 0)
    swapped = abs(planes.strides[1]) < abs(planes.strides[2])
    if swapped:
        planes = planes.swapaxes(1, 2)
    first, second = [axis for axis in range(3) if axis != slow][:: -1 if swapped else 1]
    width = planes.shape[2]
    for at, plane in enumerate(planes):
        inside = np.flatnonzero(plane)
        values: np.ndarray = plane.ravel()[inside]
        here = np.bincount(values, minlength=count)[:count]
        voxels += here
        index_sum[slow] += at * here
        index_sum[first] += np.bincount(values, inside // width, minlength=count)[:count]
        index_sum[second] += np.bincount(values, inside % width, minlength=count)[:count]
    positions = {}
    for label in labels:
        if label.group != BACKGROUND and voxels[label.index] > 0:
            positions[label.name] = _coronal(index_sum[:, label.index] / voxels[label.index], affine)
    for name, mask in (extra or {}).items():
        index = np.argwhere(mask)
        if len(index):
            positions[name] = _coronal(index.mean(axis=0), affine)
    return positions


def anatomical_layout(
    names: Iterable[str],
    positions: Mapping[str, Point],
    node_size: Point | Mapping[str, Point] = (0.15, 0.11),
    aspect: float = 1.3,
) -> dict[str, Point]:
    """Place nodes at their anatomical position, moved apart until their boxes (disc and label) do not overlap.

    Args:
        names: the nodes, e.g. a graph from :func:`importance_graph`.
        positions: from :func:`region_positions`; nodes without one stand in a row below.
        node_size: width and height that a node with its label needs, as a share of the canvas' width and height; for all nodes
            or for each.
        aspect: width of the canvas divided by its height, to keep the body's proportions.

    Returns:
        Node to ``(x, y)``, both in 0..1, y upwards. Boxes overlap only where the canvas is too small for all of them.
    """
    names = list(names)
    sizes = _sizes(names, node_size)
    known = [index for index, name in enumerate(names) if name in positions]
    missing = [index for index, name in enumerate(names) if name not in positions]
    floor = sizes[missing, 1].max() if missing else 0.0
    placed: dict[str, Point] = {}
    if known:
        size = sizes[known]
        low, high = size / 2 + [0.0, floor], 1 - size / 2
        points = np.array([positions[names[index]] for index in known])
        middle, extent = (points.min(axis=0) + points.max(axis=0)) / 2, np.maximum(np.ptp(points, axis=0), 1e-6)
        inner_low, inner_high = low.max(axis=0), high.min(axis=0)
        fit = np.maximum(inner_high - inner_low, 0.05) / extent  # what would fill the canvas
        true = min(fit[0], fit[1] / aspect)  # what keeps proportions
        scale = np.minimum(fit, 2.4 * true * np.array([1.0, aspect]))
        moved = _apart((points - middle) * scale + (inner_low + inner_high) / 2, size, low, high)
        placed = {names[index]: (float(x), float(y)) for index, (x, y) in zip(known, moved, strict=True)}
    for order, index in enumerate(missing):
        placed[names[index]] = ((order + 0.5) / len(missing), floor / 2)
    return placed


def circular_layout(
    groups: networkx.DiGraph | Mapping[str, str], node_size: Point | Mapping[str, Point] = (0.15, 0.11)
) -> dict[str, Point]:
    """Place nodes on a circle, one anatomical system after the other, starting at the top and going clockwise.

    Args:
        groups: a graph from :func:`importance_graph`, or each node's system.
        node_size: as for :func:`anatomical_layout`.

    Returns:
        Node to ``(x, y)``, both in 0..1, y upwards.
    """
    group_of = dict(groups) if isinstance(groups, Mapping) else {name: data["group"] for name, data in groups.nodes(data=True)}
    systems = list(GROUP_COLORS)
    last = systems.index(OTHER_GROUP)
    order = sorted(group_of, key=lambda name: systems.index(group_of[name]) if group_of[name] in systems else last)
    starts = {b for a, b in zip([None, *order], order, strict=False) if a is not None and group_of[a] != group_of[b]}
    steps = len(order) + 0.6 * (len(starts) + 1)  # a gap before each system
    margin_x, margin_y = _sizes(order, node_size).max(axis=0, initial=0) / 2
    placed: dict[str, Point] = {}
    at = 0.0
    for name in order:
        at += 0.6 * (name in starts)
        angle = math.pi / 2 - 2 * math.pi * at / steps
        placed[name] = (0.5 + math.cos(angle) * (0.5 - float(margin_x)), 0.5 + math.sin(angle) * (0.5 - float(margin_y)))
        at += 1
    return placed


def _sizes(names: Sequence[str], node_size: Point | Mapping[str, Point]) -> np.ndarray:
    """Box sizes ``[n, 2]``."""
    sizes = [node_size[name] if isinstance(node_size, Mapping) else node_size for name in names]
    return np.array(sizes, dtype=np.float64).reshape(-1, 2)


def _apart(points: np.ndarray, size: np.ndarray, low: np.ndarray, high: np.ndarray, rounds: int = 1500) -> np.ndarray:
    """Points within ``low`` and ``high``, moved little until boxes of ``size`` around them do not overlap; all ``[n, 2]``."""
    count = len(points)
    # equal centres need a direction; a fixed fan keeps the result the same every time
    angle = np.arange(count) * 2.399963
    moved = points + 1e-4 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    first, second = np.triu_indices(count, k=1)
    apart = (size[first] + size[second]) / 2
    nudge = np.random.default_rng(0)
    settling = True  # pulled back to their places as well; afterwards only apart, so that it ends without overlap
    for step in range(rounds):
        difference = moved[first] - moved[second]
        overlap = apart - np.abs(difference)
        touching = np.flatnonzero((overlap > 0).all(axis=1))
        if not settling and not touching.size:
            break
        along = np.argmin(overlap[touching] / apart[touching], axis=1)  # the shorter way apart
        direction = np.where(difference[touching, along] >= 0, 1.0, -1.0)
        push = np.zeros((touching.size, 2))
        push[np.arange(touching.size), along] = direction * (overlap[touching, along] / 2 + 1e-4)
        move = np.zeros_like(moved)
        np.add.at(move, first[touching], push)
        np.add.at(move, second[touching], -push)
        before = moved
        moved = moved + 0.4 * move
        if settling:
            moved += 0.03 * (points - moved)
        elif step % 20 == 0:  # three in a row against the edge block each other: shake those that still touch
            stuck = np.unique([first[touching], second[touching]])
            moved[stuck] += nudge.normal(0, 0.25, (len(stuck), 2)) * size[stuck]
        moved = np.clip(moved, low, high)
        settling = settling and step < rounds // 2 and float(np.abs(moved - before).max()) > 3e-4
    return moved


def _coronal(index: Iterable[float], affine: np.ndarray) -> Point:
    ras = np.asarray(affine)[:3, :3] @ np.array(list(index)) + np.asarray(affine)[:3, 3]
    return float(-ras[0]), float(ras[2])
