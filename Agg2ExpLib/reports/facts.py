"""Model and settings of a run, line by line, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..runs.explanation import Explanation

RESEARCH_ONLY = (
    "For research and for debugging models; not a medical device. Attributions say what a model's output is sensitive to, not "
    "whether the output is right, and not what causes a disease."
)


def facts(found: Explanation) -> list[tuple[str, str]]:
    """Names and values of what was run on what.

    Args:
        found: an explanation.
    """
    run = found.run
    weights, parameters = run.get("weights") or {}, run.get("parameters") or {}
    own = {key: value for key, value in parameters.items() if key not in ("method",) and value is not None}
    told = [
        ("Patient", found.patient),
        ("CT, sha256", str((run.get("ct") or {}).get("sha256") or "not recorded")),
        ("Model", f"{weights.get('name', '?')}: {weights.get('architecture', '?')}"),
        ("Weights, sha256", str(weights.get("sha256") or "not recorded")),
        (
            "Model grid",
            f"{' × '.join(map(str, found.grid.shape))} voxels of {' × '.join(f'{s:.2f}' for s in found.grid.spacing)} mm",
        ),
        ("Method", str(parameters.get("method", "none"))),
        ("Settings", ", ".join(f"{key} {value}" for key, value in own.items())),
        ("Device, precision", f"{run.get('device', '?')}, {run.get('precision', '?')}"),
        ("Agg2Exp", str(run.get("agg2exp", "?"))),
    ]
    if run.get("absent"):
        told.append(("Not found in this CT", ", ".join(run["absent"])))
    return told
