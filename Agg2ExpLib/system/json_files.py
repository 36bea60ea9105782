"""Reading JSON that was written by somebody else: bounded in size and depth, and every text in it fit to be written again."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import InputError
from .regular_files import open_regular

MOST_BYTES = 64 * 2**20
MOST_DEPTH = 100


def read_json(path: str | Path, what: str, most_bytes: int = MOST_BYTES) -> object:
    """The content of a JSON file in UTF-8, with or without a byte order mark.

    Args:
        path: of the file.
        what: what it is, at the beginning of a sentence: ``"The job file"``.
        most_bytes: how large it may be.

    Raises:
        InputError: it is missing, cannot be read, is too large, no JSON, nested too deep, or holds a text that no file can hold.
    """
    path = Path(path)
    try:
        with open_regular(path) as stream:
            data = stream.read(most_bytes + 1)
    except FileNotFoundError:
        raise InputError(f"{what} {shown(path)} does not exist: check the path.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{what} {shown(path)} cannot be read ({reason}): check the file and its permissions.") from None
    if len(data) > most_bytes:
        raise InputError(f"{what} {shown(path)} is larger than {most_bytes // 2**20} MB: give the right file.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{what} {shown(path)} is not valid JSON (not a text in UTF-8): save it as UTF-8.") from None
    return parse_json(text, f"{what} {shown(path)}")


def parse_json(text: str, what: str) -> object:
    """The content of a JSON text; ``what`` begins the sentence that refuses it.

    Raises:
        InputError: as :func:`read_json`.
    """
    try:
        content: object = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise InputError(f"{what} is nested too deep: no file of Agg2Exp is.") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{what} is not valid JSON ({error}): correct it.") from None
    except ValueError as error:
        raise InputError(f"{what} is not valid JSON ({str(error)[:80]}): correct it.") from None
    problem = _problem(content)
    if problem:
        raise InputError(f"{what} {problem}: correct it.")
    return content


def shown(path: str | Path) -> str:
    """A path as it can be printed and written anywhere: bytes that are no UTF-8 become ``?``."""
    return str(path).encode("utf-8", errors="replace").decode("utf-8")


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")


def _problem(content: object) -> str:
    """What makes the content unfit, or nothing; walks without recursion."""
    level: list[object] = [content]
    for _ in range(MOST_DEPTH):
        deeper: list[object] = []
        for value in level:
            if isinstance(value, dict):
                deeper += value.keys()
                deeper += value.values()
            elif isinstance(value, list):
                deeper += value
            elif isinstance(value, str) and (problem := text_problem(value)):
                return f"holds a text with {problem}"
            elif isinstance(value, float) and value in (float("inf"), float("-inf")):
                return "holds a number that is too large"
        if not deeper:
            return ""
        level = deeper
    return "is nested too deep"


def text_problem(text: str) -> str:
    """What makes a text unfit for files and screens (half a surrogate pair, NUL), or nothing."""
    if "\0" in text:
        return "the character NUL"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "half a character (a lone surrogate)"
    return ""
