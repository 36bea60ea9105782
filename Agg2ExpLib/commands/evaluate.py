"""``agg2exp evaluate``: which attribution method is faithful, stable, sparse and quick for this model?"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..attribution.methods import METHODS
from .options import add_device_options, add_model_options, add_window_options, describe_methods, split

if TYPE_CHECKING:
    from ..evaluation.run import Evaluation
    from ..monitor import Monitor

_EXAMPLES = """examples:
  agg2exp evaluate --ct a.nii.gz b.nii.gz --weights swin_unetr.pt --labels aorta,heart --output evaluation \\
      --methods gradient smoothgrad:samples=10 integrated_gradients:baseline=mean kernel_shap:supervoxels=cubes,regions=64
  agg2exp evaluate --table patients.csv --weights swin_unetr.pt --methods gradient smoothgrad --runs 50 --output evaluation

The table: patient,ct; paths count from its folder. A method's parameters are those of `agg2exp explain`, with _ for -; several
paths are separated by +. Repeat the command to go on after an interruption: what is finished is not done again, and methods, labels
and patients may change.
"""
_STOPPED = "Stopped: what is finished is kept; repeat the command to go on."


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "evaluate",
        help="measure how good attribution methods are",
        epilog=f"{describe_methods()}\n\n{_EXAMPLES}",
        description=__doc__,
    )
    group = parser.add_argument_group("input")
    patients = group.add_mutually_exclusive_group(required=True)
    patients.add_argument("--ct", nargs="+", metavar="FILE", help="CTs; a patient's id is the file's name")
    patients.add_argument("--table", type=Path, metavar="CSV", help="patients as for agg2exp cohort run: patient,ct")
    add_model_options(group)
    parser.add_argument_group("output").add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder of the evaluation, made or continued"
    )
    group = parser.add_argument_group("evaluation")
    group.add_argument(
        "--methods", nargs="+", required=True, metavar="M", help=f"each name[:parameter=value,...]: {', '.join(METHODS)}"
    )
    group.add_argument("--labels", type=split, default=(), metavar="A,B", help="labels to explain (default: all of the model)")
    group.add_argument(
        "--metrics",
        type=split,
        default=("faithfulness", "sensitivity", "complexity"),
        metavar="A,B",
        help="some of faithfulness,sensitivity,complexity (default: all); efficiency is always measured",
    )
    group.add_argument("--runs", type=int, default=100, metavar="N", help="random subsets of the faithfulness (default 100)")
    group.add_argument(
        "--subset-voxels", type=int, default=224 * 224, metavar="M", help="voxels in each subset (default 50176 = 224²)"
    )
    group.add_argument("--copies", type=int, default=3, metavar="N", help="noisy copies of the sensitivity (default 3)")
    group.add_argument("--radius", type=float, default=0.1, metavar="R", help="of their noise, in intensity ranges (default 0.1)")
    group.add_argument(
        "--noise",
        choices=("uniform", "gaussian"),
        default="uniform",
        help="uniform in ±radius, as in the published code (default), or gaussian with that standard deviation",
    )
    group.add_argument(
        "--threshold", type=float, default=0.1, metavar="T", help="of the complexity, of the largest value (default 0.1)"
    )
    group.add_argument("--seed", type=int, default=0, metavar="S", help="of all random numbers (default 0)")
    add_window_options(parser)
    add_device_options(parser)
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Evaluate, then print table 1."""
    from ..errors import Cancelled
    from ..evaluation.settings import Settings
    from .terminal import work_in_terminal

    values = {key: value for key, value in vars(args).items() if key in Settings.__dataclass_fields__}
    settings = Settings(**{**values, "methods": tuple(args.methods)})

    def work(monitor: Monitor) -> Evaluation:
        from ..evaluation.run import entries_of, evaluate
        from ..io.patient_table import read_entries

        entries = read_entries(args.table) if args.table else entries_of(args.ct)
        return evaluate(entries, settings, args.output, monitor)

    try:
        evaluation = work_in_terminal(work, _STOPPED)
    except Cancelled:
        print(_STOPPED, file=sys.stderr)
        return 130
    from ..evaluation.table import markdown_table

    print(markdown_table(evaluation.rows, args.methods))
    earlier = f", {evaluation.earlier} of them earlier" if evaluation.earlier else ""
    print(f"{evaluation.pieces} of {len(evaluation.patients) * len(args.methods)} pieces (patient × method) finished{earlier}.")
    for one in evaluation.failures:
        print(f"{' '.join(part for part in (one.patient, one.method) if part)} failed: {one.reason}", file=sys.stderr)
    print(f"Evaluation: {evaluation.folder}")
    return 1 if evaluation.failures else 0
