"""The job file: everything that one explanation needs, as JSON.

A job file is flat: the parameters of the method, and of the supervoxels of a global mask, stand beside the entries of the job.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..attribution.keep import KEEP, check_keep
from ..attribution.method import KINDS, Parameter
from ..attribution.methods import DEFAULT_METHOD, all_parameters, preset
from ..attribution.spec import MethodSpec
from ..errors import InputError
from ..inference.compute import check_window_batch
from ..system.json_files import read_json
from ..system.names import id_problem
from .mask_settings import MaskSettings

MOST_JOB_BYTES = 4 * 2**20
TASKS = ("explain", "segment")
TARGETS = ("sum", "mean")
MASK_COVERAGE, MASK_REGIONS = "mask_coverage", "mask_regions"


@dataclass(frozen=True)
class Job:
    """One run. Paths may be relative; in a job file they count from the file's folder.

    Attributes:
        ct: CT file or DICOM folder.
        weights: of the model.
        output: results folder to be written.
        task: ``explain``, or ``segment`` to stop after the segmentation.
        labels: names to explain; empty for all that the segmentation contains.
        card: model card, when it does not lie beside the weights.
        segmenter: for a classifier, weights of the model that draws the regions of the matrix; None for further regions alone.
        folds, mirror: of an nnU-Net, see :class:`~Agg2ExpLib.models.variant.Variant`.
        method: the attribution method with its parameters.
        overlap, blend: of the sliding windows; None for those the model was made for, else 0.25 and ``constant``.
        keep: share of each label's weight whose windows are passed; below 1, those with the least of it are left out.
        target: ``sum`` or ``mean`` of the label's logits.
        target_mask: label map whose non-zero voxels are explained in place of the label's own segment.
        extra_rois: further regions, each ``FILE`` or ``FILE:name1,name2``.
        mask: of the supervoxels that matter most; None for no such mask.
        device, precision: see compute.py.
        window_batch: windows per pass, or ``auto``.
        patient_id: written into the results; by default the CT's file name.
        overwrite: whether an existing results folder may be replaced.
        unused: parameters of other methods that were set although nothing here has them; a run tells of them.

    Examples:
        >>> job = agg2exp.Job(ct="chest.nii.gz", weights="swin_unetr.pt", output="from_job", labels=("heart",))
        >>> monitor = agg2exp.LogMonitor()
        >>> folder = agg2exp.run_job(job, monitor)
        >>> result = agg2exp.Result.open(folder)
    """

    ct: str
    weights: str
    output: str
    task: str = "explain"
    labels: tuple[str, ...] = ()
    card: str | None = None
    segmenter: str | None = None
    folds: str | None = None
    mirror: bool = False
    method: MethodSpec = field(default_factory=MethodSpec)
    overlap: float | None = None
    blend: str | None = None
    keep: float = KEEP
    target: str = "sum"
    target_mask: str | None = None
    extra_rois: tuple[str, ...] = ()
    mask: MaskSettings | None = None
    device: str = "auto"
    precision: str = "auto"
    window_batch: int | str = "auto"
    patient_id: str | None = None
    overwrite: bool = False
    unused: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise InputError(f"Unknown ⟨task⟩ '{self.task}': use explain or segment.")
        if self.target not in TARGETS:
            raise InputError(f"Unknown ⟨target⟩ '{self.target}': use sum or mean.")
        check_window_batch(self.window_batch)
        check_keep(self.keep)
        check_patient_id(self.patient_id)

    @classmethod
    def of(cls, ct: str, weights: str, output: str, **entries: Any) -> Job:
        """A job from flat entries, as a job file has them.

        Raises:
            InputError: an entry that is unknown or of the wrong kind.
        """
        return cls.from_json({"ct": ct, "weights": weights, "output": output, **entries}, complete=False)

    @staticmethod
    def entries() -> tuple[str, ...]:
        """Names of all entries that a job file may have."""
        return (*_own_kinds(), "method", "preset", MASK_COVERAGE, MASK_REGIONS, *all_parameters())

    def to_json(self) -> dict[str, Any]:
        """The job as a flat JSON object, every parameter of its method spelled out."""
        values: dict[str, Any] = {name: getattr(self, name) for name in _own_kinds()}
        values |= {"method": self.method.name, **(self.mask.to_json() if self.mask else {}), **self.method.all_values()}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read a job file.

        Raises:
            InputError: it cannot be read or has a wrong, missing or unknown entry.
        """
        content = read_json(path, "The job file", MOST_JOB_BYTES)
        return cls.from_json(content).relative_to(path.parent)

    @classmethod
    def from_json(cls, content: Any, complete: bool = True) -> Job:
        """A job from a flat JSON object; see :meth:`read` for the errors.

        Args:
            content: the object.
            complete: whether the names of files must not be empty.
        """
        if not isinstance(content, dict):
            raise InputError("A job must be a JSON object with the entries ct, weights and output.")
        own, parameters = _own_kinds(), all_parameters()
        values: dict[str, Any] = {}
        others: dict[str, Any] = {}
        for key, value in content.items():
            if key in own:
                values[key] = checked_entry(key, value, own[key])
            elif key in parameters:
                others[key] = checked_entry(key, value, parameters[key].kind)
            elif key in (MASK_COVERAGE, MASK_REGIONS, "method", "preset"):
                kind = {"method": "str", "preset": "str | None", MASK_COVERAGE: "float | None", MASK_REGIONS: "int | None"}[key]
                others[key] = checked_entry(key, value, kind)
            else:
                raise unknown_entry(key, cls.entries())
        missing = [key for key in ("ct", "weights", "output") if key not in content or (complete and not content[key])]
        if missing:
            raise InputError(f"The job lacks the entry '{missing[0]}'.")
        return cls(**values, **_method_and_mask(others, parameters))

    def relative_to(self, folder: Path) -> Job:
        """The same job with relative paths counted from ``folder``."""
        changes: dict[str, Any] = {name: str(folder / getattr(self, name)) for name in ("ct", "weights", "output")}
        changes |= {name: str(folder / value) for name in ("card", "target_mask", "segmenter") if (value := getattr(self, name))}
        changes["extra_rois"] = tuple(str(folder / spec) for spec in self.extra_rois)
        return replace(self, **changes).with_files_of_method(lambda path: str(folder / path))

    def with_files_of_method(self, change: Callable[[str], str]) -> Job:
        """The same job with the files that its method reads named otherwise."""
        values = self.method.values
        paths = {name: tuple(map(change, value)) for name, value in values.items() if isinstance(value, tuple)}
        return replace(self, method=MethodSpec(self.method.name, {**values, **paths}))

    def files_of_method(self) -> tuple[str, ...]:
        """The files that the method reads."""
        return tuple(path for value in self.method.all_values().values() if isinstance(value, tuple) for path in value)


