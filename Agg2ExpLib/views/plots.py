"""The importance matrix as a heat map and the importance graph as figures (PNG, SVG or PDF by suffix)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..models.labels import BACKGROUND, CLASS_GROUP, GROUP_COLORS, Label, group_color, title_of
from ..roi_importance.graph import Point, anatomical_layout, circular_layout
from ..system.files import replacing
from .plain_text import PLAIN_TEXT, plain_text

if TYPE_CHECKING:
    import networkx
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..roi_importance.matrix import ImportanceMatrix

_VARIANTS = {
    "absolute": "share of the label's attribution that falls into the region, %",
    "mass": "share of the label's attribution that falls into the region, %",
    "positive": "share of the label's supporting attribution that falls into the region, %",
    "negative": "share of the label's opposing attribution that falls into the region, %",
    "mean": "mean |attribution| per voxel of the region, % of the row's largest",
    "enrichment": "share of attribution ÷ share of volume (1 = chance)",
}
_SHARES = ("absolute", "mass", "positive", "negative")
_INK, _FAINT = "#1d2126", "#6b7178"
_BEND = 0.14
_DISC_LIFT = 0.16  # inches that a disc is above the middle of its box; the title is below


def save_matrix_plot(
    matrix: ImportanceMatrix, labels: Sequence[Label], path: Path, variant: str = "absolute", errors: bool = False, title: str = ""
) -> None:
    """Heat map: a row for each explained label, a column for each region, values in the cells.

    The background takes most of the mass by its size alone: it stands apart in grey and does not set the colour scale; extra
    regions form a block of their own.

    Args:
        matrix: local or global RoI importance.
        labels: the model's labels, for readable names.
        path: ``.png``, ``.svg`` or ``.pdf``.
        variant: see :meth:`~Agg2ExpLib.roi_importance.matrix.ImportanceMatrix.variant`.
        errors: write the Monte-Carlo standard error below each value (``absolute`` only).
        title: e.g. the patient.

    Raises:
        InputError: the file cannot be written or its suffix is unknown.
        ValueError: for an unknown variant.
    """
    save_figure(matrix_figure(matrix, labels, variant, errors, title), path)


def save_graph_plot(
    graph: networkx.DiGraph,
    path: Path,
    positions: Mapping[str, Point] | None = None,
    layout: str = "anatomical",
    title: str = "",
) -> None:
    """Draw an importance graph: colour by anatomical system, edge width by weight, values at the strongest edge into each node.

    Args:
        graph: from :func:`Agg2ExpLib.roi_importance.graph.importance_graph`.
        path: ``.png``, ``.svg`` or ``.pdf``.
        positions: from :func:`Agg2ExpLib.roi_importance.graph.region_positions`; without them the layout is circular.
        layout: ``anatomical`` or ``circular``.
        title: e.g. the patient.

    Raises:
        InputError: the file cannot be written or its suffix is unknown.
    """
    save_figure(graph_figure(graph, positions, layout, title), path)


def save_figure(figure: Figure, path: Path, dpi: int = 150) -> None:
    """Write a figure beside its place and rename it; the suffix chooses the format.

    The same figure gives the same file: no date, no random ids.

    Raises:
        InputError: unknown suffix, or the file cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise InputError(f"Figures are written as .png, .svg or .pdf, not as '{path.name}': choose one of these suffixes.")
    canvas = FigureCanvasAgg(figure)
    try:
        with rc_context({"svg.hashsalt": "agg2exp", "svg.fonttype": "none", **PLAIN_TEXT}), replacing(path) as temporary:
            if path.suffix.lower() == ".png":  # without alpha and lightly compressed: half the time
                figure.set_dpi(dpi)
                canvas.draw()
                picture = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
                picture.save(temporary, compress_level=3, dpi=(dpi, dpi))
            else:
                date = "Date" if path.suffix.lower() == ".svg" else "CreationDate"
                canvas.print_figure(temporary, dpi=dpi, facecolor=figure.get_facecolor(), metadata={date: None})
    except OSError as error:
        raise InputError(f"Cannot write {path} ({error.strerror or error}): choose another folder.") from None


