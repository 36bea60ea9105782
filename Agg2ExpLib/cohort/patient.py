"""One patient of a cohort, in a worker process: explain, measure Dice, drop maps, and say that it is done."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ..errors import InputError, OutOfMemoryError
from ..files import write_json
from .read import DICE_FILE
from .summarise import write_table

DONE_FILE = "done.json"


def is_done(folder: Path, key: str) -> bool:
    """Whether a patient's folder is complete.

    Args:
        folder: results folder.
        key: what identifies the task; a folder made for another task is not this one's.

    Raises:
        InputError: it was made for another task.
    """
    try:
        content = json.loads((folder / DONE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if content.get("key") != key:
        raise InputError(f"{folder} was made from other files or settings: choose another --output, or delete that folder.")
    return True


def do_patient(job: dict[str, Any], truth: str | None, keep_maps: bool, threads: int, key: str) -> str | None:
    """Do one patient; may be called again after a worker died at any point.

    Args:
        job: as JSON; its output folder is the patient's.
        truth: label map of the true labels (values as in the model), or None.
        keep_maps: whether maps, CT and segmentation stay; without them a patient takes a few hundred KB.
        threads: of torch.
        key: see :func:`is_done`.

    Returns:
        None, or in one sentence why it failed.
    """
    import torch

    from ..allocator import keep_freed_memory
    from ..job import Job
    from ..monitor import Monitor
    from ..pipeline import run_job

    keep_freed_memory()
    torch.set_num_threads(threads)
    folder = Path(job["output"])
    try:
        if is_done(folder, key):
            return None
        for stale in folder.parent.glob(f".{folder.name}.partial-*"):  # of a worker that was killed
            shutil.rmtree(stale, ignore_errors=True)
        run_job(Job.from_json({**job, "overwrite": True}), Monitor())
        if truth is not None:
            _write_dice(folder, Path(truth))
        if not keep_maps:
            _drop_volumes(folder)
        write_json(folder / DONE_FILE, {"key": key})
    except OutOfMemoryError as error:
        return f"{error} {error.hint}"
    except InputError as error:
        return str(error)
    except Exception as error:  # one patient must not end the others
        return f"{type(error).__name__}: {error}"
    return None


def _write_dice(folder: Path, truth: Path) -> None:
    """Dice of every label of the model, on the model grid (nearest neighbour)."""
    import numpy as np

    from ..dice import dice_per_label
    from ..grid import resample
    from ..results import Results
    from ..volume import read_volume

    results = Results.open(folder)
    predicted, reference = results.segmentation(), read_volume(truth)
    values = resample(reference, predicted.grid, "nearest", outside=0)
    if (values < 0).any() or (values != np.rint(values)).any() or values.max() >= len(results.labels):
        raise InputError(
            f"{truth} is no label map of this model: its values must be whole numbers from 0 to {len(results.labels) - 1}, the "
            "indices of the model's labels."
        )
    scores = dice_per_label(np.asarray(predicted.array), values.astype(np.int64), [label.index for label in results.labels])
    rows = [[results.patient, label.name, float(score)] for label, score in zip(results.labels, scores, strict=True)]
    write_table(folder / DICE_FILE, ["patient", "label", "dice"], rows)


def _drop_volumes(folder: Path) -> None:
    from ..results import ATTRIBUTIONS, CT_FILE, EXTRA_ROIS, SEGMENTATION_FILE

    for name in (ATTRIBUTIONS, EXTRA_ROIS):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (CT_FILE, SEGMENTATION_FILE):
        (folder / name).unlink(missing_ok=True)
