"""What a picture of a map shows, as its volume node tells it."""

from __future__ import annotations

import json
from typing import Any

VOXELS, SHARE, ENRICHMENT, SUPPORT = "voxels", "share", "enrichment", "support"
KEY = "Agg2Exp.Picture"  # attribute of the volume: JSON of label, kind, settings and a checksum of the numbers


def shownBy(node: Any) -> tuple[str, float, bool] | None:
    """Kind, smoothing and whether without signs of what a picture shows; None for a map itself."""
    text = node.GetAttribute(KEY)
    if not text:
        return None
    _label, kind, *settings, _content = json.loads(text)
    return (kind, *settings) if settings else (kind, 0.0, False)
