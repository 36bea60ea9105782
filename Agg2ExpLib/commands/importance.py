"""``agg2exp importance``: the matrix again, from existing maps, with further regions of interest; the model does not run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .options import add_extra_rois

_EXAMPLES = """examples:
  agg2exp importance result --extra-rois lesion.nrrd:tumour --output with_lesion
  agg2exp importance result --extra-rois "counts.nii.gz>=2:lesion" --patient-id case7 --output with_lesion
"""


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("importance", help="add regions to a result's matrix", epilog=_EXAMPLES, description=__doc__)
    parser.add_argument("result", type=Path, metavar="RESULT", help="results folder with the maps")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="results folder to write, with the maps linked or copied"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the output folder if it exists")
    parser.add_argument("--patient-id", metavar="ID", help="id in the tables (default: as in the result)")
    add_extra_rois(parser)
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Compute and summarise."""
    from ..runs.recompute import recompute_importance
    from ..runs.results import Results
    from ..runs.summary import summarise
    from .terminal import TerminalMonitor

    folder = recompute_importance(args.result, args.output, args.extra_rois, args.patient_id, args.overwrite, TerminalMonitor())
    print(summarise(Results.open(folder)))
    return 0
