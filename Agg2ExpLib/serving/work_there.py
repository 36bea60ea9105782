"""Jobs and questions done on the other computer: what they read goes there, what they write comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from ..counterfactuals.job import CounterfactualJob
from ..errors import InputError
from ..interventions.outcome import FOLDER as WHAT_IF
from ..monitor import Monitor
from ..runs.job import Job
from ..runs.kept import stamp
from ..runs.results import (
    CT_FILE,
    EXTRA_ROIS,
    GLOBAL_MASK_FILE,
    RUN_FILE,
    SEGMENTATION_FILE,
    TARGET_MASK_FILE,
    TIDY_FILE,
    Results,
)
from ..system.files import OutputFolder
from .frames import fit_name
from .other_side import ASKED, JOB, OUT, OtherSide
from .parcel import Parcel
from .passing_on import Sending, passing_on

_ASKED_FILES = (RUN_FILE, CT_FILE, SEGMENTATION_FILE, TARGET_MASK_FILE, GLOBAL_MASK_FILE, TIDY_FILE)
_J = TypeVar("_J", Job, CounterfactualJob)


def run_there(job: Job, side: OtherSide, monitor: Monitor) -> dict[str, object]:
    """A run; its preliminary maps come while it goes on. See :func:`_done`."""
    return _done("run", job, side, monitor, {"send": monitor.wants_partial})


def counterfactual_there(job: CounterfactualJob, side: OtherSide, monitor: Monitor) -> dict[str, object]:
    """A counterfactual. See :func:`_done`."""
    return _done("counterfactual", job, side, monitor, {})


def _done(what: str, job: _J, side: OtherSide, monitor: Monitor, more: Mapping[str, object]) -> dict[str, object]:
    """Have a job done, and put its results where it wants them.

    Raises:
        InputError: the output cannot be written, or what the other computer says.
    """
    output = OutputFolder(Path(job.output), job.overwrite)
    try:
        try:
            request = {"do": what, "job": _with_files_there(job, side, monitor).to_json(), **more}
            side.channel.ask(request, monitor, passing_on(monitor), lambda name: output.temporary / name)
            fetched = side.fetch(f"{OUT}/result", output.temporary, monitor)
        finally:
            side.drop(OUT, JOB)
        _remove_others(output.temporary, fetched)
        return {"result": str(output.publish())}
    except OSError as error:
        raise InputError(
            f"Cannot write the results to {output.final.parent} ({error.strerror or error}): make room or choose another ⟨output⟩."
        ) from error
    finally:
        output.discard()


def _with_files_there(job: _J, side: OtherSide, monitor: Monitor) -> _J:
    """The job with its files on the other computer."""
    told, more = Sending(monitor), Parcel()
    ct = side.put_ct(job.ct, told)
    weights, card = side.put_model(job.weights, told, card=job.card)
    segmenter = side.put_model(job.segmenter, told, "segmenter")[0] if job.segmenter else None
    mask = more.add(Path(job.target_mask)) if job.target_mask else None
    regions = [more.add_region(spec) for spec in job.extra_rois]
    if isinstance(job, Job):
        job = job.with_files_of_method(lambda path: more.add(Path(path)))
    elif job.autoencoder:
        job = replace(job, autoencoder=side.put_model(job.autoencoder, told, "autoencoder")[0])
    place = side.put(JOB, more.files, told) if more.files else ""
    there = replace(
        job,
        ct=ct,
        weights=weights,
        card=card,
        segmenter=segmenter,
        output=str(PurePosixPath(side.folder) / OUT / "result"),
        target_mask=f"{place}/{mask}" if mask else None,
        extra_rois=tuple(f"{place}/{spec}" for spec in regions),
        overwrite=True,
    )
    return there.with_files_of_method(lambda name: f"{place}/{name}") if isinstance(there, Job) else there


def question_there(what: str, entries: Mapping[str, Any], side: OtherSide, monitor: Monitor) -> dict[str, object]:
    """A question about a result, whose answer goes into it.

    Raises:
        InputError: it is no result, cannot be written, or what the other computer says.
    """
    told = Sending(monitor)
    result = Path(str(entries.get("result") or ""))
    Results.open(result)
    files = [(name, result / name) for name in _ASKED_FILES if (result / name).is_file()]
    files += [(f"{EXTRA_ROIS}/{file.name}", file) for file in sorted((result / EXTRA_ROIS).glob("*.nii.gz"))]
    key = tuple(stamp(file) for _name, file in files)
    there = side.keep(ASKED, key, lambda: side.put(ASKED, files, told))
    weights, card = side.put_model(str(entries.get("weights") or ""), told, card=entries.get("card"))
    question = {**entries, "do": what, "result": there, "weights": weights, "card": card}
    if entries.get("ct"):
        question["ct"] = side.put_ct(str(entries["ct"]), told)
    more = Parcel()
    regions = [more.add_region(str(spec)) for spec in entries.get("extra_rois") or ()]
    try:
        if regions:
            place = side.put(JOB, more.files, told)
            question["extra_rois"] = [f"{place}/{spec}" for spec in regions]
        answer = side.channel.ask(question, monitor, passing_on(monitor))
        return {**plain(answer), "answer": str(_answer_of(answer, result, side, monitor))}
    finally:
        side.drop(f"{ASKED}/{WHAT_IF}", JOB)


def _answer_of(answer: Mapping[str, Any], result: Path, side: OtherSide, monitor: Monitor) -> Path:
    """Fetch an answer into the result here; returns where it is.

    Raises:
        InputError: it cannot be written.
    """
    name = PurePosixPath(str(answer["answer"]).replace("\\", "/")).name
    output = OutputFolder(result / WHAT_IF / fit_name(name), overwrite=True)
    try:
        side.fetch(f"{ASKED}/{WHAT_IF}/{name}", output.temporary, monitor)
        return output.publish()
    except OSError as error:
        raise InputError(f"Cannot write to {result} ({error.strerror or error}): make room or copy the result.") from error
    finally:
        output.discard()


def plain(event: Mapping[str, Any]) -> dict[str, object]:
    """What an event says, without what it is an answer to."""
    return {key: value for key, value in event.items() if key not in ("event", "id")}


def _remove_others(folder: Path, fetched: set[Path]) -> None:
    """Preliminary maps that are not among the results go."""
    for file in folder.rglob("*"):
        if file.is_file() and file not in fetched:
            file.unlink()
