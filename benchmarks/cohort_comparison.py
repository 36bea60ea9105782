"""What the panel's comparison with a cohort sees in the paper's published patients: prints a Markdown section for RESULTS.md.

python benchmarks/cohort_comparison.py ../shared/data/agg2exp/tsv2_test_aggregated_sg_explanations_with_dice.csv

Each trial takes one label's row of one patient, changes it, and compares it with the other 31 patients.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from smoke import invented_table  # noqa: E402

from Agg2ExpLib.cohorts.compare import NEGLIGIBLE, RANGE, strangeness  # noqa: E402
from Agg2ExpLib.cohorts.compare_reference import ComparisonReference, open_reference  # noqa: E402

SHARES = (0.05, 0.1, 0.2, 0.4)
Trial = tuple[np.ndarray, np.ndarray, int | None]  # reference, row, changed region


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    table = parser.add_mutually_exclusive_group(required=True)
    table.add_argument("table", type=Path, nargs="?")
    table.add_argument("--smoke", action="store_true", help="only see whether it runs, with an invented table")
    parser.add_argument("--trials", type=int, default=96)
    args = parser.parse_args(argv)
    args.trials = 3 if args.smoke else args.trials
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Print the section."""
    args = parse(argv)
    with tempfile.TemporaryDirectory() as folder:
        reference = open_reference(invented_table(Path(folder) / "table.csv") if args.smoke else args.table)
    print("## Cohort: what a comparison sees\n")
    print(f"{len(reference.mass)} published patients, {args.trials} trials each, `benchmarks/cohort_comparison.py`.\n")
    print("| the patient's row | label called unusual | region outside the range |\n| --- | --- | --- |")
    _print("as it is (false alarms)", _unchanged(reference, args.trials))
    for share in SHARES:
        words = f"{100 * share:.0f} % of the attribution moved to another region"
        _print(words, _moved(reference, args.trials, share))
    _print("that of another label", _swapped(reference, args.trials))


def _print(words: str, trials: Iterator[Trial]) -> None:
    unusual = outside = regions = count = 0
    for known, row, region in trials:
        count += 1
        unusual += strangeness(known, row)[1] <= 0.05
        if region is not None:
            regions += 1
            outside += row[region] - np.quantile(known[:, region], (1 + RANGE) / 2, method="weibull") > NEGLIGIBLE
    print(f"| {words} | {unusual} of {count} | {f'{outside} of {regions}' if regions else ''} |", flush=True)


def _trials(
    reference: ComparisonReference, count: int, change: Callable[[int, int, np.random.Generator], Trial]
) -> Iterator[Trial]:
    rng = np.random.default_rng(0)
    for trial in range(count):
        yield change(trial % len(reference.rows), int(rng.integers(len(reference.mass))), rng)


def _others(reference: ComparisonReference, label: int, patient: int) -> tuple[np.ndarray, np.ndarray]:
    return np.delete(reference.mass[:, label], patient, 0), reference.mass[patient, label].copy()


def _unchanged(reference: ComparisonReference, count: int) -> Iterator[Trial]:
    return _trials(reference, count, lambda label, patient, _rng: (*_others(reference, label, patient), None))


def _moved(reference: ComparisonReference, count: int, share: float) -> Iterator[Trial]:
    own = reference.columns.index

    def change(label: int, patient: int, rng: np.random.Generator) -> Trial:
        known, row = _others(reference, label, patient)
        region = int(rng.choice([index for index in range(1, len(row)) if index != own(reference.rows[label])]))
        row *= 1 - share
        row[region] += share
        return known, row, region

    return _trials(reference, count, change)


def _swapped(reference: ComparisonReference, count: int) -> Iterator[Trial]:
    def change(label: int, patient: int, rng: np.random.Generator) -> Trial:
        other = int(rng.choice([index for index in range(len(reference.rows)) if index != label]))
        return _others(reference, label, patient)[0], reference.mass[patient, other], None

    return _trials(reference, count, change)


if __name__ == "__main__":
    main()
