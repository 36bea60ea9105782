"""One patient of a cohort, in a worker process: explain, measure Dice, drop maps, and say that it is done."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, OutOfMemoryError, worded
from ..io.csv_table import write_table
from ..io.source_files import sha256_of
from ..runs.job import Job
from ..runs.privacy import private_names, without_names
from ..runs.results import RUN_FILE
from ..system.files import is_replaceable, write_json
from ..system.json_files import read_json
from .inputs import State, input_files, is_unread_same, same_content, states_of
from .read import DICE_FILE

if TYPE_CHECKING:
    from ..models.label_maps import LabelScheme

DONE_FILE = "done.json"


@dataclass(frozen=True)
class Task:
    """One patient's task; travels to the worker.

    Attributes:
        job: its output is the patient's folder.
        truth: ground truth, see :func:`~.truth.read_truth`, or None.
        scheme: how its label map is read, or None.
        keep_maps: whether maps, CT and segmentation stay; without them a patient takes a few hundred KB.
        key: what identifies the task beside the content of its files; a folder made for another task is not this one's.
    """

    job: Job
    truth: str | None
    scheme: LabelScheme | None
    keep_maps: bool
    key: str

    @property
    def folder(self) -> Path:
        """The patient's results folder."""
        return Path(self.job.output)


@dataclass(frozen=True)
class Outcome:
    """How a task ended: why it failed, in one sentence, or None; and whether the results were there already."""

    reason: str | None = None
    earlier: bool = False


def is_done(task: Task) -> bool:
    """Whether the patient is complete, and its files have the size and time they had: told without reading them."""
    done = _read(task.folder / DONE_FILE)
    if done.get("key") != task.key:
        return False
    try:
        return is_unread_same(done.get("inputs"), states_of(input_files(task.job, task.truth)))
    except (InputError, OSError):
        return False


def do_patient(task: Task, threads: int) -> Outcome:
    """Do one patient unless it is done; may be called again after a worker died at any point.

    Args:
        task: what to do.
        threads: of torch.
    """
    try:
        files = input_files(task.job, task.truth)
        states = states_of(files)
        if _is_done_by_content(task, files, states):
            return Outcome(earlier=True)
        # Results of other files must not stay beside the cohort's where the new ones fail.
        if is_replaceable(task.folder):
            shutil.rmtree(task.folder, ignore_errors=True)
        _explain(task, threads)
        if task.truth is not None:
            _write_dice(task)
        if not task.keep_maps:
            _drop_volumes(task.folder)
        checksums = {role: _ct_checksum(task.folder) if role == "ct" else sha256_of(path) for role, path in files.items()}
        if states_of(files) != states:
            raise InputError("The files of this patient were changed while it was computed: repeat the command.")
        _note(task, {role: {**states[role], "sha256": checksums[role]} for role in files})
    except OutOfMemoryError as error:
        return Outcome(worded(f"{error.template} {error.hint}"))
    except InputError as error:
        return Outcome(without_names(str(error), _private(task)))
    except Exception as error:  # one patient must not end the others
        return Outcome(without_names(f"{type(error).__name__}: {error}", _private(task)))
    return Outcome()


def _private(task: Task) -> dict[str, str]:
    """The names of the patient's files: a table of failed patients knows them by their ids alone."""
    regions = [*task.job.extra_rois, *filter(None, [task.truth])]
    return private_names(task.job.ct, regions)


def _is_done_by_content(task: Task, files: dict[str, Path], states: dict[str, State]) -> bool:
    """Whether the patient is complete, and its files hold what they held; notes their size and time where these are new."""
    done = _read(task.folder / DONE_FILE)
    if done.get("key") != task.key:
        return False
    # Older versions noted no files; the record of the run has the CT's checksum.
    noted = done.get("inputs", {"ct": {"sha256": _ct_checksum(task.folder)}})
    inputs = same_content(noted, files, states)
    if inputs is None:
        return False
    if inputs != noted:
        with contextlib.suppress(OSError):  # only a note that saves reading them next time
            _note(task, inputs)
    return True


def _note(task: Task, inputs: dict[str, State]) -> None:
    """Say that the patient is done, and from what."""
    write_json(task.folder / DONE_FILE, {"key": task.key, "inputs": inputs})


def _read(path: Path) -> dict[str, Any]:
    """A JSON object, or an empty one."""
    try:
        content = read_json(path, "The note")
    except InputError:
        return {}
    return content if isinstance(content, dict) else {}


def _ct_checksum(folder: Path) -> str | None:
    """sha256 of the CT that the results in a folder were made from; None where there are none."""
    ct = _read(folder / RUN_FILE).get("ct")
    return ct.get("sha256") if isinstance(ct, dict) else None


def _explain(task: Task, threads: int) -> None:
    import torch

    from ..monitor import Monitor
    from ..runs.pipeline import run_job
    from ..system.allocator import keep_freed_memory

    keep_freed_memory()
    torch.set_num_threads(threads)
    run_job(task.job, Monitor())


def _write_dice(task: Task) -> None:
    """Dice of every label of the model, on the model grid; empty for labels that the truth lacks."""
    import numpy as np

    from ..roi_importance.dice import dice_per_label
    from ..runs.results import Results
    from .truth import read_truth

    assert task.truth is not None
    results = Results.open(task.folder)
    predicted = results.segmentation()
    truth = read_truth(task.truth, task.scheme, results.labels, predicted.grid)
    array = np.asarray(predicted.array)
    scores = {
        label.name: float(dice_per_label(array == label.index, truth[label.name], [1])[0])
        for label in results.labels
        if label.name in truth
    }
    rows = [[results.patient, label.name, scores.get(label.name, float("nan"))] for label in results.labels]
    write_table(task.folder / DICE_FILE, ["patient", "label", "dice"], rows)


def _drop_volumes(folder: Path) -> None:
    from ..runs.results import ATTRIBUTIONS, CT_FILE, EXTRA_ROIS, SEGMENTATION_FILE

    for name in (ATTRIBUTIONS, EXTRA_ROIS):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (CT_FILE, SEGMENTATION_FILE):
        (folder / name).unlink(missing_ok=True)
