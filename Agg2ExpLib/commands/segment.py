"""``agg2exp segment``: only the segmentation, to see what the model draws before asking why."""

from __future__ import annotations

import argparse
from typing import Any

from .options import add_host_options, add_input_options, job_from

_EXAMPLES = """example:
  agg2exp segment --ct chest.nii.gz --weights swin_unetr.pt --output segmented
"""


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("segment", help="segment one CT", epilog=_EXAMPLES, description=__doc__)
    add_input_options(parser)
    add_host_options(parser)
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Segment, then list the labels with their volumes."""
    from ..runs.results import Results
    from ..runs.summary import summarise_volumes
    from .terminal import run_in_terminal

    print(summarise_volumes(Results.open(run_in_terminal(job_from(args, task="segment"), args.host, args.host_command))))
    return 0
