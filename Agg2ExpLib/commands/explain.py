"""``agg2exp explain``: CT and weights in, results folder out."""

from __future__ import annotations

import argparse
from typing import Any

from .options import add_explain_options, add_host_options, add_input_options, describe_methods, job_from

_EXAMPLES = """examples:
  agg2exp explain --ct chest.nii.gz --weights swin_unetr.pt --labels aorta,heart --output result
  agg2exp explain --ct dicom_folder --weights swin_unetr.pt --extra-rois lesion.nrrd:tumour --output result
  agg2exp explain --ct chest.nrrd --weights swin_unetr.pt --labels heart --target-mask blob.nrrd --output why_this_blob
  agg2exp explain --ct chest.nrrd --weights swin_unetr.pt --method integrated_gradients --baseline air --steps 32 --output ig
  agg2exp explain --ct chest.nrrd --weights swin_unetr.pt --method expected_gradients --references a.nii.gz b.nii.gz --output eg
  agg2exp explain --ct chest.nrrd --weights swin_unetr.pt --method kernel_shap --supervoxels slic --mask-coverage 0.9 --output ks
  agg2exp explain --ct chest.nrrd --weights classifier.safetensors --segmenter swin_unetr.pt --labels nodule --output why_nodule
"""


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "explain",
        help="explain a model's segmentation of one CT",
        epilog=f"{describe_methods()}\n\n{_EXAMPLES}",
        description=__doc__,
    )
    add_input_options(parser)
    add_explain_options(parser)
    add_host_options(parser)
    parser.set_defaults(do=main)


def main(args: argparse.Namespace) -> int:
    """Explain, then say what was found."""
    from ..runs.results import Results
    from ..runs.summary import summarise
    from .terminal import run_in_terminal

    print(summarise(Results.open(run_in_terminal(job_from(args, task="explain"), args.host, args.host_command))))
    return 0
