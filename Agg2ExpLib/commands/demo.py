"""``agg2exp demo``: a synthetic thorax CT, the shipped demo weights, and everything that a real run gives."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .options import add_device_options, split

_EXAMPLES = """examples:
  agg2exp demo
  agg2exp demo --labels aorta,lung_middle_lobe_right --seed 3 --output demo3
"""
LABELS = ("aorta", "heart", "trachea")
# Of a point because that takes a minute and a half on two cores; half a point, the panel's default, takes about twice as long.
TOLERANCE, MOST = 1.0, 24


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    parser = verbs.add_parser("demo", help="see it work on a synthetic thorax", epilog=_EXAMPLES, description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=Path("agg2exp_demo"), metavar="DIR", help="folder to write (default agg2exp_demo)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the folder's result if it exists")
    parser.add_argument(
        "--labels", type=split, default=LABELS, metavar="A,B", help=f"labels to explain (default {','.join(LABELS)})"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE,
        metavar="P",
        help=f"error of the shares in percentage points, up to {MOST} noisy copies (default {TOLERANCE:g})",
    )
    parser.add_argument("--samples", type=int, metavar="N", help="this many noisy copies in place of a tolerance")
    parser.add_argument("--seed", type=int, default=0, help="varies the patient (default 0)")
    parser.add_argument("--no-views", action="store_true", help="leave out the pictures and the Slicer scene")
    add_device_options(parser)
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Make the patient, explain, render, and say where everything lies."""
    from ..errors import InputError
    from ..inference.compute import choose_compute
    from ..io.write import write_volume
    from ..models.model import demo_weights
    from ..runs.job import Job
    from ..runs.results import Results
    from ..runs.summary import summarise
    from ..synthetic.phantom import make_phantom
    from .terminal import run_in_terminal

    weights = demo_weights()
    result = args.output / "result"
    if result.exists() and not args.overwrite:
        raise InputError(f"{result} exists already: choose another ⟨output⟩ or add ⟨overwrite⟩ to replace it.")
    ct = args.output / f"synthetic_thorax_{args.seed}.nii.gz"
    choose_compute(args.device, args.precision)  # refuses a device that is not there
    job = Job.of(
        str(ct),
        str(weights),
        str(result),
        labels=tuple(args.labels),
        samples=args.samples if args.samples is not None else MOST,
        tolerance=args.tolerance if args.samples is None else None,
        device=args.device,
        precision=args.precision,
        window_batch=args.window_batch,
        overwrite=args.overwrite,
    )
    job.method.make()  # what cannot be is told before anything is made
    phantom = make_phantom(args.seed)
    try:
        args.output.mkdir(parents=True, exist_ok=True)
        write_volume(ct, phantom.ct, phantom.affine, compress=True)
    except OSError as error:
        raise InputError(f"Cannot write to {args.output} ({error.strerror}): choose another ⟨output⟩.") from None
    try:
        finished = run_in_terminal(job)
    except BaseException:
        # Like any run that fails, this one leaves nothing.
        ct.unlink(missing_ok=True)
        if not any(args.output.iterdir()):
            args.output.rmdir()
        raise
    print(summarise(Results.open(finished)))
    print(f"CT (synthetic, no patient): {ct}")
    if not args.no_views:
        _render(result, ct, args.output / "views")
    print("For matrix and shares see roi_importance.csv in the result; these weights are for demonstration, not for patients.")
    return 0


def _render(result: Path, ct: Path, views: Path) -> None:
    from ..errors import InputError
    from ..views.render import render_results

    try:
        files = render_results(result, views, ct=ct)
    except InputError as error:
        print(f"No pictures: {error}")
        return
    print(f"Pictures and Slicer scene ({len(files)} files): {views}")
