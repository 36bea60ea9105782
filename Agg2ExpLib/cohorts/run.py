"""``agg2exp cohort run``: explain every patient of a table on many workers, and go on where an earlier run was ended."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..attribution.spec import MethodSpec
from ..errors import InputError
from ..io.csv_table import write_table
from ..io.patient_table import Entry, read_entries
from ..io.source_files import sha256_of
from ..models.label_maps import LabelScheme, read_scheme
from ..runs.job import Job
from ..runs.kept import Kept
from ..runs.pipeline import read_models
from ..runs.results import TIDY_FILE
from ..system.files import replacing
from ..system.regular_files import sha256_of_text
from ..system.resumable_folder import ResumableFolder
from ..version import __version__
from .cluster import GPU, gpus_here, offers_gpu, open_client, require_distributed
from .importance import global_importance, write_global
from .patient import Outcome, Task, do_patient, is_done
from .read import DICE_FILE, PATIENTS, RECORD, read_cohort

FAILED_FILE = "failed.csv"
# Where and how fast things are computed does not make another cohort.
_NOT_SETTINGS = (
    "ct",
    "weights",
    "output",
    "card",
    "segmenter",
    "extra_rois",
    "patient_id",
    "device",
    "window_batch",
    "overwrite",
    "target_mask",
)


@dataclass
class CohortRun:
    """What a run did.

    Attributes:
        folder: of the cohort.
        finished: patients that are complete, in the table's order.
        failed: patient to reason.
        earlier: how many were complete before.
    """

    folder: Path
    finished: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    earlier: int = 0


def run_cohort(
    table: Path,
    template: Job,
    scheduler: str | None = None,
    workers: int | None = None,
    keep_maps: bool = False,
    label_map: str | None = None,
    progress: Callable[[int, int, str, str | None], None] | None = None,
) -> CohortRun:
    """Run a cohort into ``template.output``::

        cohort.json              settings and checksum of the weights
        patients/<id>/           results folders; without --keep-maps only tables and record
        roi_importance.csv       all finished patients, tidy
        dice.csv                 where the table has ground truth
        global_importance.csv    their mean with confidence intervals
        failed.csv               patient and reason, where any failed

    When the command is repeated, failed patients are tried again, and finished ones are done again only where the table names other
    files for them or a file has another content. Whether it has is told by size and time, and where these are new by sha256; the
    workers look, since with a scheduler this machine may not see the files.

    Args:
        table: see :func:`~Agg2ExpLib.io.patient_table.read_entries`.
        template: settings of every patient; CT, regions and patient id come from the table.
        scheduler: address of a Dask cluster that sees the same paths; None for workers on this machine.
        workers: processes on this machine; by default one a GPU, or one that uses all processors.
        keep_maps: keep maps, CT and segmentation of every patient.
        label_map: how all label maps of the ground truth are read, see :func:`~Agg2ExpLib.models.label_maps.read_scheme`; None
            where their values are the model's indices or each says its names.
        progress: called with finished and all patients, the patient just ended, and why it failed or None.

    Raises:
        InputError: table, settings or output cannot be used.
    """
    require_distributed()
    if workers is not None and (workers < 1 or scheduler):
        raise InputError("⟨workers⟩ must be at least 1, and goes without ⟨scheduler⟩: there the cluster has its workers.")
    entries = read_entries(table, check_files=scheduler is None)
    scheme = read_scheme(table, label_map) if label_map is not None else None
    folder = Path(template.output).absolute()
    # What fails for one patient would fail for all.
    read_models(template, template.method.make() if template.task == "explain" else None, Kept())
    _begin(folder, template, keep_maps, scheme)
    tasks = {entry.patient: _task(entry, template, scheme, folder, keep_maps) for entry in entries}
    pending = {name: task for name, task in tasks.items() if scheduler is not None or not is_done(task)}
    outcomes = _work(pending, template, scheduler, workers, len(tasks), progress) if pending else {}
    run = CohortRun(folder, failed={name: end.reason for name, end in outcomes.items() if end.reason is not None})
    run.earlier = len(tasks) - sum(not end.earlier for end in outcomes.values())
    run.finished = [name for name in tasks if name not in run.failed]
    _gather(run)
    return run


def _begin(folder: Path, template: Job, keep_maps: bool, scheme: LabelScheme | None) -> None:
    settings = _settings(template)
    record: dict[str, Any] = {
        "agg2exp": __version__,
        "kind": "run",
        "weights": _named(template.weights),
        "segmenter": _named(template.segmenter) if template.segmenter else None,
        "settings": settings,
        "maps": keep_maps,
        "label_map": {"values": dict(scheme.values), "masks": dict(scheme.masks)} if scheme is not None else None,
    }
    home = ResumableFolder(folder, RECORD, "a cohort")
    if home.before is None:
        home.begin(PATIENTS)
        home.write_record(record)
        return
    # What an older version did not know is as it was before there was a choice; what it noted of other methods does not count.
    usual = _settings(Job("", "", "", method=MethodSpec(record["settings"]["method"])))
    noted = home.before.get("settings", {})
    before = {**home.before, "settings": {key: noted.get(key, usual.get(key)) for key in record["settings"]}}
    changed = [key for key in ("kind", "weights", "segmenter", "settings", "maps", "label_map") if before.get(key) != record[key]]
    if changed:
        raise home.refuse(f"other {changed[0].replace('_', ' ')}")


def _named(weights: str) -> dict[str, str]:
    """A model by its name and content, wherever it lies."""
    return {"name": Path(weights).name, "sha256": sha256_of(Path(weights))}


def _settings(job: Job) -> dict[str, Any]:
    return {key: value for key, value in job.to_json().items() if key not in _NOT_SETTINGS}


def _task(entry: Entry, template: Job, scheme: LabelScheme | None, folder: Path, keep_maps: bool) -> Task:
    job = replace(
        template,
        ct=entry.ct,
        weights=str(Path(template.weights).absolute()),
        card=str(Path(template.card).absolute()) if template.card else None,
        segmenter=str(Path(template.segmenter).absolute()) if template.segmenter else None,
        extra_rois=entry.extra_rois,
        patient_id=entry.patient,
        output=str(folder / PATIENTS / entry.patient),
        overwrite=True,
    ).with_files_of_method(lambda path: str(Path(path).absolute()))
    told = json.dumps([entry.patient, Path(entry.ct).name, entry.truth and Path(entry.truth).name, keep_maps], sort_keys=True)
    names = [Path(spec).name for spec in entry.extra_rois]
    key = sha256_of_text(told + json.dumps(names))
    return Task(job, entry.truth, scheme, keep_maps, key)


def _work(
    tasks: dict[str, Task],
    template: Job,
    scheduler: str | None,
    workers: int | None,
    total: int,
    progress: Callable[[int, int, str, str | None], None] | None,
) -> dict[str, Outcome]:
    """Do the tasks of a cohort of ``total`` patients; returns how they ended, in their order."""
    from distributed import KilledWorker, as_completed

    gpus = 0 if scheduler else gpus_here(template.device)
    count = min(workers or max(gpus, 1), len(tasks))
    threads = max(1, (os.cpu_count() or 1) // count)
    ends: dict[str, Outcome] = {}
    with open_client(scheduler, count, gpus) as client:
        needs = {GPU: 1} if gpus or (scheduler and template.device != "cpu" and offers_gpu(client)) else None
        futures = {client.submit(do_patient, task, threads, pure=False, resources=needs): name for name, task in tasks.items()}
        for done, future in enumerate(as_completed(futures), start=1):
            name = futures[future]
            error = future.exception()
            if isinstance(error, KilledWorker):
                ends[name] = Outcome("its worker died several times, perhaps for lack of memory")
            elif error is not None:
                ends[name] = Outcome(f"{type(error).__name__}: {error}")
            else:
                ends[name] = future.result()
            if progress is not None:
                progress(total - len(tasks) + done, total, name, ends[name].reason)
    return {name: ends[name] for name in tasks}


def _gather(run: CohortRun) -> None:
    """The cohort's tables, from the patients' own, in the table's order: the same bytes however the run went."""
    folders = [run.folder / PATIENTS / name for name in run.finished]
    failed = run.folder / FAILED_FILE
    if run.failed:
        write_table(failed, ["patient", "reason"], [list(pair) for pair in run.failed.items()])
    else:
        failed.unlink(missing_ok=True)
    if not folders:
        return
    _join([folder / TIDY_FILE for folder in folders], run.folder / TIDY_FILE)
    scores = [folder / DICE_FILE for folder in folders if (folder / DICE_FILE).is_file()]
    if scores:
        _join(scores, run.folder / DICE_FILE)
    else:
        (run.folder / DICE_FILE).unlink(missing_ok=True)
    write_global(run.folder / "global_importance.csv", global_importance(read_cohort(folders)), "cohort")


def _join(parts: Sequence[Path], path: Path) -> None:
    lines: list[Any] = []
    for part in parts:
        with part.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        lines += rows if not lines else rows[1:]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)
