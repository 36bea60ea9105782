"""The importance graph and its layouts, without any drawing: shared by the figures and by Slicer's panel.

Nodes are regions, an edge ``b → a`` carries ``E[a, b]``: how much of label a's attribution falls into region b (METHOD section 4).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .labels import BACKGROUND, GROUP_COLORS, OTHER_GROUP, PATHOLOGY_GROUP, Label, group_color

if TYPE_CHECKING:
    import networkx

    from .importance import ImportanceMatrix

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
        labels: the model's labels; regions not among them (extra RoIs) count as pathologies.
        variant: ``absolute``, ``positive``, ``negative``, ``mean`` or ``enrichment``.
        top: keep the strongest edges into each node, this many; None keeps all.
        background: whether the background is a node.
        minimum: edges of this weight or less are left out.

    Returns:
        A DiGraph of the regions that have voxels or are explained.

        Node attributes: ``title``, ``group``, ``color`` (of the system, 0..255), ``label_color``, ``voxels``, ``explained``,
        ``extra``, ``context`` (``E[a, a]``; None where not explained). Edge attributes: ``weight`` (the variant), ``rank`` (1 is
        the strongest into its node), ``mass``, ``positive_mass``, ``negative_mass``, ``mean``, ``enrichment``,
        ``standard_error``. A region's share in itself is its ``context`` and no edge. Graph attribute: ``variant``.

    Raises:
        ValueError: for an unknown variant.
    """
    import networkx

    values = matrix.variant(variant)
    by_name = {label.name: label for label in labels}
    graph = networkx.DiGraph(variant=variant)
    for column, name in enumerate(matrix.columns):
        label = by_name.get(name)
        is_background = label.group == BACKGROUND if label else name == BACKGROUND
        if is_background and not background:
            continue
        row = matrix.rows.index(name) if name in matrix.rows else None
        if row is None and matrix.roi_voxels[column] == 0:
            continue
        group = label.group if label else PATHOLOGY_GROUP
        graph.add_node(
            name,
            title=label.title if label else name.replace("_", " ").capitalize(),
            group=group,
            color=group_color(group),
            label_color=label.color if label else group_color(group),
            voxels=int(matrix.roi_voxels[column]),
            explained=row is not None,
            extra=label is None,
            context=None if row is None else float(values[row, column]),
        )
    for row, name in enumerate(matrix.rows):
        if name not in graph:
            continue
        sources = [
            column
            for column, source in enumerate(matrix.columns)
            if source in graph and source != name and np.isfinite(values[row, column]) and values[row, column] > minimum
        ]
        sources.sort(key=lambda column: (-values[row, column], column))
        for rank, column in enumerate(sources[:top], start=1):
            graph.add_edge(
                matrix.columns[column],
                name,
                weight=float(values[row, column]),
                rank=rank,
                mass=float(matrix.mass[row, column]),
                positive_mass=float(matrix.positive_mass[row, column]),
                negative_mass=float(matrix.negative_mass[row, column]),
                mean=float(matrix.mean[row, column]),
                enrichment=float(matrix.enrichment[row, column]),
                standard_error=float(matrix.standard_error[row, column]),
            )
    return graph


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
    axes = [np.arange(size, dtype=np.float64) for size in segmentation.shape]
    plane_y = np.broadcast_to(axes[1][:, None], segmentation.shape[1:]).ravel()
    plane_z = np.broadcast_to(axes[2][None, :], segmentation.shape[1:]).ravel()
    for x in range(segmentation.shape[0]):
        values = np.asarray(segmentation[x]).ravel()
        here = np.bincount(values, minlength=count)[:count]
        voxels += here
        index_sum[0] += x * here
        index_sum[1] += np.bincount(values, plane_y, minlength=count)[:count]
        index_sum[2] += np.bincount(values, plane_z, minlength=count)[:count]
    positions = {}
    for label in labels:
        if label.group != BACKGROUND and voxels[label.index] > 0:
            positions[label.name] = _coronal(index_sum[:, label.index] / voxels[label.index], affine)
    for name, mask in (extra or {}).items():
        inside = np.argwhere(mask)
        if len(inside):
            positions[name] = _coronal(inside.mean(axis=0), affine)
    return positions


