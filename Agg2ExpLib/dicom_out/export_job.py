"""A result as DICOM in a process of its own, for Slicer's panel: ``python -m Agg2ExpLib.dicom_out.export_job JOB.json``.

The job's entries:

- ``output``: folder to write; it appears when it is whole.
- ``files``: the DICOM files of the CT that was explained, wherever they lie.
- ``work``: a folder for what is needed on the way; whoever made it deletes it.
- ``result``: null, or the results folder; else ``parts``: those of one, and ``patient``, ``labels`` and ``matrix``, all as in
  ``views.export_job``.
- ``answers``: null, or the folder with answered what-if questions.
- ``with_identity``: whether patient, study and dates are as in the source.
- ``packages``: folders that are looked into first for packages.

The events are those of a run; ``done`` tells the files that were ``written``.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..monitor import Monitor
from ..runs.runner import work_with_events


def run_job(job: Mapping[str, Any], monitor: Monitor) -> dict[str, object]:
    """Write the DICOM files; returns what the last event tells.

    Raises:
        InputError: the files are not of the CT of this result, or something cannot be read or written.
        Cancelled: the monitor asked to stop.
    """
    from ..runs.read import read_explanation
    from .export import Settings, export, require_highdicom

    require_highdicom()
    work = Path(job["work"])
    try:
        source = gather(job["files"], work / "DICOM database")
        result = Path(job["result"]) if job.get("result") else _composed(job, work, monitor)
    except OSError as error:
        raise InputError(f"The DICOM files of the CT cannot be gathered ({error.strerror or error}): make room.") from error
    settings = Settings(with_identity=bool(job.get("with_identity")))
    answers = Path(job["answers"]) if job.get("answers") else None
    folder = export(read_explanation(result), answers, source, Path(job["output"]), settings, False, monitor)
    return {"written": [str(path) for path in sorted(folder.glob("*.dcm"))]}


def gather(files: Sequence[str], folder: Path) -> Path:
    """Bring files of one series together: as links where the system lets us, else as copies; returns the folder.

    Raises:
        InputError: a file is gone.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True)
    for number, name in enumerate(files):
        source, target = Path(name).resolve(), folder / f"{number:06d}.dcm"
        if not source.is_file():
            raise InputError(
                f"{source.name}, a file of the CT's DICOM series, is gone: import the series into Slicer's DICOM database again."
            )
        for link in (os.symlink, os.link, shutil.copyfile):
            try:
                link(source, target)
                break
            except OSError:
                if link is shutil.copyfile:
                    raise
    return folder


def _composed(job: Mapping[str, Any], work: Path, monitor: Monitor) -> Path:
    """The results folder of the parts."""
    from ..views.export_job import Export

    Export({**job, "target": str(work), "folder": {**job["parts"], "name": "result"}}, monitor).run()
    return work / "result"


def main() -> int:
    """Do the job of the file that is named on the command line."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    # Before anything is imported that has another version among Slicer's own packages.
    sys.path[:0] = [str(folder) for folder in job.get("packages") or ()]
    return work_with_events(lambda monitor: run_job(job, monitor))


if __name__ == "__main__":
    raise SystemExit(main())
