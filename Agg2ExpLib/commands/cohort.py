"""``agg2exp cohort``: from many results to global importance, outliers and group tests."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from .options import add_device_options, add_explain_options, add_model_options, add_window_options, job_from, split
from .terminal import TerminalMonitor

Found = TypeVar("Found")

_EXAMPLES = """examples:
  agg2exp cohort run patients.csv --weights swin_unetr.pt --output cohort
  agg2exp cohort summarise cohort --output summary
  agg2exp cohort outliers --reference cohort --output outliers
"""
_RUN_EXAMPLES = """examples:
  agg2exp cohort run patients.csv --weights swin_unetr.pt --labels aorta,heart --output cohort
  agg2exp cohort run patients.csv --weights swin_unetr.pt --output cohort --scheduler tcp://node7:8786

The table: patient,ct and, where wanted, truth (label map in the model's indices, FILE:name1,name2 with the names of its values, or
a .seg.nrrd whose segments are named like labels) and extra_rois (several separated by ;). Paths count from the table's folder.
Repeat the command to go on after an interruption: finished patients are not done again unless one of their files has changed.
"""
_SUMMARISE_EXAMPLES = """examples:
  agg2exp cohort summarise results/* --output summary
  agg2exp cohort summarise roi_importance.csv --dice dice.csv --output summary
  agg2exp cohort summarise women/* --compare men/* --names women,men --output women_and_men

Sources: tables in the tidy layout (patient,label,roi,mass,...) or the paper's wide one (<label>_explanation_in_<roi>_mass), results
folders, folders of them, and what `agg2exp cohort run` wrote.
"""


_OUTLIER_EXAMPLES = """examples:
  agg2exp cohort outliers --reference cohort --metadata patients.csv --output outliers
  agg2exp cohort outliers --reference training/* --patients new/* --save-reference thorax.npz --output outliers
  agg2exp cohort outliers --reference thorax.npz --patients new/* --output outliers
"""


def add_parser(verbs: Any) -> None:
    """Declare the verb and its parts."""
    parser = verbs.add_parser("cohort", help="many patients: run, summarise, find outliers", epilog=_EXAMPLES, description=__doc__)
    parts = parser.add_subparsers(dest="part", metavar="PART", required=True)
    _add_run(parts)
    _add_summarise(parts)
    _add_outliers(parts)
    for part in parts.choices.values():
        part.formatter_class = argparse.RawDescriptionHelpFormatter
        # after the verb as well as after the part
        part.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error")


def _add_summarise(parts: Any) -> None:
    parser = parts.add_parser(
        "summarise",
        help="global importance, figures and a report",
        epilog=_SUMMARISE_EXAMPLES,
        description="Global importance with confidence intervals, figures, and one HTML report that opens anywhere.",
    )
    parser.add_argument("sources", nargs="+", metavar="FILE", help="tables, results folders or folders of them")
    _add_reading_options(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier summary")
    parser.add_argument("--compare", nargs="+", default=[], metavar="FILE", help="a second cohort, shown beside the first")
    parser.add_argument("--names", type=split, default=(), metavar="A,B", help="names of the cohorts in titles and tables")
    parser.add_argument("--systems", metavar="FILE", help='JSON that joins labels into systems: {"lung_upper_lobe_left": "lungs"}')
    parser.add_argument(
        "--histogram-labels", type=split, default=(), metavar="A,B", help="labels of the pairwise histograms (default: lung lobes)"
    )
    parser.add_argument("--confidence", type=float, default=0.95, metavar="P", help="default 0.95")
    parser.add_argument("--resamples", type=int, default=2000, metavar="N", help="bootstrap samples of patients (default 2000)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default 0)")
    parser.set_defaults(do=_summarise)


def _add_reading_options(parser: argparse.ArgumentParser) -> None:
    """How a cohort is read."""
    parser.add_argument("--dice", metavar="FILE", help="table of Dice: patient,label,dice or <label>_dice columns")
    parser.add_argument(
        "--extra-rois", type=split, default=(), metavar="A,B", help="regions in the tables that are no labels of the model"
    )
    parser.add_argument("--mixed-models", action="store_true", help="accept results of different weights in one cohort")


def _summarise(args: argparse.Namespace) -> int:
    from ..cohorts.summarise import SummaryOptions, summarise_cohort
    from ..cohorts.words import summary_in_words
    from ..errors import InputError

    allowed = 2 if args.compare else 1
    if len(args.names) > allowed or (len(args.names) == 1 and args.compare):
        raise InputError(f"⟨names⟩ takes {allowed} name{'s' * (allowed > 1)} here, not {len(args.names)}.")
    names = dict(zip(("name", "compare_name"), args.names, strict=False))
    options = SummaryOptions(
        compare=tuple(args.compare),
        extra_rois=args.extra_rois,
        mixed_models=args.mixed_models,
        dice=args.dice,
        systems=args.systems,
        histogram_labels=args.histogram_labels,
        confidence=args.confidence,
        resamples=args.resamples,
        seed=args.seed,
        overwrite=args.overwrite,
        **names,
    )
    return _report(lambda monitor: summarise_cohort(args.sources, args.output, options, monitor), summary_in_words, args.output)


def _report(work: Callable[[TerminalMonitor], Found], in_words: Callable[[Found], str], output: Path) -> int:
    """Do something that writes a report, and say what was found and where it is."""
    monitor = TerminalMonitor()
    try:
        found = work(monitor)
    finally:
        monitor.close()
    print(in_words(found))
    print(f"Report: {output / 'report.html'}")
    return 0


def _add_outliers(parts: Any) -> None:
    parser = parts.add_parser(
        "outliers",
        help="strange patients, and what goes with them",
        epilog=_OUTLIER_EXAMPLES,
        description="An isolation forest for each label on the rows of a reference cohort scores how strange each patient is.",
    )
    parser.add_argument(
        "--reference",
        nargs="+",
        required=True,
        metavar="FILE",
        help="the reference cohort (sources as for summarise), or a saved one",
    )
    parser.add_argument(
        "--patients", nargs="+", default=[], metavar="FILE", help="who is scored (default: the reference, each against the others)"
    )
    _add_reading_options(parser)
    parser.add_argument("--metadata", metavar="FILE", help="CSV with a column patient and others, e.g. sex and age, to test")
    parser.add_argument("--columns", type=split, default=(), metavar="A,B", help="columns of it to test (default: all)")
    parser.add_argument("--trees", type=int, default=100, metavar="N", help="trees of each forest (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the forests (default 0)")
    parser.add_argument("--save-reference", metavar="FILE.npz", help="write the reference, without patient ids, for others to use")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace earlier output")
    parser.set_defaults(do=_outliers)


def _outliers(args: argparse.Namespace) -> int:
    from ..cohorts.outliers import OutlierOptions, Outliers, find_outliers
    from ..cohorts.words import outliers_in_words

    options = OutlierOptions(**{key: getattr(args, key) for key in OutlierOptions.__dataclass_fields__})

    def work(monitor: TerminalMonitor) -> Outliers:
        return find_outliers(args.reference, args.patients, args.output, options, monitor)

    return _report(work, outliers_in_words, args.output)


def _add_run(parts: Any) -> None:
    parser = parts.add_parser(
        "run",
        help="explain every patient of a table",
        epilog=_RUN_EXAMPLES,
        description="Explain every patient of a table, on this machine or a Dask cluster, and gather their matrices.",
    )
    parser.add_argument("table", type=Path, metavar="TABLE", help="CSV: patient,ct[,truth][,extra_rois]")
    add_model_options(parser)
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the cohort, made or continued")
    parser.add_argument(
        "--label-map", metavar="MAP", help="how the truth is read: thorax (TotalSegmentator v2), names in order, or a JSON file"
    )
    parser.add_argument("--keep-maps", action="store_true", help="keep maps, CT and segmentation of every patient")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="a Dask cluster, e.g. tcp://host:8786 (default: workers here)")
    parser.add_argument("--workers", type=int, metavar="N", help="worker processes here (default: one a GPU, else one)")
    add_explain_options(parser)
    add_window_options(parser)
    add_device_options(parser)
    parser.set_defaults(do=_run)


def _run(args: argparse.Namespace) -> int:
    import sys

    from tqdm import tqdm

    from ..cohorts.run import run_cohort
    from ..errors import InputError

    if args.target_mask or args.extra_rois:
        raise InputError("A cohort takes regions from its table (column extra_rois) and no target mask: leave the option out.")
    bar: Any = None

    def progress(done: int, total: int, patient: str, reason: str | None) -> None:
        nonlocal bar
        bar = bar or tqdm(total=total, initial=done - 1, unit="patient", disable=None, dynamic_ncols=True)
        bar.update(1)
        if reason is not None:
            tqdm.write(f"{patient} failed: {reason}", file=sys.stderr)

    job = job_from(args, ct="", task="explain")
    try:
        run = run_cohort(args.table, job, args.scheduler, args.workers, args.keep_maps, args.label_map, progress)
    except KeyboardInterrupt:
        print("Stopped: finished patients are kept; repeat the command to go on.", file=sys.stderr)
        return 130
    finally:
        if bar is not None:
            bar.close()
    earlier = f", {run.earlier} of them earlier" if run.earlier else ""
    print(f"{len(run.finished)} patients finished{earlier}; {len(run.failed)} failed.")
    print(f"Cohort: {run.folder}")
    return 1 if run.failed else 0
