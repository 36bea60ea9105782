"""The command ``agg2exp``: finds the verb, runs it, and turns failures into one sentence and an exit status."""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
import warnings
from collections.abc import Sequence

from ..errors import Cancelled, InputError, OutOfMemoryError, ToldError, on_command_line, worded
from ..system.memory import require_start
from ..version import __version__
from . import (
    cohort,
    counterfactual,
    demo,
    dicom,
    evaluate,
    explain,
    importance,
    models,
    render,
    report,
    run,
    segment,
    serve,
    train,
    whatif,
)

BAD_INPUT = 2
_COMPUTING = ("demo", "segment", "explain", "run", "cohort", "evaluate", "train", "whatif", "counterfactual", "serve")
_VERBS = (
    demo,
    segment,
    explain,
    run,
    importance,
    whatif,
    counterfactual,
    cohort,
    evaluate,
    render,
    report,
    dicom,
    serve,
    train,
    models,
)


def build_parser() -> argparse.ArgumentParser:
    """The parser with all verbs; loads nothing heavy."""
    parser = argparse.ArgumentParser(
        prog="agg2exp",
        description="Explains 3D segmentation models on CT: which organs or lesions does the model lean on for each label?",
        epilog="Start with `agg2exp demo`. Each verb has its own help: `agg2exp explain --help`.",
    )
    parser.add_argument("--version", action="version", version=f"agg2exp {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in _VERBS:
        verb.add_parser(verbs)
    for sub in verbs.choices.values():
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        sub.formatter_class = argparse.RawDescriptionHelpFormatter
        # Descriptions are the modules' docstrings, whose marks of code mean nothing on a terminal.
        sub.description = (sub.description or "").replace("``", "")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status: 0 done, 1 error, 2 bad input, 130 cancelled."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without ± must not make a finished run fail
            stream.reconfigure(errors="backslashreplace")
    args = build_parser().parse_args(argv)
    if not args.debug:
        warnings.simplefilter("ignore")  # what libraries remark to their programmers
    try:
        if args.verb in _COMPUTING:
            require_start()
        status = int(args.do(args))
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Whoever read the output (head, less) has seen enough; the interpreter would complain when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Cancelled, KeyboardInterrupt):
        print("Cancelled: nothing was written.", file=sys.stderr)
        return 130
    except InputError as error:
        return _fail(worded(error.template, on_command_line), args.debug, BAD_INPUT)
    except ToldError as error:
        return _fail(worded(f"{error.message} {error.hint}", on_command_line), args.debug, 1)
    except OutOfMemoryError as error:
        return _fail(worded(f"{error.template} {error.hint}", on_command_line), args.debug, 1)
    except Exception as error:
        message = f"{type(error).__name__}: {error} — this is a fault of agg2exp: repeat with --debug and report what it prints."
        return _fail(message, args.debug, 1)


def _fail(message: str, debug: bool, status: int) -> int:
    if debug:
        traceback.print_exc()
    print(f"agg2exp: {message}", file=sys.stderr)
    return status
