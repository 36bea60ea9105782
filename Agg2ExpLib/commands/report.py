"""``agg2exp report``: one result as a page for the browser and a document to print."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

_EXAMPLES = """examples:
  agg2exp report agg2exp_demo/result
  agg2exp report result --reference cohort/reference.npz --output reports/case7
The page holds everything itself (slices to leaf through, words, hot spots, graph, matrix, answered what-if questions)
and loads nothing from the network. It shows the scan: treat it as patient data.
"""


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("report", help="a page and a PDF on one patient", epilog=_EXAMPLES, description=__doc__)
    parser.add_argument("result", type=Path, metavar="RESULT", help="results folder")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder for report.html and report.pdf (default: RESULT)")
    parser.add_argument("--reference", type=Path, metavar="FILE", help="reference of a cohort to compare with")
    parser.add_argument("--no-pdf", dest="pdf", action="store_false", help="write the page alone")
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Write and list what was written."""
    from ..reports.write import write_report

    for path in write_report(args.result, args.output, args.reference, args.pdf):
        print(path)
    return 0
