"""TotalSegmentator's trained models where they lie on this computer: nnU-Net folders with steps of its own before.

A task is named (``totalsegmentator:total_part1``) or its folder is given. Nothing is downloaded.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..preprocessing.nnunet_resampling import NnunetResampling
from ..preprocessing.orientation import Orientation
from ..preprocessing.preprocessing import Preprocessing
from ..preprocessing.totalsegmentator_resampling import TotalsegmentatorResampling
from ..preprocessing.transposed import Transposed
from . import nnunet
from .described import Described
from .labels import BACKGROUND, make_labels
from .loaded import Loaded
from .model_card import ModelCard
from .pickled_settings import is_whole
from .systems import system_of
from .totalsegmentator_tasks import TASKS, Task, task_of
from .variant import Variant

SCHEME = "totalsegmentator:"
_CITATION = "Wasserthal J. et al., TotalSegmentator, Radiology: Artificial Intelligence 2023, doi 10.1148/ryai.230024"
OPEN_LICENCE = "Apache-2.0"
LICENSED = (
    "These weights of TotalSegmentator need a licence: free of charge for non-commercial use, "
    "https://backend.totalsegmentator.com/license-academic/"
)


@dataclass(frozen=True)
class Installed:
    """A task whose weights were looked for.

    Attributes:
        task: what it is.
        folder: of its data set.
        model: the trained model in it, or the fold or checkpoint that was given.
    """

    task: Task
    folder: Path
    model: nnunet.ModelFolder


def weights_folder() -> Path:
    """Where TotalSegmentator keeps its weights, by its own rules."""
    if named := os.environ.get("TOTALSEG_WEIGHTS_PATH"):
        return Path(named)
    if home := os.environ.get("TOTALSEG_HOME_DIR"):
        return Path(home) / "nnunet" / "results"
    user = Path.home()
    return (Path("/tmp") if str(user) == "/" else user) / ".totalsegmentator" / "nnunet" / "results"


def dataset_folders() -> list[tuple[Task, Path]]:
    """The tasks with a folder on this computer, whole or not, in the order of the table."""
    root = weights_folder()
    try:
        folders = sorted(part for part in root.iterdir() if part.is_dir()) if root.is_dir() else []
    except OSError:
        return []
    found = [(task, part) for part in folders if (task := task_of(part.name)) is not None]
    return sorted(found, key=lambda entry: TASKS.index(entry[0]))


def find(path: Path) -> Installed | None:
    """The task that a name, or a folder or file within a task's folder, stands for; None where it is none of TotalSegmentator.

    Raises:
        InputError: there is no such task, it is not installed, or not all of it is there.
    """
    text = path.name  # jobs put their folder before
    if text.lower().startswith(SCHEME):
        return _named(text[len(SCHEME) :].strip())
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - links stay as they were named
    for folder in (whole, *whole.parents[:3]):
        if (task := task_of(folder.name)) is not None:
            if not whole.exists():
                return None
            return Installed(task, folder, _model(task, folder, whole))
    return None


def load(found: Installed, card: Path | None, variant: Variant) -> Loaded:
    """The model of a task.

    Raises:
        InputError: it is for MR, or something is wrong with its files.
    """
    task = found.task
    _refuse_mr(task)
    if variant.folds is None and found.model.fold is None and (found.model.root / "fold_0" / nnunet.FINAL).is_file():
        variant = replace(variant, folds="0")  # as TotalSegmentator does
    loaded = nnunet.load(found.model, card, variant)
    told = tuple(sentence for sentence in loaded.warnings if "mirrored windows" not in sentence)  # TotalSegmentator never mirrors
    return replace(
        loaded, card=card_of(task, loaded.card), name=f"totalsegmentator_{task.name}", warnings=(*told, *warnings_of(task))
    )


def describe(found: Installed) -> Described:
    """Labels and settings of a task.

    Raises:
        InputError: one sentence that says why it cannot be explained.
    """
    _refuse_mr(found.task)
    card = nnunet.describe(found.model).card
    assert card is not None
    return Described("TotalSegmentator", card_of(found.task, card), warnings_of(found.task))


def _refuse_mr(task: Task) -> None:
    if task.modality != "CT":
        raise InputError(f"TotalSegmentator's task {task.name} is for {task.modality}, and Agg2Exp explains models of CT.")


def card_of(task: Task, card: ModelCard) -> ModelCard:
    """nnU-Net's card of a task with what TotalSegmentator does besides."""
    names = [label.name for label in card.labels]
    groups = {name: system_of(name) for name in names if name != BACKGROUND}
    return replace(
        card,
        labels=make_labels(names, None, groups),
        steps=_preprocessing(task, card.preprocessing),
        overlap=1 - task.step,
        licence=LICENSED if task.licensed else OPEN_LICENCE,
        citation=_CITATION,
    )


