"""A counterfactual in a process of its own, for Slicer's panel: ``python -m Agg2ExpLib.api.counterfactual_job JOB.json``.

The job holds ``output`` (a folder that does not exist) and the arguments of :func:`~Agg2ExpLib.api.counterfactual.counterfactual`
by their names. The events are those of a run; ``done`` tells the folder as ``result``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..monitor import Monitor
from ..runs.runner import work_with_events


def make(job: Mapping[str, Any], monitor: Monitor) -> dict[str, object]:
    """Make it and write its folder; returns what the last event tells.

    Raises:
        InputError: see :func:`~Agg2ExpLib.api.counterfactual.counterfactual`.
        OutOfMemoryError: one window does not fit into the device's memory.
        Cancelled: the monitor asked to stop.
    """
    from ..runs.pipeline import check_apart
    from ..system.files import new_folder
    from .counterfactual import counterfactual

    asked = dict(job)
    output = Path(asked.pop("output"))
    check_apart(Path(asked["ct"]), output)
    with new_folder(output, False, monitor.check) as folder:
        counterfactual(**asked, monitor=monitor).write(folder)
    return {"result": str(output)}


def main() -> int:
    """Do the job of the file that is named on the command line."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    return work_with_events(lambda monitor: make(job, monitor))


if __name__ == "__main__":
    raise SystemExit(main())
