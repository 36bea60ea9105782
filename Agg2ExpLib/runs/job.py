"""The job file: everything that one explanation needs, as JSON."""

from __future__ import annotations

import difflib
import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..errors import InputError

TASKS = ("explain", "segment")
TARGETS = ("sum", "mean")


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
        method: name of the attribution method (METHOD section 2).
        samples, sigma, seed, antithetic, steps, rule, baseline, blur, references, layer, cam, relu, supervoxels, regions,
            compactness, coalitions: parameters of the methods, see ``attribution/``; a method uses those that it has.
        overlap, blend: of the sliding windows.
        target: ``sum`` or ``mean`` of the label's logits.
        target_mask: label map whose non-zero voxels are explained in place of the label's own segment.
        extra_rois: further regions, each ``FILE`` or ``FILE:name1,name2``.
        mask_coverage: share of the attribution that the supervoxels of the global mask shall hold, 0..1; None for no such mask.
        mask_regions: number of supervoxels in the global mask, in place of a coverage.
        device, precision: see compute.py.
        window_batch: windows per pass, or ``auto``.
        patient_id: written into the results; by default the CT's file name.
        overwrite: whether an existing results folder may be replaced.
    """

    ct: str
    weights: str
    output: str
    task: str = "explain"
    labels: tuple[str, ...] = ()
    card: str | None = None
    method: str = "smoothgrad"
    samples: int = 20
    sigma: float = 0.1
    seed: int = 0
    antithetic: bool = False
    steps: int = 20
    rule: str = "gauss-legendre"
    baseline: str = "zero"
    blur: float = 10.0
    references: tuple[str, ...] = ()
    layer: str = "2"
    cam: str = "layercam"
    relu: bool = True
    supervoxels: str = "semantic"
    regions: int = 512
    compactness: float = 200.0
    coalitions: int | str = "auto"
    overlap: float = 0.25
    blend: str = "constant"
    target: str = "sum"
    target_mask: str | None = None
    extra_rois: tuple[str, ...] = ()
    mask_coverage: float | None = None
    mask_regions: int | None = None
    device: str = "auto"
    precision: str = "auto"
    window_batch: int | str = "auto"
    patient_id: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise InputError(f"Unknown task '{self.task}': use explain or segment.")
        if self.target not in TARGETS:
            raise InputError(f"Unknown target '{self.target}': use sum or mean.")
        if self.window_batch != "auto" and (not isinstance(self.window_batch, int) or self.window_batch < 1):
            raise InputError(f"The window batch must be 'auto' or a positive number, not {self.window_batch!r}.")
        if self.mask_coverage is not None and self.mask_regions is not None:
            raise InputError("The global mask is chosen by coverage or by a number of regions: give only one of the two.")
        if self.mask_coverage is not None and not 0 < self.mask_coverage <= 1:
            raise InputError(f"The coverage of the global mask must be more than 0 and at most 1, not {self.mask_coverage:g}.")
        if self.mask_regions is not None and self.mask_regions < 1:
            raise InputError(f"The global mask needs at least one region, not {self.mask_regions}.")
        if self.patient_id is not None and not self.patient_id.strip():
            raise InputError("The patient id is empty: leave it out to use the CT's file name.")

    def to_json(self) -> dict[str, Any]:
        """The job as a JSON object, every parameter spelled out."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read a job file.

        Raises:
            InputError: it cannot be read or has a wrong, missing or unknown entry.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise InputError(f"Cannot read the job file {path}: {error.strerror or error}.") from None
        except ValueError as error:
            raise InputError(f"The job file {path} is not valid JSON: {error}.") from None
        return cls.from_json(content).relative_to(path.parent)

    @classmethod
    def from_json(cls, content: Any) -> Job:
        """A job from a JSON object; see :meth:`read` for the errors."""
        if not isinstance(content, dict):
            raise InputError("A job must be a JSON object with the entries ct, weights and output.")
        known = {field.name: str(field.type) for field in fields(cls)}
        for key, value in content.items():
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}."
                raise InputError(f"The job has an unknown entry '{key}': {hint}")
            _check_type(key, value, known[key])
        missing = [key for key in ("ct", "weights", "output") if not content.get(key)]
        if missing:
            raise InputError(f"The job lacks the entry '{missing[0]}'.")
        values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
        return cls(**values)

    def relative_to(self, folder: Path) -> Job:
        """The same job with relative paths counted from ``folder``."""
        changes: dict[str, Any] = {name: str(folder / getattr(self, name)) for name in ("ct", "weights", "output")}
        changes |= {name: str(folder / value) for name in ("card", "target_mask") if (value := getattr(self, name))}
        changes["references"] = tuple(str(folder / path) for path in self.references)
        changes["extra_rois"] = tuple(str(folder / spec) for spec in self.extra_rois)
        return replace(self, **changes)


_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "a text"),
    "str | None": ((str, type(None)), "a text or null"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "float | None": ((int, float, type(None)), "a number or null"),
    "int | None": ((int, type(None)), "a whole number or null"),
    "bool": ((bool,), "true or false"),
    "int | str": ((int, str), "a whole number or 'auto'"),
    "tuple[str, ...]": ((list, tuple), "a list of texts"),
}


def _check_type(key: str, value: Any, kind: str) -> None:
    types, words = _KINDS[kind]
    fits = isinstance(value, types) and (kind == "bool" or not isinstance(value, bool))
    if fits and kind.startswith("tuple"):
        fits = all(isinstance(part, str) for part in value)
    if not fits:
        raise InputError(f"The job's entry '{key}' must be {words}, not {value!r}.")
