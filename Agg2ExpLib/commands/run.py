"""``agg2exp run``: do the job of a JSON file and report events as JSON lines on stdout, for programs such as the Slicer module."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

_MORE = """events, one JSON object a line:
  {"event": "progress", "stage": "explain", "fraction": 0.42, "eta_s": 31.0, "message": "…"}
  {"event": "notice", "message": "…"}
  {"event": "partial", "kind": "attribution", "path": "…", "label": "aorta", "samples": 4, "of": 20}
  and last one of {"event": "done", "result": "…"}, {"event": "error", "code": "…", "message": "…", "hint": "…"},
  {"event": "cancelled"}
exit status: 0 done, 1 error, 130 cancelled
stop: SIGINT, SIGTERM, or a line `stop` on stdin

example of a job file (relative paths count from its folder):
  {"ct": "chest.nii.gz", "weights": "swin_unetr.pt", "labels": ["aorta", "heart"], "output": "result"}
"""


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("run", help="do a job file, report events as JSON lines", epilog=_MORE, description=__doc__)
    parser.add_argument("job", type=Path, metavar="JOB.json", help="the job file")
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Run the job; the events tell everything."""
    from ..runs.runner import run_with_events

    return run_with_events(args.job, args.debug)
