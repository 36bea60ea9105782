"""What follows from the paper's published matrices (32 test patients): prints a Markdown section for RESULTS.md.

python benchmarks/cohort_published.py ../shared/data/agg2exp/tsv2_test_aggregated_sg_explanations_with_dice.csv
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from smoke import invented_table  # noqa: E402

from Agg2ExpLib.cohorts.figures import context_order  # noqa: E402
from Agg2ExpLib.cohorts.forest import fit_reference, score_patients  # noqa: E402
from Agg2ExpLib.cohorts.importance import GlobalImportance, global_importance  # noqa: E402
from Agg2ExpLib.cohorts.matrices import CohortMatrices  # noqa: E402
from Agg2ExpLib.cohorts.outliers import dice_correlations  # noqa: E402
from Agg2ExpLib.cohorts.read import read_cohort  # noqa: E402
from Agg2ExpLib.monitor import Monitor, Stage  # noqa: E402
from Agg2ExpLib.roi_importance.graph import importance_graph  # noqa: E402


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    table = parser.add_mutually_exclusive_group(required=True)
    table.add_argument("table", type=Path, nargs="?")
    table.add_argument("--smoke", action="store_true", help="only see whether it runs, with an invented table")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the section."""
    args = parse(argv)
    with tempfile.TemporaryDirectory() as folder:
        cohort = read_cohort([invented_table(Path(folder) / "table.csv") if args.smoke else args.table])
    overall = global_importance(cohort)
    print("## Cohort: what the published matrices give\n")
    print(
        f"The paper's own matrices of its Swin UNETR for {len(cohort.patients)} TotalSegmentator v2 test patients (MIT, "
        "arXiv 2407.16653), through `benchmarks/cohort_published.py`; no map was recomputed.\n"
    )
    _matrix(cohort, overall)
    _context(cohort, overall)
    _graph(cohort, overall)
    _outliers(cohort, 4 if args.smoke else 100)
    _not_public()


def _matrix(cohort: CohortMatrices, overall: GlobalImportance) -> None:
    sums = cohort.mass.sum(axis=2)
    aorta, right, lower = (overall.rows.index(name) for name in ("aorta", "lung_upper_lobe_right", "lung_lower_lobe_right"))
    back = overall.columns.index("background")
    # mass ÷ mean is a region's size up to a factor of the row: the same for every row if both columns are right
    complete = (cohort.mass > 0).all(axis=(1, 2))
    size = cohort.mass[complete] / cohort.values["mean"][complete]
    size /= size.sum(axis=2, keepdims=True)
    agree = np.abs(size / size[:, :1] - 1).max()
    foreground = overall.mass[cohort.foreground, back]
    print("| quantity | value |\n|---|---|")
    print(f"| largest departure of a patient's row sum from 1 | {np.abs(sums - 1).max():.1e} |")
    print(f"| largest departure of a global row sum from 1 | {np.abs(overall.mass.sum(axis=1) - 1).max():.1e} |")
    print(f"| E(aorta, lung_upper_lobe_right) | {_with_interval(overall, aorta, right)} |")
    print(f"| E(lung_lower_lobe_right, itself) | {_with_interval(overall, lower, lower)} |")
    print(f"| E(background, background) | {_with_interval(overall, back, back)} |")
    print(f"| background's share, smallest and largest over the 16 labels | {foreground.min():.3f} to {foreground.max():.3f} |")
    print(
        f"| volume shares implied by mass ÷ mean: largest disagreement between rows, "
        f"{complete.sum()} patients without a zero entry | {agree:.1e} |"
    )
    own = [overall.values["enrichment"][row, overall.columns.index(overall.rows[row])] for row in cohort.foreground]
    print(f"| share ÷ volume inside the own segment, over the labels | {min(own):.1f} to {max(own):.1f} |\n")


def _with_interval(overall: GlobalImportance, row: int, column: int) -> str:
    return f"{overall.mass[row, column]:.3f} ({overall.low[row, column]:.3f}–{overall.high[row, column]:.3f})"


def _context(cohort: CohortMatrices, overall: GlobalImportance) -> None:
    print(
        "Context ranking (share of a label's attribution outside its own segment, 95 % bootstrap interval), and the top-3 edges:\n"
    )
    print("| label | context, % | strongest regions (share, %) |\n|---|---|---|")
    graph = importance_graph(overall.matrix(), cohort.labels)
    for name in context_order(cohort):
        row, own = overall.rows.index(name), overall.columns.index(name)
        context = 100 * (1 - np.array([overall.mass[row, own], overall.high[row, own], overall.low[row, own]]))
        edges = sorted(graph.in_edges(name, data=True), key=lambda edge: edge[2]["rank"])
        regions = ", ".join(f"{source} {100 * data['weight']:.1f}" for source, _, data in edges)
        print(f"| {name} | {context[0]:.2f} ({context[1]:.2f}–{context[2]:.2f}) | {regions} |")
    print()


def _graph(cohort: CohortMatrices, overall: GlobalImportance) -> None:
    graph = importance_graph(overall.matrix(), cohort.labels)
    lobes = sum(source.startswith("lung") for source, _ in graph.edges)
    print(
        f"The top-3 graph has {graph.number_of_nodes()} nodes and {graph.number_of_edges()} edges; {lobes} start in a lung lobe.\n"
    )


def _outliers(cohort: CohortMatrices, trees: int) -> None:
    began = time.monotonic()
    stage = Stage(Monitor(), "", 0.0, 1.0)
    found = score_patients(fit_reference(cohort, trees, 0, stage), cohort, stage)
    tests = dice_correlations(found, cohort)
    average, clear = tests[-1], [test for test in tests[:-1] if test.p_adjusted < 0.05]
    ranked = ", ".join(f"{found.patients[index]} {found.average[index]:.3f}" for index in found.order[:5])
    words = ", ".join(f"{test.subject} (ρ = {test.statistic:.2f}, adjusted p = {test.p_adjusted:.2g})" for test in clear)
    print(f"Outliers, leave-one-out (the paper fits its forests on the training patients instead), {trees} trees, seed 0:\n")
    print(f"- five strangest patients by average anomaly score: {ranked}")
    print(
        f"- average score against mean Dice: Spearman ρ = {average.statistic:.2f}, p = {average.p:.2g}, adjusted "
        f"{average.p_adjusted:.2g}, n = {average.n}"
    )
    print(f"- labels whose score goes with Dice at 5 % after Benjamini–Hochberg: {words or 'none'}")
    print(f"- {time.monotonic() - began:.0f} s on a busy machine\n")


def _not_public() -> None:
    print(
        "What cannot be derived from the table: everything that needs the training patients (their matrices are not public): "
        "forests fitted on them, training against test patients, context shares of a second cohort; and what needs sex or age, the "
        "voxel maps, sizes in voxels, or signed and per-method results. Numbers printed in the paper were not at hand while this "
        "was made, so none is set beside ours."
    )


if __name__ == "__main__":
    main()
