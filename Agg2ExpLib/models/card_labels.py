"""The names, colours and groups of labels and classes in a model card."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..system.names import FORMULA, folded, is_reserved, same_form
from .card_values import typed
from .labels import BACKGROUND, CLASS_GROUP, Color, Label, make_labels

MAX_LABELS = 256  # segmentations are stored as uint8

# Label names become file names and parts of a comma-separated option.
_FORBIDDEN = re.compile(r'[/\\:*?"<>|,\x00-\x1f\x7f]')


def clean_label_name(name: object, key: str, source: str) -> str:
    """A label's name with spaces as underscores, fit for a file name.

    Raises:
        InputError: for anything that is not a text, is empty, too long, or has a character that file names or options cannot hold.
    """
    text = re.sub(r"\s+", "_", same_form(name.strip())) if isinstance(name, str) else ""
    if is_reserved(text) or text.endswith("."):
        raise InputError(f"'{key}' of {source} has the label name {text!r}, which cannot name a file on Windows: use another.")
    if not text or len(text) > 100 or text.startswith((".", *FORMULA)) or _FORBIDDEN.search(text):
        raise InputError(
            f"'{key}' of {source} has the label name {name!r}: use 1 to 100 characters without any of / \\ : * ? \" < > | and "
            "comma, not starting with a dot, a dash, = + or @."
        )
    return text


def read_labels(values: Mapping[str, Any], source: str) -> tuple[Label, ...]:
    entries = values["labels"]
    if not isinstance(entries, list) or not 2 <= len(entries) <= MAX_LABELS:
        raise InputError(f"'labels' of {source} must list 2 to {MAX_LABELS} labels in channel order, the background first.")
    found = _named(values, entries, "labels", source)
    if any(folded(name) == BACKGROUND for name in found.names[1:]):
        raise InputError(
            f"'labels' of {source} must start with the background: list the labels in the order of the network's channels."
        )
    return make_labels(found.names, found.colors, found.groups)


def read_classes(values: Mapping[str, Any], source: str) -> tuple[Label, ...]:
    entries = values["classes"]
    least = 1 if values.get("output") == "sigmoid" else 2
    if not isinstance(entries, list) or not least <= len(entries) <= MAX_LABELS:
        raise InputError(
            f"'classes' of {source} must list {least} to {MAX_LABELS} classes in channel order; a single one needs "
            '"output": "sigmoid".'
        )
    found = _named(values, entries, "classes", source)
    if any(folded(name) == BACKGROUND for name in found.names):
        raise InputError(f"'classes' of {source} has the class 'background', which is the name of a region: call it differently.")
    return make_labels(found.names, found.colors, {**dict.fromkeys(found.names, CLASS_GROUP), **found.groups})


@dataclass(frozen=True)
class _Named:
    """Checked names with the colours and groups that were given for them."""

    names: list[str]
    colors: dict[str, Color]
    groups: dict[str, str]


def _named(values: Mapping[str, Any], entries: Sequence[Any], key: str, source: str) -> _Named:
    names: list[str] = []
    colors: dict[str, Color] = {}
    groups: dict[str, str] = {}
    for entry in entries:
        fields = entry if isinstance(entry, dict) else {"name": entry}
        name = clean_label_name(fields.get("name"), key, source)
        names.append(name)
        if fields.get("color") is not None:
            colors[name] = _color(fields["color"], name, source)
        if fields.get("group") is not None:
            groups[name] = _group(fields["group"], name, source)
    plain = [folded(name) for name in names]
    if repeated := next((name for index, name in enumerate(names) if plain[index] in plain[:index]), None):
        raise InputError(f"'{key}' of {source} has '{repeated}' more than once (capitals do not count): give each its own name.")
    colors.update({name: _color(value, name, source) for name, value in _by_label(values, "colors", names, source).items()})
    groups.update({name: _group(value, name, source) for name, value in _by_label(values, "groups", names, source).items()})
    return _Named(names, colors, groups)


def _by_label(values: Mapping[str, Any], key: str, names: Sequence[str], source: str) -> dict[str, Any]:
    """The values of ``colors`` or ``groups`` under the labels' cleaned names."""
    found = {}
    for name, value in (typed(values.get(key), dict, key, source, "an object from label to value") or {}).items():
        cleaned = clean_label_name(name, key, source)
        if cleaned not in names:
            raise InputError(
                f"'{key}' of {source} names '{name}', which is not one of its labels: correct the name or add the label."
            )
        found[cleaned] = value
    return found


def _color(value: object, name: str, source: str) -> Color:
    parts = value if isinstance(value, list) else []
    if len(parts) != 3 or not all(isinstance(part, int) and not isinstance(part, bool) and 0 <= part <= 255 for part in parts):
        raise InputError(f"The color of '{name}' in {source} must be three whole numbers from 0 to 255 (red, green, blue).")
    return parts[0], parts[1], parts[2]


def _group(value: object, name: str, source: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"The group of '{name}' in {source} must be a text such as \"bones\".")
    return value.strip()
