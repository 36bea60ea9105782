"""Whole jobs on the small CT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from Agg2ExpLib.monitor import Monitor
from Agg2ExpLib.runs.job import Job
from Agg2ExpLib.runs.pipeline import run_job
from Agg2ExpLib.runs.results import Results


def do(ct: Path, weights: Path, output: Path, monitor: Monitor | None = None, **options: Any) -> Results:
    """Explain the heart in two samples or steps, unless the options say otherwise."""
    options = {"device": "cpu", "labels": ("heart",), "samples": 2, "steps": 2, **options}
    return Results.open(run_job(Job.of(str(ct), str(weights), str(output), **options), monitor or Monitor()))
