"""Whether a result's ``run.json`` is one that Agg2Exp wrote: every entry that is read later has the type it must have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import InputError

# Entries that may be missing, as in other versions, but must be objects where they are there.
_OBJECTS = ("ct", "weights", "model_grid", "parameters", "seconds", "versions", "global_mask", "windows", "peak_memory_bytes")


def checked_run(run: object, path: Path) -> dict[str, Any]:
    """The record, checked.

    Raises:
        InputError: it was not written by Agg2Exp, or was changed; names the entry.
    """
    if not isinstance(run, dict) or "labels" not in run or "patient" not in run:
        raise InputError(f"{path} was not written by Agg2Exp: it names no labels.")
    labels = run["labels"]
    if not isinstance(run["patient"], str):
        raise _wrong(path, "patient")
    if not isinstance(labels, list) or not labels or not all(_is_label(entry) for entry in labels):
        raise _wrong(path, "labels")
    names = [entry["name"] for entry in labels]
    if len(set(names)) != len(names):
        raise _wrong(path, "labels")
    classes = run.get("classes", [])
    if not isinstance(classes, list) or not all(_is_class(entry) for entry in classes):
        raise _wrong(path, "classes")
    rows = {entry["name"] for entry in classes} or set(names)
    for key in ("explained", "absent", "extra_rois", "notices"):
        if not _is_texts(run.get(key, [])):
            raise _wrong(path, key)
    for key in ("explained", "extra_rois"):
        if len(set(run.get(key, []))) != len(run.get(key, [])):
            raise _wrong(path, key)
    if not set(run.get("explained", [])) <= rows or (classes and rows & set(names)):
        raise _wrong(path, "explained")
    for key in _OBJECTS:
        if not isinstance(run.get(key) or {}, dict):
            raise _wrong(path, key)
    for key in ("ct", "weights"):
        if not all(isinstance((run.get(key) or {}).get(name) or "", str) for name in ("name", "sha256", "architecture")):
            raise _wrong(path, key)
    if not isinstance((run.get("parameters") or {}).get("method", ""), str):
        raise _wrong(path, "parameters")
    return run


def _is_label(entry: object) -> bool:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("name", "group")):
        return False
    color = entry.get("color")
    return bool(entry["name"]) and isinstance(color, list) and len(color) == 3 and all(_is_byte(part) for part in color)


def _is_class(entry: object) -> bool:
    if not isinstance(entry, dict) or not _is_label(entry):
        return False
    values = (entry.get("logit"), entry.get("probability"))
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def _is_byte(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(part, str) for part in value)


def _wrong(path: Path, key: str) -> InputError:
    return InputError(f"'{key}' in {path} is not as Agg2Exp wrote it: take the record of the result as it was.")