def warnings_of(task: Task) -> tuple[str, ...]:
    """What a user of a task should know."""
    told = []
    if task.cropped:
        told.append(
            f"TotalSegmentator crops a CT to the {task.cropped} before this task; here the model sees the whole CT, and may draw "
            "its labels where they cannot be: crop the CT alike."
        )
    if task.licensed:
        told.append(LICENSED)
    return tuple(told)


def _named(name: str) -> Installed:
    by_name = {task.name.lower(): task for task in TASKS}
    task = by_name.get(name.lower())
    installed = dataset_folders()
    have = ", ".join(one.name for one, _ in installed)
    if task is None:
        parts = [one.name for one in TASKS if one.task == name.lower()]
        if parts:
            raise InputError(f"TotalSegmentator's task {name} is several models: name one of {', '.join(parts)}.")
        listed = f"this computer has {have}" if have else "none is installed on this computer"
        raise InputError(f"TotalSegmentator has no task '{name[:60]}': {listed}.")
    folder = next((folder for one, folder in installed if one is task), None)
    if folder is None:
        raise InputError(
            f"TotalSegmentator's task {task.name} is not installed ({task.folder}… is not in its weights folder"
            f"{'; there are ' + have if have else ''}): run `totalseg_download_weights -t {task.task}`."
        )
    return Installed(task, folder, _model(task, folder, folder))


def _model(task: Task, folder: Path, given: Path) -> nnunet.ModelFolder:
    """The trained model of a task's folder."""
    incomplete = InputError(
        f"TotalSegmentator's weights of {task.name} are not complete ({folder.name}): delete that folder and run "
        f"`totalseg_download_weights -t {task.task}`."
    )
    if given == folder:
        trained = trained_folders(folder)
        if not trained:
            raise incomplete
        if len(trained) > 1:
            names = " or ".join(part.name for part in trained)
            raise InputError(f"{folder.name} of TotalSegmentator holds several trained models: give {names} in it.")
        given = trained[0]
    try:
        model = nnunet.find(given)
    except InputError as error:
        raise incomplete from error
    checkpoints = list(model.root.glob("fold_*/checkpoint_*.pth")) if model is not None else []
    if model is None or not checkpoints or not all(map(is_whole, checkpoints)):
        raise incomplete
    return model


def trained_folders(folder: Path) -> list[Path]:
    """The trained models of a data set's folder: trainer, plans and configuration joined by two underscores."""
    try:
        return sorted(part for part in folder.iterdir() if part.is_dir() and part.name.count("__") == 2)
    except OSError:
        return []


def _preprocessing(task: Task, plans: Preprocessing) -> Preprocessing:
    """TotalSegmentator's steps before those of the plans; nnU-Net does not resample what has its spacing already."""
    steps = [step for step in plans.steps if not isinstance(step, Orientation)]
    if task.spacing is None:
        return Preprocessing((Orientation("RAS"), *steps), plans.pad_value)
    order = next((step.order for step in steps if isinstance(step, Transposed)), (0, 1, 2))
    wanted = [task.spacing[axis] for axis in order]
    kept = [step for step in steps if not (isinstance(step, NnunetResampling) and _same(step.spacing, wanted))]
    return Preprocessing((Orientation("RAS"), TotalsegmentatorResampling(task.spacing), *kept), plans.pad_value)


def _same(one: Iterable[float], other: Iterable[float]) -> bool:
    return bool(np.allclose(list(one), list(other), rtol=1e-4))
