"""Whether the files a patient was made from are still the same: by size and time without reading them, or by their content."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..io.regions import parse_region
from ..io.source_files import files_of, sha256_of
from ..runs.job import Job
from ..system.regular_files import sha256_of_text

# bytes, modified_ns and, for several files, listing; with sha256 what is noted of a file
State = dict[str, Any]


def input_files(job: Job, truth: str | None) -> dict[str, Path]:
    """The files and DICOM folders a patient is made from, by what they are for; never by their names, which may name the patient.

    Raises:
        InputError: the file of a region or of the ground truth is missing.
    """
    files = {"ct": Path(job.ct)}
    if truth is not None:
        files["truth"] = parse_region(truth).path
    files |= {f"extra_rois {number}": parse_region(spec).path for number, spec in enumerate(job.extra_rois, start=1)}
    files |= {f"references {number}": Path(path) for number, path in enumerate(job.files_of_method(), start=1)}
    return files


def states_of(files: Mapping[str, Path]) -> dict[str, State]:
    """Size and time of every input, without reading it.

    Raises:
        InputError: one is missing.
    """
    return {role: _state(path) for role, path in files.items()}


def is_unread_same(noted: object, states: Mapping[str, State]) -> bool:
    """Whether all inputs have the size and time that were noted."""
    return (
        isinstance(noted, dict)
        and noted.keys() == states.keys()
        and all(isinstance(noted[role], dict) and _without_content(noted[role]) == states[role] for role in states)
    )


def same_content(noted: object, files: Mapping[str, Path], states: Mapping[str, State]) -> dict[str, State] | None:
    """What to note of inputs whose content is as noted, or None where it is not.

    Args:
        noted: of an earlier run. An input with nothing but its ``sha256`` counts as one of unknown size; one that is not noted at
            all counts as the same, since older versions noted none.
        files: the inputs now; only those of another size or time are read.
        states: theirs.

    Raises:
        InputError: one cannot be read.
    """
    if not isinstance(noted, dict) or not noted.keys() <= files.keys():
        return None
    content = {}
    for role, path in files.items():
        before = noted.get(role, {})
        if not isinstance(before, dict) or before.get("bytes", states[role]["bytes"]) != states[role]["bytes"]:
            return None
        known = _without_content(before) == states[role]
        checksum = before["sha256"] if known else sha256_of(path)
        if before.get("sha256", checksum) != checksum:
            return None
        content[role] = {**states[role], "sha256": checksum}
    return content


def _state(path: Path) -> State:
    files = [file.stat() for file in files_of(path)]
    state: State = {
        "bytes": sum(file.st_size for file in files),
        "modified_ns": max((file.st_mtime_ns for file in files), default=0),
    }
    if len(files) > 1:
        # An older slice in the place of another leaves the sum and the newest time as they were.
        told = ",".join(f"{file.st_size}:{file.st_mtime_ns}" for file in files)
        state["listing"] = sha256_of_text(told)
    return state


def _without_content(noted: Mapping[str, Any]) -> State:
    return {key: value for key, value in noted.items() if key != "sha256"}
