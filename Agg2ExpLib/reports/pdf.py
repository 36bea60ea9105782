"""A report on one patient as a PDF to print or to file."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..models.labels import title_of
from ..roi_importance.graph import importance_graph
from ..runs.summary import told_classes
from ..views.plain_text import plain_text
from ..views.planes import planes_figure
from ..views.plots import graph_figure, matrix_figure
from ..views.slice_figure import slice_figure
from .contents import Contents
from .facts import RESEARCH_ONLY, facts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_A4 = (8.27, 11.69)
_COLUMNS, _LINE = 96, 0.0165  # letters of a line; a line's share of a page


def write_pdf(path: Path, contents: Contents) -> None:
    """Write the document: words and settings, graph, matrix, and three planes for each explained label.

    Args:
        path: of the document.
        contents: see :func:`~.contents.gather`.

    Raises:
        OSError: it cannot be written.
    """
    from matplotlib.backends.backend_pdf import PdfPages

    title = f"Agg2Exp report: {contents.found.patient}"
    # No date of its own, so that the same report is the same file.
    with PdfPages(path, metadata={"Title": title, "Subject": "Research only", "CreationDate": None}) as document:
        for figure in _figures(contents):
            document.savefig(figure)


def _figures(contents: Contents) -> Iterator[Figure]:
    found = contents.found
    yield from _words(contents)
    yield graph_figure(importance_graph(contents.matrix, found.labels))
    yield matrix_figure(contents.matrix, found.labels)
    for name in found.slices.classes if found.slices is not None else ():
        yield slice_figure(found.slices, name, found.patient)  # type: ignore[arg-type]
    for name, values in found.maps.items():
        index = next((label.index for label in found.labels if label.name == name), None)
        outline = found.target_mask if found.target_mask is not None else found.segmentation == index
        at = contents.spots[name][0].voxel if contents.spots[name] else None
        title = f"{found.patient}: {title_of(name)}"
        yield planes_figure(found.hu, np.asarray(values), outline, found.grid.spacing, at=at, title=title)


@plain_text
def _words(contents: Contents) -> list[Figure]:
    """Pages of text."""
    from matplotlib.figure import Figure

    lines: list[tuple[str, float, bool]] = [(f"{contents.title} {contents.found.patient}", 15, True), ("", 9, False)]

    def paragraph(text: str, size: float = 9, bold: bool = False, indent: str = "") -> None:
        lines.extend((line, size, bold) for line in textwrap.wrap(text, _COLUMNS, subsequent_indent=indent) or [""])

    def heading(text: str) -> None:
        lines.extend([("", 9, False), (text, 11.5, True)])

    paragraph(f"Research only. {RESEARCH_ONLY}", bold=True)
    if classes := contents.found.run.get("classes"):
        heading("What the classifier says")
        paragraph(told_classes(classes))
    heading("In words")
    for row, sentences in contents.sentences.items():
        paragraph(" ".join(sentences))
        for spot in contents.spots[row][:3]:
            place = " ".join(f"{value:.0f}" for value in spot.place)
            words = f"{100 * spot.share:.1f} % in {spot.volume_ml:.1f} ml, {title_of(spot.region).lower()}, RAS {place} mm"
            paragraph(f"     hot spot: {words}", indent="     ")
        lines.append(("", 5, False))
    for question in contents.questions:
        heading(f"What if: {question.title}")
        for label, before, after, change, dice in question.rows[:6]:
            paragraph(f"{title_of(label)}: {before:.1f} ml before, {after:.1f} ml after ({change:+.1f} %), Dice {dice:.3f}")
    heading("Model and settings")
    for name, value in facts(contents.found):
        paragraph(f"{name}: {value}", indent="     ")
    if notices := contents.found.run.get("notices"):
        heading("What the run had to say")
        for notice in notices:
            paragraph(f"– {notice}", indent="  ")
    pages: list[Figure] = []
    at = 0.0
    for text, size, bold in lines:
        if not pages or at < 0.06:
            pages.append(Figure(figsize=_A4))
            at = 0.95
        weight = "bold" if bold else "normal"
        pages[-1].text(0.08, at, text, fontsize=size, fontweight=weight, va="top", color="#1d2126")
        at -= _LINE * size / 9
    for number, page in enumerate(pages, start=1):
        page.text(0.92, 0.03, f"{contents.found.patient} · research only · {number}", fontsize=7, ha="right", color="#6b7178")
    return pages
