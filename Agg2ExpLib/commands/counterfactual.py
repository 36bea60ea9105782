"""``agg2exp counterfactual``: what would this CT have to look like for the model to answer otherwise?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..counterfactuals.choices import DIRECTIONS, FRAMES, OBJECTIVES, SMOOTH_MM
from .options import add_extra_rois, add_host_options, add_input_options

if TYPE_CHECKING:
    from ..counterfactuals.job import CounterfactualJob
    from ..monitor import Monitor

_EXAMPLES = """examples:
  agg2exp counterfactual --ct chest.nii.gz --weights swin_unetr.pt --label heart --direction less --output less_heart
  agg2exp counterfactual --ct chest.nii.gz --weights swin_unetr.pt --label heart --target-mask drawn.nrrd --output grown
  agg2exp counterfactual --ct chest.nii.gz --weights classifier.safetensors --class effusion --segmenter swin_unetr.pt --output more
  agg2exp counterfactual --host me@workstation --ct chest.nii.gz --weights swin_unetr.pt --label heart --output less_heart
  agg2exp render less_heart

The CT is moved along the gradient of the output in the latents of an autoencoder of slices. What comes out is what the MODEL
answers to, no forecast of a disease. The autoencoder that comes with Agg2Exp knows slices of 3 to 5 mm a pixel; for others make one
with agg2exp train --task autoencoder.
"""


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "counterfactual", help="change the CT until the model answers otherwise", epilog=_EXAMPLES, description=__doc__
    )
    add_input_options(parser)
    what = parser.add_argument_group("counterfactual")
    target = what.add_mutually_exclusive_group(required=True)
    target.add_argument("--label", metavar="NAME", help="of a segmentation network: what is to become less or more")
    target.add_argument("--class", dest="class_name", metavar="NAME", help="the same of a classifier")
    what.add_argument("--direction", choices=DIRECTIONS, default=DIRECTIONS[0], help=f"default {DIRECTIONS[0]}")
    what.add_argument(
        "--objective",
        choices=OBJECTIVES,
        default=OBJECTIVES[0],
        help="of a label: volume, its mean probability within 20 mm of what is drawn now or over the target mask (default); logit, "
        "its mean logit over its own voxels",
    )
    what.add_argument(
        "--target-mask", metavar="FILE", help="where the label is to shrink or appear: non-zero voxels of a label map"
    )
    what.add_argument("--frames", type=int, default=FRAMES, metavar="N", help=f"CTs in each direction (default {FRAMES})")
    what.add_argument("--lambda", dest="end", type=float, metavar="N", help="of the last CT (default: searched for)")
    what.add_argument("--slices", type=_slices, metavar="FIRST:LAST", help="only these slices may change (default: all)")
    what.add_argument(
        "--smooth",
        type=float,
        default=SMOOTH_MM,
        metavar="MM",
        help=f"Gaussian across the slices, without which there are stripes; 0 as in the papers (default {SMOOTH_MM:g})",
    )
    what.add_argument("--autoencoder", metavar="FILE", help="of CT slices (default: the one that comes with Agg2Exp)")
    what.add_argument("--segmenter", metavar="PATH", help="for a classifier: the model that draws regions and volumes")
    what.add_argument("--no-picture", dest="picture", action="store_false", help="draw no strip and no moving picture")
    add_extra_rois(what)
    add_host_options(parser)
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Make, write and tell."""
    from ..counterfactuals.read import read_counterfactual
    from .terminal import work_in_terminal

    folder = work_in_terminal(lambda monitor: _make(_job(args), args, monitor), "Cancelled: nothing was written.")
    print(f"{read_counterfactual(folder)}\n{folder}")
    return 0


def _make(job: CounterfactualJob, args: argparse.Namespace, monitor: Monitor) -> Path:
    """Do the job here, or on another computer."""
    if args.host:
        from ..serving.remote import asked_by_ssh

        return Path(
            str(asked_by_ssh(args.host, args.host_command, {"do": "counterfactual", "job": job.to_json()}, monitor)["result"])
        )
    from ..counterfactuals.do import do_counterfactual
    from ..views.counterfactual_views import draw_counterfactual

    return do_counterfactual(job, monitor, draw=draw_counterfactual)


def _job(args: argparse.Namespace) -> CounterfactualJob:
    from dataclasses import fields

    from ..counterfactuals.job import CounterfactualJob

    values = {entry.name: getattr(args, entry.name) for entry in fields(CounterfactualJob) if hasattr(args, entry.name)}
    kind = "label" if args.class_name is None else "class"
    return CounterfactualJob(
        **values | {"target": args.class_name or args.label, "kind": kind, "extra_rois": tuple(args.extra_rois)}
    )


def _slices(text: str) -> tuple[int, int]:
    try:
        first, last = (int(part) for part in text.split(":"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be FIRST:LAST such as 20:30, not {text!r}") from None
    return first, last
