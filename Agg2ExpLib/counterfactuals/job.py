"""The job of a counterfactual: everything it needs, as JSON for whoever has it done by another process or computer."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from ..errors import InputError
from ..inference.compute import check_window_batch
from ..runs.job import check_patient_id, checked_entry, unknown_entry
from .choices import DIRECTIONS, FRAMES, OBJECTIVES, SMOOTH_MM
from .question import Question

KINDS = ("label", "class")
_NEEDED = ("ct", "weights", "target", "output")
_SLICES = "tuple[int, int] | None"


@dataclass(frozen=True)
class CounterfactualJob:
    """One counterfactual. Paths are absolute, or count from the working folder.

    Attributes:
        ct: CT file or DICOM folder.
        weights: of the model.
        target: the label or class that is to become less or more.
        output: results folder to be written.
        kind: ``label`` or ``class``, to be told where the model has the other; None for either.
        direction, objective, frames, end, slices, smooth: see :class:`~.question.Question`.
        target_mask: label map, where a label is to shrink or appear.
        extra_rois: further regions, each ``FILE`` or ``FILE:name1,name2``.
        autoencoder: weights of the autoencoder of slices; None for the one that comes with Agg2Exp.
        segmenter: for a classifier, weights of the model that draws regions and volumes.
        card: model card, when it does not lie beside the weights.
        folds, mirror: of an nnU-Net, see :class:`~Agg2ExpLib.models.variant.Variant`.
        overlap, blend: of the sliding windows; None for those the model was made for.
        device, precision, window_batch: see compute.py.
        patient_id: written into the results; by default the CT's file name.
        overwrite: whether an existing results folder may be replaced.
        picture: whether a strip and a moving picture are drawn too.

    Raises:
        InputError: something that makes no sense.
    """

    ct: str
    weights: str
    target: str
    output: str
    kind: str | None = None
    direction: str = DIRECTIONS[0]
    objective: str = OBJECTIVES[0]
    frames: int = FRAMES
    end: float | None = None
    slices: tuple[int, int] | None = None
    smooth: float = SMOOTH_MM
    target_mask: str | None = None
    extra_rois: tuple[str, ...] = ()
    autoencoder: str | None = None
    segmenter: str | None = None
    card: str | None = None
    folds: str | None = None
    mirror: bool = False
    overlap: float | None = None
    blend: str | None = None
    device: str = "auto"
    precision: str = "auto"
    window_batch: int | str = "auto"
    patient_id: str | None = None
    overwrite: bool = False
    picture: bool = False

    def __post_init__(self) -> None:
        if missing := [name for name in _NEEDED if not getattr(self, name)]:
            raise InputError(f"The job lacks the entry '{missing[0]}'.")
        if self.kind not in (None, *KINDS):
            raise InputError(f"Unknown ⟨kind⟩ '{self.kind}': use {', '.join(KINDS)}.")
        _ = self.question
        check_window_batch(self.window_batch)
        check_patient_id(self.patient_id)

    @property
    def question(self) -> Question:
        """What is asked, without what must be read first."""
        return Question(self.target, self.direction, self.objective, self.frames, self.end, self.slices, self.smooth)

    def to_json(self) -> dict[str, Any]:
        """The job as a flat JSON object."""
        values = {name: getattr(self, name) for name in _kinds()}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}

    @classmethod
    def from_json(cls, content: Any) -> CounterfactualJob:
        """A job from a flat JSON object.

        Raises:
            InputError: it has a wrong, missing or unknown entry.
        """
        if not isinstance(content, dict):
            raise InputError("A job must be a JSON object with the entries ct, weights, target and output.")
        kinds = _kinds()
        values: dict[str, Any] = {}
        for key, value in content.items():
            if key not in kinds:
                raise unknown_entry(key, kinds)
            values[key] = _slices(value) if kinds[key] == _SLICES else checked_entry(key, value, kinds[key])
        return cls(**{**dict.fromkeys(_NEEDED, ""), **values})


def _kinds() -> dict[str, str]:
    return {entry.name: str(entry.type) for entry in fields(CounterfactualJob)}


def _slices(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    whole = isinstance(value, list | tuple) and all(isinstance(part, int) and not isinstance(part, bool) for part in value)
    if not whole or len(value) != 2:
        raise InputError(f"The job's entry 'slices' must be a list of two whole numbers or null, not {value!r}.")
    return value[0], value[1]
