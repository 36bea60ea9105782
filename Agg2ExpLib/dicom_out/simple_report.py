"""A short report as PDF, for an export that was given none: summary, matrix, and a page for each map."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ..models.labels import title_of
from ..runs.explanation import Explanation
from ..runs.summary import summarise_explanation
from ..views.plain_text import plain_text
from ..views.planes import planes_figure
from ..views.plots import matrix_figure
from .header import MAKER, RESEARCH_ONLY

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PAGE, _LINES = (8.27, 11.69), 60  # A4 in inches
_NOTE = (
    "Research only, not a medical device: not for diagnosis or treatment. The numbers say what the model's output is sensitive to, "
    "not whether the output is right."
)


def simple_report(found: Explanation, patient: str, model: str) -> bytes:
    """The PDF.

    Args:
        found: the result.
        patient: stands in the title; the result's own id does not appear.
        model: its name.
    """
    from matplotlib.backends.backend_pdf import PdfPages

    named = replace(found, run={**found.run, "patient": patient or "Patient"})
    buffer = io.BytesIO()
    with PdfPages(buffer, metadata={"Title": f"{RESEARCH_ONLY}: {MAKER}", "CreationDate": None}) as pages:
        for page in _text_pages(named, model):
            pages.savefig(page)
        if found.matrix is not None:
            pages.savefig(matrix_figure(found.matrix, found.labels, title=RESEARCH_ONLY))
        for label in found.labels:
            if label.name in found.maps:
                outline = found.target_mask if found.target_mask is not None else found.segmentation == label.index
                figure = planes_figure(
                    found.hu, found.maps[label.name], outline, found.grid.spacing, title=f"{RESEARCH_ONLY} · {title_of(label.name)}"
                )
                pages.savefig(figure, facecolor=figure.get_facecolor())
    return buffer.getvalue()


def _text_pages(found: Explanation, model: str) -> Iterator[Figure]:
    told = summarise_explanation(found).splitlines()
    lines = [part for line in told for part in textwrap.wrap(line, 104, subsequent_indent="      ")]
    for start in range(0, max(len(lines), 1), _LINES):
        yield _text_page(lines[start : start + _LINES], model)


@plain_text
def _text_page(lines: list[str], model: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=_PAGE, facecolor="white")
    figure.text(0.08, 0.95, f"{RESEARCH_ONLY} · {MAKER}", size=15, weight="bold", va="top")
    figure.text(0.08, 0.92, "\n".join(textwrap.wrap(f"What {model} leaned on", 80)), size=11, va="top")
    figure.text(0.08, 0.87, "\n".join(lines), size=7.5, va="top", family="monospace", linespacing=1.3)
    figure.text(0.08, 0.04, "\n".join(textwrap.wrap(_NOTE, 110)), size=8, va="bottom")
    return figure