@plain_text
def matrix_figure(
    matrix: ImportanceMatrix, labels: Sequence[Label], variant: str = "absolute", errors: bool = False, title: str = ""
) -> Figure:
    """The figure of :func:`save_matrix_plot`."""
    from matplotlib.colors import Normalize, PowerNorm
    from matplotlib.figure import Figure

    order = sorted(range(len(matrix.rows)), key=lambda row: matrix.rows[row] == BACKGROUND)
    values = matrix.variant(variant).astype(np.float64)
    if variant in _SHARES:
        values = values * 100
    elif variant == "mean":
        with np.errstate(invalid="ignore"):
            values = 100 * values / np.nanmax(np.where(np.isfinite(values), values, 0), axis=1, keepdims=True, initial=1e-300)
    blocks = _blocks(matrix)
    count = sum(len(block) for block in blocks)
    cell = 0.62 if count > 8 else 0.8
    titles = {name: title_of(name) for name in (*matrix.rows, *matrix.columns)} | {label.name: label.title for label in labels}
    longest = max(len(titles[name]) for name in matrix.columns)
    left, right, below, above = 2.1, 0.4, 0.25 + 0.063 * longest, 1.25
    width = left + right + cell * (count + 0.5 * (len(blocks) - 1))
    tall = 0.55 if errors else 0.46
    height = below + above + tall * max(len(matrix.rows), 1)
    figure = Figure(figsize=(max(width, 7.0), height), facecolor="white")
    if not matrix.rows:
        figure.text(0.5, 0.5, "No label was explained.", size=12, color=_FAINT, ha="center")
        return figure
    width = figure.get_figwidth()
    inner = [column for block in blocks for column in block if matrix.columns[column] != BACKGROUND]
    strongest = float(np.nanmax(values[:, inner], initial=0)) if inner and len(matrix.rows) else 0.0
    top = strongest or 1.0
    norm = PowerNorm(0.5, 0, top)
    at, image = left, None
    for block in blocks:
        axes = figure.add_axes((at / width, below / height, cell * len(block) / width, tall * len(matrix.rows) / height))
        grey = matrix.columns[block[0]] == BACKGROUND
        shown = values[np.ix_(order, block)]
        drawn = axes.imshow(shown, cmap="Greys" if grey else "YlOrRd", norm=Normalize(0, 160) if grey else norm, aspect="auto")
        image = image if grey else drawn
        _write_cells(axes, matrix, order, block, shown, drawn, errors and variant in ("absolute", "mass"))
        axes.set_xticks(range(len(block)), [titles[matrix.columns[c]] for c in block])
        for text in axes.get_xticklabels():
            text.set(rotation=45, ha="right", rotation_mode="anchor", size=9, color=_INK)
        first = at == left
        axes.set_yticks(range(len(matrix.rows)), [titles[matrix.rows[r]] for r in order] if first else [])
        axes.tick_params(length=0, labelsize=9, labelcolor=_INK)
        for spine in axes.spines.values():
            spine.set_visible(False)
        at += cell * (len(block) + 0.5)
    kind = "label" if set(matrix.rows) & set(matrix.columns) else "class"
    figure.text(
        0.25 / width, 1 - 0.32 / height, "RoI importance" + (f" · {title}" if title else ""), size=13, weight="bold", color=_INK
    )
    figure.text(
        0.25 / width,
        1 - 0.58 / height,
        f"Rows: explained {kind}. Columns: region. Cell: {_VARIANTS[variant]}.",
        size=9,
        color=_FAINT,
    )
    if image is not None:
        bar = figure.add_axes(((left) / width, 1 - 0.95 / height, 2.2 / width, 0.11 / height))
        ticks = [part * top for part in (0, 1 / 16, 1 / 4, 1)]  # evenly spaced on the square-root scale
        figure.colorbar(image, cax=bar, orientation="horizontal", ticks=ticks, format="%.2g")
        bar.tick_params(labelsize=7.5, length=2, pad=1, labelcolor=_FAINT)
    return figure


