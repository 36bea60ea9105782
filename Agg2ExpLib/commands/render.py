"""``agg2exp render``: slice views, matrix, graph and a Slicer scene from a results folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .options import split

_EXAMPLES = """examples:
  agg2exp render result
  agg2exp render result --ct chest.nii.gz
  agg2exp render result --labels aorta --percentile 99 --output pictures
"""


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "render", help="pictures and a Slicer scene from a results folder", epilog=_EXAMPLES, description=__doc__
    )
    parser.add_argument("result", type=Path, metavar="RESULT", help="results folder")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder for the pictures (default: RESULT/views)")
    parser.add_argument("--ct", type=Path, metavar="FILE", help="the CT itself, to show it in full resolution")
    parser.add_argument("--labels", type=split, default=(), metavar="A,B", help="only these labels (default: all explained ones)")
    parser.add_argument("--percentile", type=float, default=95.0, metavar="P", help="show voxels stronger than this (default 95)")
    parser.add_argument(
        "--sign", choices=("both", "supporting", "opposing"), default="both", help="which values to show (default both)"
    )
    parser.add_argument("--no-views", action="store_true", help="leave out the slice views")
    parser.add_argument("--no-scene", action="store_true", help="leave out the Slicer scene (.mrb)")
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Render and list what was written."""
    from ..counterfactuals.read import is_counterfactual, read_counterfactual

    if is_counterfactual(args.result):
        from ..views.counterfactual_views import draw_counterfactual

        output = args.output or args.result / "views"
        output.mkdir(parents=True, exist_ok=True)
        for path in draw_counterfactual(read_counterfactual(args.result), output):
            print(path)
        return 0
    from ..views.render import render_results

    output = args.output or args.result / "views"
    written = render_results(
        args.result,
        output,
        percentile=args.percentile,
        labels=args.labels or None,
        sign=args.sign,
        views=not args.no_views,
        scene=not args.no_scene,
        ct=args.ct,
    )
    for path in written:
        print(path)
    return 0
