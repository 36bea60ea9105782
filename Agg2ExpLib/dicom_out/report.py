"""The report that goes into an export that was given none: that of ``agg2exp report``, without the patient unless wanted."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from ..reports.contents import contents_of
from ..reports.pdf import write_pdf
from ..runs.explanation import Explanation
from .header import Header


def made_report(found: Explanation, answers: Path | None, header: Header) -> bytes | None:
    """The PDF; None where nothing was explained.

    Args:
        found: the result.
        answers: folder with its answered what-if questions, if any.
        header: says whether, and how, the patient is named.

    Raises:
        InputError: answers that cannot be read.
    """
    if found.matrix is None:
        return None
    if header.with_identity:
        run = {**found.run, "patient": str(header.source.header.PatientName)}
    else:
        # The result's own id and what the run had to say may hold names of files, which may name the patient.
        run = {**found.run, "patient": header.pseudonym or "Patient", "notices": []}
    with tempfile.TemporaryDirectory(prefix="agg2exp-") as folder:
        path = Path(folder) / "report.pdf"
        write_pdf(path, contents_of(replace(found, run=run), answers))
        return path.read_bytes()