@plain_text
def graph_figure(
    graph: networkx.DiGraph, positions: Mapping[str, Point] | None = None, layout: str = "anatomical", title: str = ""
) -> Figure:
    """The figure of :func:`save_graph_plot`."""
    from matplotlib.figure import Figure

    size = (12.5, 9.0)
    figure = Figure(figsize=size, facecolor="white")
    axes = figure.add_axes((0.01, 0.07, 0.98, 0.83))
    axes.set_axis_off()
    width, height = size[0] * 0.98, size[1] * 0.83  # inches, so that discs are round
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    node_size = (1.75 / width, 1.02 / height)
    if layout == "anatomical" and positions:
        unit = anatomical_layout(graph, positions, node_size, width / height)
    else:
        unit = circular_layout(graph, node_size)
    places = {name: (x * width, y * height) for name, (x, y) in unit.items()}
    weights = [data["weight"] for _, _, data in graph.edges(data=True)]
    strongest = max(weights, default=1.0)
    share = graph.graph.get("variant", "absolute") in _SHARES
    discs = {name: (x, y + _DISC_LIFT) for name, (x, y) in places.items()}
    taken = [(x, y, 0.6, 0.34) for x, y in discs.values()] + [(x, y - 0.3, 1.1, 0.3) for x, y in places.values()]
    for source, target, data in sorted(graph.edges(data=True), key=lambda edge: -edge[2]["weight"]):
        relative = data["weight"] / strongest
        _draw_edge(axes, discs[source], discs[target], relative, graph.nodes[source]["color"])
        if data["rank"] == 1 or relative > 0.5:
            text = f"{_cell(100 * data['weight'])} %" if share else f"{data['weight']:.3g}"
            _write_weight(axes, discs[source], discs[target], text, taken)
    used = {name for edge in graph.edges for name in edge}
    for name, data in graph.nodes(data=True):
        _draw_node(axes, places[name], data, name in used or data["explained"], share)
    _graph_legend(figure, graph, strongest, share, title)
    if layout == "anatomical" and positions:
        for x, text in ((0.012, "R"), (0.975, "L")):
            figure.text(x, 0.5, text, size=15, weight="bold", color="#b4b9bf", va="center")
    return figure


def _blocks(matrix: ImportanceMatrix) -> list[list[int]]:
    """Columns of the model's labels, of the extra regions, and the background last."""
    names = matrix.columns
    own = [index for index, name in enumerate(names) if name != BACKGROUND and name not in matrix.extra]
    extra = [index for index, name in enumerate(names) if name in matrix.extra]
    background = [index for index, name in enumerate(names) if name == BACKGROUND and name not in matrix.extra]
    return [block for block in (own, extra, background) if block]


def _write_cells(
    axes: Axes, matrix: ImportanceMatrix, order: list[int], block: list[int], shown: np.ndarray, image: Any, errors: bool
) -> None:
    from matplotlib.patches import Rectangle

    for line, row in enumerate(order):
        for position, column in enumerate(block):
            value = shown[line, position]
            if not np.isfinite(value) or matrix.roi_voxels[column] == 0:
                axes.add_patch(Rectangle((position - 0.5, line - 0.5), 1, 1, facecolor="#f3f4f5", edgecolor="none"))
                axes.text(position, line, "–", ha="center", va="center", size=8, color=_FAINT)
                continue
            red, green, blue, _ = image.to_rgba(value)
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
            text = _cell(value)
            error = matrix.best("standard_error")[row, column]
            if errors and np.isfinite(error):
                text += f"\n±{100 * error:.2f}"
            axes.text(position, line, text, ha="center", va="center", size=8, color="white" if dark else _INK, linespacing=1.0)
            if matrix.columns[column] == matrix.rows[row]:
                axes.add_patch(Rectangle((position - 0.47, line - 0.46), 0.94, 0.92, fill=False, edgecolor=_INK, linewidth=1.3))


def _cell(value: float) -> str:
    if value != 0 and abs(value) < 0.05:
        return "<0.1" if value > 0 else ">−0.1"
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def _draw_edge(axes: Axes, start: Point, end: Point, relative: float, color: Sequence[int]) -> None:
    from matplotlib.patches import FancyArrowPatch

    arrow = FancyArrowPatch(
        start,
        end,
        connectionstyle=f"arc3,rad={_BEND}",
        arrowstyle=f"-|>,head_length={5 + 6 * relative},head_width={2.5 + 3.5 * relative}",
        linewidth=0.7 + 6.3 * relative,
        color=_rgb(color),
        alpha=0.35 + 0.45 * relative,
        shrinkA=21,
        shrinkB=23,
        mutation_scale=1,
        zorder=1 + relative,
    )
    axes.add_patch(arrow)