def _own_kinds() -> dict[str, str]:
    """The entries that are the job's own, with their kinds."""
    return {entry.name: str(entry.type) for entry in fields(Job) if entry.name not in ("method", "mask", "unused")}


def check_patient_id(patient_id: str | None) -> None:
    """Refuse an id that cannot stand in tables and pictures.

    Raises:
        InputError: it is empty, too long, or has characters that cannot be shown.
    """
    if patient_id is not None and (problem := id_problem(patient_id)):
        raise InputError(f"The ⟨patient_id⟩ {problem}: choose another, or leave it out to use the CT's file name.")
    if patient_id is not None and not patient_id.strip():
        raise InputError("The patient id is empty: leave it out to use the CT's file name.")


def unknown_entry(key: object, known: Collection[str]) -> InputError:
    """What to say of an entry that no job of this kind has."""
    near = difflib.get_close_matches(str(key), known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}."
    return InputError(f"The job has an unknown entry '{key}': {hint}")


def checked_entry(key: str, value: Any, kind: str) -> Any:
    """An entry of a job, lists as tuples.

    Raises:
        InputError: it is not of its kind, a key of :data:`~Agg2ExpLib.attribution.method.KINDS`.
    """
    try:
        return Parameter(key, kind, None, "").check(value)
    except InputError:
        raise InputError(f"The job's entry '{key}' must be {KINDS[kind][1]}, not {value!r}.") from None


def _method_and_mask(entries: Mapping[str, Any], parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """The flat entries sorted: those of the method, those of the mask, and those that nothing uses."""
    given = dict(entries)
    name, chosen = given.pop("method", DEFAULT_METHOD), given.pop("preset", None)
    if chosen is not None:
        given |= preset(chosen, name, given)
    method = MethodSpec.picked(name, given)
    coverage, number = given.pop(MASK_COVERAGE, None), given.pop(MASK_REGIONS, None)
    mask = None
    if coverage is not None or number is not None:
        mask = MaskSettings.picked(coverage, number, method, given)
    used = {*method.values, *(mask.parameter_names if mask else ())}
    unused = tuple(
        name for name, value in given.items() if name not in used and value not in (parameters[name].default, None) and value != ()
    )
    return {"method": method, "mask": mask, "unused": unused}
