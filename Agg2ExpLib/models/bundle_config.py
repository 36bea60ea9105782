"""Reads a MONAI bundle's configuration files without running any of the expressions in them.

A configuration may hold Python (values that start with ``$``). Plain values and references to plain values (``@key``,
``@key#part``, ``$@key``) are followed, and expressions that only choose or join such values.
See https://docs.monai.io/en/stable/mb_specification.html.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..system.json_files import read_json
from ..system.regular_files import open_regular
from .plain_expressions import NotPlain, work_out

_REFERENCE = re.compile(r"^\$?@([\w#.]+)$")
_MAX_BYTES = 4 * 2**20
_MOST_PARTS, _MOST_DEPTH = 100_000, 60
UNKNOWN = object()  # a value that only running the bundle's code would tell


def read_config(file: Path) -> dict[str, Any]:
    """The values of a bundle's JSON or YAML file; empty where it holds no object.

    Raises:
        InputError: it cannot be read.
    """
    try:
        if file.suffix == ".json":
            values: object = read_json(file, "The bundle's", _MAX_BYTES)
        else:
            with open_regular(file) as stream:
                data = stream.read(_MAX_BYTES + 1)
            if len(data) > _MAX_BYTES:
                raise ValueError("too large")
            text = data.decode("utf-8-sig")
            try:
                import yaml
            except ImportError as error:
                raise InputError(
                    f"{file.name} needs the package PyYAML to be read: install it with `pip install pyyaml`."
                ) from error
            try:
                values = yaml.safe_load(text)
                _check_size(values)
            except yaml.YAMLError as error:
                raise ValueError(str(error)) from error
    except OSError as error:
        raise InputError(f"The bundle's {file} cannot be read ({error.strerror or error}): check its permissions.") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"The bundle's {file} is not valid {file.suffix[1:].upper()}: download the bundle again.") from error
    return values if isinstance(values, dict) else {}


def _check_size(values: object) -> None:
    """Refuse what its aliases multiply: entries of YAML may be used again and again in each other.

    Raises:
        ValueError: it has too many entries, or is nested too deep.
    """
    level, count = [values], 0
    for _ in range(_MOST_DEPTH):
        deeper: list[object] = []
        for value in level:
            deeper += list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
            if len(deeper) > _MOST_PARTS:
                raise ValueError("too many entries")
        count += len(deeper)
        if count > _MOST_PARTS:
            raise ValueError("too many entries")
        if not deeper:
            return
        level = deeper
    raise ValueError("nested too deep")


class _Budget:
    """How many parts may still be looked at: references can refer to each other so that they multiply."""

    def __init__(self) -> None:
        self.left = _MOST_PARTS

    def spend(self) -> None:
        """Count one part.

        Raises:
            InputError: there were too many.
        """
        self.left -= 1
        if self.left < 0:
            raise InputError("The bundle's configuration refers to itself again and again: give a model card instead.")


def resolve(value: Any, config: dict[str, Any], depth: int = 0, budget: _Budget | None = None) -> Any:
    """``value`` with references replaced by what they plainly refer to; ``UNKNOWN`` wherever that is an expression.

    Expressions that only choose or join plain values (``$[3, 3, 3] if @fast else [1, 1, 1]``) are worked out.

    Raises:
        InputError: the references multiply.
    """
    budget = budget or _Budget()
    budget.spend()
    if depth > 20:
        return UNKNOWN
    if isinstance(value, str):
        if match := _REFERENCE.match(value):
            return _referred(match.group(1), config, depth, budget)
        if value.startswith("$"):
            try:
                found = work_out(value[1:], lambda name: _plainly(_referred(name, config, depth, budget)))
            except NotPlain:
                return UNKNOWN
            return resolve(found, config, depth + 1, budget)
        return UNKNOWN if value.startswith(("$", "@", "%")) else value
    if isinstance(value, list):
        return [resolve(part, config, depth + 1, budget) for part in value]
    if isinstance(value, dict):
        return {key: resolve(part, config, depth + 1, budget) for key, part in value.items()}
    return value


def _referred(name: str, config: dict[str, Any], depth: int, budget: _Budget) -> Any:
    """What a reference (without its ``@``) leads to."""
    part: Any = config
    for key in re.split(r"#|::", name):
        if isinstance(part, list) and key.isdigit() and int(key) < len(part):
            part = part[int(key)]
        elif isinstance(part, dict) and key in part:
            part = resolve(part[key], config, depth + 1, budget) if isinstance(part[key], str) else part[key]
        else:
            return UNKNOWN
    return resolve(part, config, depth + 1, budget)


def _plainly(value: Any) -> Any:
    if value is UNKNOWN:
        raise NotPlain
    return value


def is_plain(value: Any) -> bool:
    """Whether nothing in a resolved value is ``UNKNOWN``."""
    parts = value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
    return value is not UNKNOWN and all(is_plain(part) for part in parts)
