"""The requests that a server knows, and what each has to say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InputError

_QUESTION = {"result", "weights", "card", "ct", "extra_rois", "device", "precision"}
ENTRIES: dict[str, set[str]] = {
    "run": {"job", "send"},
    "counterfactual": {"job"},
    "load": {"weights", "card", "folds", "mirror"},
    "what_if": {*_QUESTION, "action", "regions", "fill", "amount", "seed", "name"},
    "causal": {*_QUESTION, "fill", "regions"},
    "prepare": set(),
    "forget": set(),
    "models": set(),
    "open": set(),
    "fetch": {"folder"},
    "drop": {"folder"},
}


def check_entries(request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """What a request asks for, and its entries.

    Raises:
        InputError: nobody knows it, or one of its entries.
    """
    what = request.get("do")
    if not isinstance(what, str) or what not in ENTRIES:
        raise InputError(f"Unknown request {what!r}: use {', '.join(ENTRIES)}.")
    entries = {key: value for key, value in request.items() if key not in ("do", "id")}
    if unknown := sorted(set(entries) - ENTRIES[what]):
        raise InputError(f"The request '{what}' has no entry '{unknown[0]}': it has {', '.join(sorted(ENTRIES[what]))}.")
    return what, entries
