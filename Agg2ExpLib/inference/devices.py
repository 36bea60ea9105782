"""Which devices PyTorch can use here, as an event: ``python -m Agg2ExpLib.inference.devices``."""

from __future__ import annotations

import json
from typing import Any


def list_devices() -> list[dict[str, Any]]:
    """Each GPU that PyTorch can use: ``id`` (as ``--device`` takes it), ``name``, ``free_bytes`` and ``total_bytes`` (or None)."""
    import torch

    found: list[dict[str, Any]] = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, total = torch.cuda.mem_get_info(index)
        found.append({"id": f"cuda:{index}", "name": torch.cuda.get_device_name(index), "free_bytes": free, "total_bytes": total})
    if torch.backends.mps.is_available():
        found.append({"id": "mps", "name": "Apple GPU", "free_bytes": None, "total_bytes": None})
    return found


if __name__ == "__main__":
    print(json.dumps({"event": "done", "devices": list_devices()}), flush=True)