def _write_weight(axes: Axes, start: Point, end: Point, text: str, taken: list[tuple[float, float, float, float]]) -> None:
    """A number on an edge's curve where it covers no disc, title or earlier number (as x, y, width, height in ``taken``)."""
    (x0, y0), (x1, y1) = start, end
    # control point of the quadratic curve that arc3 draws
    xc, yc = (x0 + x1) / 2 + _BEND * (y1 - y0), (y0 + y1) / 2 - _BEND * (x1 - x0)
    width, height = 0.5, 0.2
    for t in (0.5, 0.42, 0.58, 0.35, 0.65, 0.28, 0.72):
        x = (1 - t) ** 2 * x0 + 2 * t * (1 - t) * xc + t**2 * x1
        y = (1 - t) ** 2 * y0 + 2 * t * (1 - t) * yc + t**2 * y1
        if not any(abs(x - a) < (width + w) / 2 and abs(y - b) < (height + h) / 2 for a, b, w, h in taken):
            break
    else:
        return  # no free place: the line's width tells
    taken.append((x, y, width, height))
    box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    axes.text(x, y, text, size=8, ha="center", va="center", color=_INK, bbox=box, zorder=6)


def _draw_node(axes: Axes, place: Point, data: dict, strong: bool, share: bool) -> None:
    from matplotlib.patches import Circle

    alpha = 1.0 if strong else 0.6
    x, y = place[0], place[1] + _DISC_LIFT
    face, edge = (_rgb(data["color"]), "white") if strong else ("white", _rgb(data["color"]))
    axes.add_patch(Circle((x, y), 0.29 if strong else 0.2, facecolor=face, edgecolor=edge, linewidth=1.5, alpha=alpha, zorder=4))
    if data["context"] is not None and np.isfinite(data["context"]):
        percent = 100 * data["context"]
        text = f"{percent:.0f} %" if percent >= 9.95 and share else f"{percent:.1f} %" if share else f"{data['context']:.2g}"
        axes.text(x, y, text, size=9, weight="bold", ha="center", va="center", color="white", zorder=7)
    axes.text(
        x,
        y - (0.34 if strong else 0.25),
        _wrapped(data["title"]),
        size=9,
        ha="center",
        va="top",
        color=_INK,
        alpha=alpha,
        zorder=7,
        linespacing=0.95,
        bbox={"boxstyle": "square,pad=0.05", "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
    )


def _graph_legend(figure: Figure, graph: networkx.DiGraph, strongest: float, share: bool, title: str) -> None:
    from matplotlib.lines import Line2D

    figure.text(
        0.02, 0.962, "RoI importance graph" + (f" · {title}" if title else ""), size=14, weight="bold", color=_INK, va="center"
    )
    classes = any(data["group"] == CLASS_GROUP for _, data in graph.nodes(data=True))
    what = f"{'share' if share else graph.graph.get('variant')} of what the classifier leaned on for class a"
    note = (
        f"Arrow b → a: {what} that {'falls into' if share else 'lies in'} region b."
        if classes
        else "Arrow b → a: share of a's attribution that falls into b. In a disc: the share inside the label's own segment."
        if share
        else f"Arrow b → a: {graph.graph.get('variant')} of a's attribution in b. In a disc: inside the label's own segment."
    )
    figure.text(0.02, 0.928, note, size=9.5, color=_FAINT, va="center")
    groups = [group for group in GROUP_COLORS if any(data["group"] == group for _, data in graph.nodes(data=True))]
    handles = [
        Line2D([], [], marker="o", linestyle="", markersize=10, color=_rgb(group_color(group)), label=group) for group in groups
    ]
    if graph.number_of_edges():
        for part in (0.25, 1.0):
            text = f"{_cell(100 * part * strongest)} %" if share else f"{part * strongest:.3g}"
            handles.append(Line2D([], [], linewidth=0.7 + 6.3 * part, color="#8a9097", label=text))
    figure.legend(
        handles=handles,
        loc="lower center",
        ncols=len(handles),
        frameon=False,
        fontsize=9.5,
        bbox_to_anchor=(0.5, 0.008),
        handletextpad=0.7,
        handlelength=2.6,
        columnspacing=1.8,
    )


def _wrapped(title: str) -> str:
    """A title on at most two lines of about equal length."""
    if len(title) <= 13 or " " not in title:
        return title
    words = title.split()
    cuts = [(" ".join(words[:i]), " ".join(words[i:])) for i in range(1, len(words))]
    first, second = min(cuts, key=lambda cut: max(len(cut[0]), len(cut[1])))
    return f"{first}\n{second}"


def _rgb(color: Sequence[int]) -> tuple[float, float, float]:
    red, green, blue = color[0], color[1], color[2]
    return red / 255, green / 255, blue / 255
