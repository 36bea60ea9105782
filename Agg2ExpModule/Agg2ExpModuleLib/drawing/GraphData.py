"""What the graph and the matrix of the panel show, as plain data: no Qt, no arrays, nothing to compute."""

from __future__ import annotations

from dataclasses import dataclass

Color = tuple[int, int, int]


@dataclass(frozen=True)
class GraphNode:
    """A region; where it is explained also a label with edges into it.

    Attributes:
        name: the region's name in the results.
        title: as people read it; ``shortTitle`` where there is little room.
        color: of its anatomical system, 0..255; ``group`` names the system.
        position: where it lies, both 0..1, y upwards, x from the patient's right to the left; None when that is not known.
        share: what part (0..1) of the label's own attribution lies in itself; None where it is not explained or no share.
        shareText: the same as short text, e.g. ``18 %``.
        explained: whether the label has a map.
        extra: whether it is a further region and no label of the model.
        tip: what hovering tells, several lines.
    """

    name: str
    title: str
    shortTitle: str
    color: Color
    group: str
    position: tuple[float, float] | None
    share: float | None
    shareText: str
    explained: bool
    extra: bool
    tip: str


@dataclass(frozen=True)
class GraphEdge:
    """How much a label leans on a region: the arrow runs from the region (``source``) to the label (``target``).

    Attributes:
        source: name of the region.
        target: name of the explained label.
        weight: the value; ``relative`` is the same divided by the strongest weight of all edges.
        rank: 1 for the strongest edge into its target.
        text: the value as short text, e.g. ``12 %``.
        error: Monte-Carlo standard error of the weight, None where it is not known.
        tip: what hovering tells, several lines.
        sign: of a difference, whose size is the weight: 1 for more, -1 for less; 0 where weights have no sign.
    """

    source: str
    target: str
    weight: float
    relative: float
    rank: int
    text: str
    error: float | None
    tip: str
    sign: int = 0


@dataclass(frozen=True)
class GraphData:
    """A whole graph.

    Attributes:
        nodes: in the order of the matrix' columns.
        edges: the strongest into a node first.
        layout: ``anatomical`` or ``circle``.
        legend: title and colour of each anatomical system that occurs.
        caption: what a weight is, one sentence.
        strongestText: the strongest weight as text, for the key of line widths; empty without edges.
        signs: what the arrows of either sign mean, as text and sign; empty where weights have no sign.
    """

    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    layout: str
    legend: tuple[tuple[str, Color], ...]
    caption: str
    strongestText: str
    signs: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class MatrixHeader:
    """Title of a row or column of the matrix; attributes as of :class:`GraphNode`."""

    name: str
    title: str
    shortTitle: str
    color: Color
    group: str
    extra: bool = False
    background: bool = False


@dataclass(frozen=True)
class MatrixCell:
    """A cell of the matrix.

    Attributes:
        text: the value in few characters, ``–`` where there is none.
        strength: 0..1 for the colour; None without a value.
        own: whether the region is the explained label itself.
        tip: what hovering tells, several lines.
        sign: of a difference, whose size is the strength.
    """

    text: str
    strength: float | None
    own: bool
    tip: str
    sign: int = 0


@dataclass(frozen=True)
class MatrixData:
    """The whole matrix: ``cells[row][column]``; ``caption`` says what a number is, ``scale`` is the strongest colour's value.

    With ``signed`` the colours run from the negative of that value to it.
    """

    rows: tuple[MatrixHeader, ...]
    columns: tuple[MatrixHeader, ...]
    cells: tuple[tuple[MatrixCell, ...], ...]
    caption: str
    scale: str
    signed: bool = False
