"""Checks of single values of a model card."""

from __future__ import annotations

from typing import Any, TypeGuard

from ..errors import InputError


def typed(value: Any, kind: type, key: str, source: str, expected: str) -> Any:
    """The value, or None where there is none.

    Raises:
        InputError: it is of another kind; names key and file.
    """
    if value is not None and not isinstance(value, kind):
        raise InputError(f"'{key}' of {source} must be {expected}.")
    return value


def is_whole(value: Any) -> TypeGuard[int]:
    """Whether it is a whole number as JSON has it: neither ``true`` nor ``2.0``."""
    return isinstance(value, int) and not isinstance(value, bool)


def are_whole(values: Any) -> bool:
    """Whether it is a list of whole numbers."""
    return isinstance(values, list | tuple) and all(map(is_whole, values))
