"""Refuses a model whose window cannot fit into this computer's memory, before anything is computed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..system.memory import require_memory


def require_window_memory(roi_size: Sequence[int], features: int, channels: int, origin: str) -> None:
    """Refuse a window that needs more memory than there is.

    Args:
        roi_size: of the window, in voxels.
        features: maps of the network's first layer.
        channels: of its output.
        origin: where the size was said, for the message.

    Raises:
        InputError: naming window and origin.
    """
    # Three maps of the first layer and the logits twice are the least that a pass holds.
    values = math.prod(roi_size) * (3 * features + 2 * channels)
    require_memory(4 * values, f"One window of {'x'.join(map(str, roi_size))} voxels ({origin})")
