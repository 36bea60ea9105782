"""Options that several verbs share, and the job they make."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable
from typing import Any

from ..attribution.keep import KEEP
from ..attribution.methods import METHODS, PRESETS, all_parameters, owners
from ..errors import on_command_line
from ..inference.compute import PRECISIONS
from ..inference.sliding_window import BLEND, BLENDS, OVERLAP
from ..runs.job import TARGETS, Job

DEFAULT_METHOD = "smoothgrad"


def add_input_options(parser: argparse.ArgumentParser) -> None:
    """CT, weights, windows, device and output: everything that a segmentation needs."""
    group = parser.add_argument_group("input")
    group.add_argument("--ct", required=True, metavar="FILE", help="CT: NIfTI, NRRD, MetaImage, or a folder with a DICOM series")
    add_model_options(group)
    output = parser.add_argument_group("output")
    output.add_argument("--output", required=True, metavar="DIR", help="results folder to write")
    output.add_argument("--overwrite", action="store_true", help="replace the results folder if it exists")
    output.add_argument("--patient-id", metavar="ID", help="id written into the results; default: the CT's file name")
    add_window_options(parser)
    add_device_options(parser)


def add_model_options(group: Any) -> None:
    """The model."""
    group.add_argument(
        "--weights",
        required=True,
        metavar="PATH",
        help="weights (.pt, .pth, .safetensors, TorchScript), MONAI bundle, or trained model folder of nnU-Net v2",
    )
    group.add_argument("--card", metavar="FILE", help="model card; default: the .json beside the weights")
    group.add_argument("--folds", metavar="N,M", help="folds of an nnU-Net, averaged, e.g. 0 or 0,1 (default all there are)")
    group.add_argument("--mirror", action="store_true", help="also average an nnU-Net over mirrored windows, as it was trained")


def add_window_options(parser: argparse.ArgumentParser) -> None:
    """How the sliding windows lie and blend."""
    group = parser.add_argument_group("sliding windows")
    group.add_argument(
        "--overlap", type=float, metavar="SHARE", help=f"overlap of neighbouring windows (default: the model's own, else {OVERLAP})"
    )
    group.add_argument("--blend", choices=BLENDS, help=f"weights of a window (default: the model's own, else {BLEND})")


def add_device_options(parser: argparse.ArgumentParser) -> None:
    """Where and how exactly to compute."""
    group = parser.add_argument_group("device")
    group.add_argument(
        "--device", default="auto", metavar="NAME", help="auto, cpu, cuda:0, mps (default auto: a GPU if there is one)"
    )
    group.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="default auto: float32, or mixed bfloat16 on a GPU that is fast at it",
    )
    group.add_argument(
        "--window-batch", type=_count, default="auto", metavar="N", help="windows per pass (default auto: from the free memory)"
    )


def add_host_options(parser: argparse.ArgumentParser) -> None:
    """Another computer to compute on."""
    group = parser.add_argument_group("another computer")
    group.add_argument(
        "--host",
        default="",
        metavar="USER@HOST",
        help="compute there through ssh: the CT and what else is read is sent, results come back, nothing stays there",
    )
    group.add_argument(
        "--host-command", default="", metavar="COMMAND", help="what starts the server there (default: agg2exp serve --stdio)"
    )


def add_explain_options(parser: argparse.ArgumentParser) -> None:
    """What is explained and how."""
    group = parser.add_argument_group("explanation")
    group.add_argument(
        "--labels",
        type=split,
        default=(),
        metavar="A,B",
        help="labels (of a classifier: classes) to explain, e.g. aorta,heart; default: all found",
    )
    group.add_argument("--method", default=DEFAULT_METHOD, metavar="NAME", help=f"{', '.join(METHODS)} (see below)")
    group.add_argument(
        "--preset",
        choices=tuple(PRESETS),
        help="paper: as published (20 independent samples, right rule, no correction)",
    )
    group.add_argument("--target", choices=TARGETS, default="sum", help="sum or mean of the label's logits (default sum)")
    group.add_argument(
        "--target-mask", metavar="FILE", help="explain the non-zero voxels of this label map instead of the label's own segment"
    )
    add_extra_rois(group)
    group.add_argument(
        "--segmenter", metavar="PATH", help="for a classifier: the segmentation model that draws the regions of the matrix"
    )
    group.add_argument(
        "--keep",
        type=float,
        default=KEEP,
        metavar="SHARE",
        help="pass the fewest windows that hold this share of each label's weight, such as 0.99; default 1: every window, exact",
    )
    mask = parser.add_argument_group(
        "global mask", "the supervoxels that matter most over all labels, see the options for them below"
    )
    chosen = mask.add_mutually_exclusive_group()
    chosen.add_argument("--mask-coverage", type=float, metavar="SHARE", help="keep the fewest that hold this share, such as 0.9")
    chosen.add_argument("--mask-regions", type=int, metavar="N", help="keep this many")
    add_method_options(parser)


def add_method_options(parser: argparse.ArgumentParser) -> None:
    """One option for every parameter of the methods, as the registry describes them."""
    group = parser.add_argument_group("parameters of the methods")
    for name, entry in all_parameters().items():
        words = f"{', '.join(owners(name))}: {entry.help}"
        if entry.default is True or (entry.kind in ("int", "float", "str", "int | str") and entry.default != ""):
            words += f" (default {'on' if entry.default is True else entry.default})"
        # What is not given stays None, so that each method has its own default.
        more: dict[str, Any] = {"default": None, "help": words.replace("%", "%%")}
        if entry.kind == "bool":
            more["action"] = argparse.BooleanOptionalAction
        elif entry.kind == "tuple[str, ...]":
            more |= {"nargs": "+", "metavar": "FILE"}
        elif entry.choices:
            more["choices"] = entry.choices
        else:
            kinds: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "float | None": float, "int | str": _count}
            more |= {"type": kinds.get(entry.kind, str), "metavar": name[0].upper()}
        group.add_argument(on_command_line(name), **more)


def describe_methods() -> str:
    """Every method with what it does and when to use it, for the end of a help text."""
    lines = ["methods:"]
    for name, method in METHODS.items():
        text = f"{method.summary} {method.when}"
        lines += [f"  {name}", *textwrap.wrap(text, 100, initial_indent="      ", subsequent_indent="      ")]
    return "\n".join(lines)


def add_extra_rois(group: Any) -> None:
    """Further regions of interest."""
    group.add_argument(
        "--extra-rois",
        action="append",
        default=[],
        metavar="FILE[:names]",
        help="further regions from a label map, e.g. lesions.nrrd:tumour,node or counts.nii.gz>=2:lesion (repeatable)",
    )


def split(text: str) -> tuple[str, ...]:
    """Comma-separated names."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if not names:
        raise argparse.ArgumentTypeError("names no label: leave it out for all labels")
    return names


def _count(text: str) -> int | str:
    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number or auto, not {text!r}") from None


def job_from(args: argparse.Namespace, **more: Any) -> Job:
    """The job that the options describe; ``more`` replaces or adds entries."""
    values = {key: value for key, value in vars(args).items() if key in Job.entries() and value is not None}
    return Job.from_json({**values, **more}, complete=False)