def anatomical_layout(
    graph: networkx.DiGraph, positions: Mapping[str, Point], node_size: Point = (0.15, 0.11), aspect: float = 1.3
) -> dict[str, Point]:
    """Place nodes at their anatomical position, moved apart until their boxes (disc and label) do not overlap.

    Args:
        graph: from :func:`importance_graph`.
        positions: from :func:`region_positions`; nodes without one stand in a row below.
        node_size: width and height that a node with its label needs, as a share of the canvas' width and height.
        aspect: width of the canvas divided by its height, to keep the body's proportions.

    Returns:
        Node to ``(x, y)``, both in 0..1, y upwards. Boxes overlap only where the canvas is too small for all of them.
    """
    size = np.array(node_size)
    known = [name for name in graph if name in positions]
    missing = [name for name in graph if name not in positions]
    floor = node_size[1] if missing else 0.0
    low, high = np.array([size[0] / 2, size[1] / 2 + floor]), 1 - size / 2
    placed: dict[str, Point] = {}
    if known:
        points = np.array([positions[name] for name in known])
        middle, extent = (points.min(axis=0) + points.max(axis=0)) / 2, np.maximum(np.ptp(points, axis=0), 1e-6)
        fit = (high - low) / extent  # what would fill the canvas
        true = min(fit[0], fit[1] / aspect)  # what keeps proportions
        scale = np.minimum(fit, 2.4 * true * np.array([1.0, aspect]))
        moved = _apart((points - middle) * scale + (low + high) / 2, size, low, high)
        placed = {name: (float(x), float(y)) for name, (x, y) in zip(known, moved, strict=True)}
    for order, name in enumerate(missing):
        placed[name] = ((order + 0.5) / len(missing), node_size[1] / 2)
    return placed


def circular_layout(graph: networkx.DiGraph, node_size: Point = (0.15, 0.11)) -> dict[str, Point]:
    """Place nodes on a circle, one anatomical system after the other, starting at the top and going clockwise.

    Returns:
        Node to ``(x, y)``, both in 0..1, y upwards.
    """
    groups = list(GROUP_COLORS)
    last = groups.index(OTHER_GROUP)
    order = sorted(graph, key=lambda name: groups.index(group) if (group := graph.nodes[name]["group"]) in groups else last)
    starts = [a for a, b in zip(order, [None, *order], strict=False) if b is None or _group(graph, a) != _group(graph, b)]
    steps = len(order) + 0.6 * len(starts)  # a gap before each system
    placed: dict[str, Point] = {}
    at = 0.0
    for name in order:
        if name in starts and placed:
            at += 0.6
        angle = math.pi / 2 - 2 * math.pi * at / max(steps, 1)
        placed[name] = (math.cos(angle), math.sin(angle))
        at += 1
    margin_x, margin_y = node_size[0] / 2, node_size[1] / 2
    return {name: (0.5 + x * (0.5 - margin_x), 0.5 + y * (0.5 - margin_y)) for name, (x, y) in placed.items()}


def _apart(points: np.ndarray, size: np.ndarray, low: np.ndarray, high: np.ndarray, rounds: int = 1500) -> np.ndarray:
    """Points ``[n, 2]`` within ``low`` and ``high``, moved little until boxes of ``size`` around them do not overlap."""
    count = len(points)
    # equal centres need a direction; a fixed fan keeps the result the same every time
    angle = np.arange(count) * 2.399963
    moved = points + 1e-4 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    first, second = np.triu_indices(count, k=1)
    nudge = np.random.default_rng(0)
    for step in range(rounds):
        difference = moved[first] - moved[second]
        overlap = size - np.abs(difference)
        touching = np.flatnonzero((overlap > 0).all(axis=1))
        if step >= rounds // 2 and not touching.size:
            break
        along = np.argmin(overlap[touching] / size, axis=1)  # the shorter way apart
        direction = np.where(difference[touching, along] >= 0, 1.0, -1.0)
        push = np.zeros((touching.size, 2))
        push[np.arange(touching.size), along] = direction * (overlap[touching, along] / 2 + 1e-4)
        move = np.zeros_like(moved)
        np.add.at(move, first[touching], push)
        np.add.at(move, second[touching], -push)
        moved += 0.4 * move
        if step < rounds // 2:  # afterwards only apart, so that it ends without overlap
            moved += 0.03 * (points - moved)
        elif step % 20 == 0:  # three in a row against the edge block each other: shake those that still touch
            stuck = np.unique([first[touching], second[touching]])
            moved[stuck] += nudge.normal(0, 0.25, (len(stuck), 2)) * size
        moved = np.clip(moved, low, high)
    return moved


def _coronal(index: Iterable[float], affine: np.ndarray) -> Point:
    ras = np.asarray(affine)[:3, :3] @ np.array(list(index)) + np.asarray(affine)[:3, 3]
    return float(-ras[0]), float(ras[2])


def _group(graph: networkx.DiGraph, name: Hashable) -> str:
    return str(graph.nodes[name]["group"])
