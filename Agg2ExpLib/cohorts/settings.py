"""How patients were explained, as far as it must be alike where they are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..attribution.keep import KEEP

ESTIMATE = "estimate"
# What a share that is told for endless samples does not depend on.
_OF_SAMPLING = ("samples",)


def settings_of(run: Mapping[str, Any]) -> dict[str, object]:
    """What must be alike in patients that are compared, from the content of a ``run.json``; empty where it does not tell."""
    parameters = run.get("parameters") or {}
    settings = {key: parameters.get(key) for key in ("method", "samples", "sigma", "target", "overlap", "blend")}
    settings["keep"] = parameters.get("keep", KEEP)
    settings["drawn mask as target"] = bool(run.get("target_mask", False))
    if run.get("classes"):
        settings["model that drew the regions"] = str((run.get("segmenter") or {}).get("sha256") or "none")[:8]
    return settings if parameters else {}


def estimate_of(has_limit: bool) -> str:
    """What the shares are: of the map of the samples taken, or told for endless samples."""
    return "endless samples" if has_limit else "the map"


def unlike(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """The settings that two differ in; numbers of samples do not count where both tell shares for endless samples."""
    endless = estimate_of(True)
    same = one.get(ESTIMATE) == other.get(ESTIMATE) == endless
    return [key for key in dict.fromkeys((*one, *other)) if one.get(key) != other.get(key) and not (same and key in _OF_SAMPLING)]
