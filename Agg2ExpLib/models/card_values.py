"""Checks of single values of a model card."""

from __future__ import annotations

from typing import Any

from ..errors import InputError


def typed(value: Any, kind: type, key: str, source: str, expected: str) -> Any:
    """The value, or None where there is none.

    Raises:
        InputError: it is of another kind; names key and file.
    """
    if value is not None and not isinstance(value, kind):
        raise InputError(f"'{key}' of {source} must be {expected}.")
    return value
