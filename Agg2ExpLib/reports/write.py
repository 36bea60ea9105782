"""Reports as files."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from ..system.files import replacing
from .contents import gather

HTML_FILE, PDF_FILE = "report.html", "report.pdf"


def write_report(result: Path, output: Path | None = None, reference: Path | None = None, pdf: bool = True) -> list[Path]:
    """Write the report of a result.

    Args:
        result: results folder with maps.
        output: folder to write ``report.html`` and ``report.pdf`` to; by default the result itself.
        reference: of a cohort to compare with.
        pdf: whether the document to print is written too.

    Returns:
        The files written; existing ones of the name are replaced.

    Raises:
        InputError: no results folder with maps, a reference that does not fit, or a folder that cannot be written to.
    """
    contents = gather(result, reference)
    folder = output or result
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        from .html import write_html

        with replacing(folder / HTML_FILE) as temporary:
            write_html(temporary, contents)
        written.append(folder / HTML_FILE)
        if pdf:
            from .pdf import write_pdf

            with replacing(folder / PDF_FILE) as temporary:
                write_pdf(temporary, contents)
            written.append(folder / PDF_FILE)
    except OSError as error:
        raise InputError(f"Cannot write to {folder} ({error.strerror or error}): choose another ⟨output⟩.") from error
    return written
