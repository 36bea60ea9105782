"""How fast the importance converges, and whether its error bars hold: against a reference of many paired passes of one window.

    python benchmarks/convergence.py --pairs 512 --tested 320       # a phantom, the demo network, one core: half a day
    python benchmarks/convergence.py --ct chest.nii.gz --window 13,14,26 --size 64,32,32    # a part of a real scan: an hour
    bash benchmarks/gpu.sh

The reference has noise of its own and is not made by the estimator under test: ``Σ |ē|`` of all its pairs is too large, the
same sum with the signs that the other pairs give is too small; it is the middle of both, and the tables tell how far they are
apart and what is covered of each. Passes are kept in ``--cache`` (see passes.py), so that a run that was stopped goes on. A seed
is a block of tested pairs of its own; with more seeds than blocks, pairs are drawn anew for each. Errors are percentage points of
shares, over all explained labels and the regions of all labels in the window. Prints Markdown; ``--section NAME`` also puts it
into RESULTS.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from compare import write_section  # noqa: E402
from passes import SIGMA, Passes, clock_of, collect  # noqa: E402

from Agg2ExpLib.attribution.method import Estimate  # noqa: E402
from Agg2ExpLib.attribution.smoothgrad import MOST_SAMPLES, SmoothGrad  # noqa: E402
from Agg2ExpLib.roi_importance.groups import GroupMaps  # noqa: E402
from Agg2ExpLib.roi_importance.limit import group_sums, limit_row  # noqa: E402
from Agg2ExpLib.roi_importance.matrix import Regions  # noqa: E402
from Agg2ExpLib.runs.rows import Rows  # noqa: E402

TARGETS = (2.0, 1.0, 0.5, 0.25)  # percentage points
WANTED = 0.5  # of the same-accuracy table
FAR = 16  # times the longest run, beyond which no number of passes is foretold
REFERENCE_GROUPS = 16  # whose signs are told by the others
SHOWN = "heart"  # whose share in itself is shown, as in docs/method.md
FEW = ("heart", "aorta", "trachea", "lung_upper_lobe_left")  # the 1 and 4 labels of the same-accuracy table
Shares = tuple[np.ndarray, np.ndarray]


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ct", help="CT; default: a synthetic phantom")
    parser.add_argument("--weights", help="of the network; default: the demo network")
    parser.add_argument("--window", help="first voxel x,y,z on the model grid; default: in the middle")
    parser.add_argument("--size", help="voxels x,y,z of the window; default: the network's")
    parser.add_argument("--labels", default="", help="channels to explain, 1,8; default: all that the window holds")
    parser.add_argument("--pairs", type=int, default=512, help="paired passes of the reference")
    parser.add_argument("--tested", type=int, default=320, help="paired passes that are tested against it")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--samples", default="8,16,32", help="passes whose intervals are tested")
    parser.add_argument("--most", type=int, default=128, help="passes of the longest run in the table")
    parser.add_argument("--tolerance", type=float, default=0.5, help="of runs that stop by themselves, percentage points")
    parser.add_argument("--cache", default="convergence_cache", help="folder of the passes")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--only-cached", action="store_true", help="tell what is in the cache, compute no further passes")
    parser.add_argument("--timed", type=int, default=1, help="pairs of copies that time each scheme; 0 for none")
    parser.add_argument("--section", help="heading in RESULTS.md that the tables replace")
    parser.add_argument("--smoke", action="store_true", help="only see whether it runs: a tiny network and grid")
    args = parser.parse_args(argv)
    if args.smoke:
        args.pairs, args.tested, args.seeds, args.samples, args.most, args.device = 16, 12, 3, "4,8", 8, "cpu"
        args.timed, args.labels = 1, "0,1,8"
    return args


def limit_of(regions: Regions, parts: Sequence[np.ndarray], own: int) -> Shares:
    maps = GroupMaps()
    for part in parts:
        maps.add(part, 1)
    row = limit_row(group_sums(regions, [maps.map(i) for i in range(len(maps.samples))], maps.samples), own)
    return row.limit, row.error


def plain_of(regions: Regions, parts: Sequence[np.ndarray], own: int) -> Shares:
    """Equation 7 with the method of batch means on five groups or fewer: what was told before."""
    mass = regions.sums(np.mean(parts, axis=0)).mass
    groups = [regions.sums(np.mean(part, axis=0)).mass for part in np.array_split(np.asarray(parts), min(5, len(parts)))]
    if len(groups) < 2:
        return mass, np.full(own, np.nan)
    return mass, np.std(groups, axis=0, ddof=1) / len(groups) ** 0.5


def richardson_of(regions: Regions, parts: Sequence[np.ndarray], own: int) -> Shares:
    """``2 E(n) - E(n/2)``."""
    whole = plain_of(regions, parts, own)[0]
    half = len(parts) // 2
    halves = [regions.sums(np.mean(part, axis=0)).mass for part in (parts[:half], parts[half:])]
    return 2 * whole - np.mean(halves, axis=0), np.full(own, np.nan)


Scheme = Callable[[Regions, Sequence[np.ndarray], int], Shares]
PAPER, OURS = "paper: independent, eq. 7", "ours: pairs, limit"
# name, paired or independent passes, estimator
SCHEMES: tuple[tuple[str, bool, Scheme], ...] = (
    (PAPER, False, plain_of),
    ("independent, limit", False, limit_of),
    ("pairs, eq. 7", True, plain_of),
    ("pairs, 2 E(n) - E(n/2)", True, richardson_of),
    (OURS, True, limit_of),
)


def bracket(regions: Regions, groups: Sequence[np.ndarray]) -> Shares:
    """Shares ``[regions]`` of a sum that is too large and of one that is too small, see the module's head."""
    mean = np.mean(groups, axis=0)
    index, count = regions.segmentation.ravel(), len(regions.names)
    upper = np.bincount(index, np.abs(mean).ravel(), minlength=count)
    lower = np.zeros(count)
    for group in groups:
        signs = np.sign(len(groups) * mean - group)
        lower += np.bincount(index, (signs * group).ravel(), minlength=count) / len(groups)
    return upper / upper.sum(), lower / lower.sum()


def blocks(total: int, size: int, seeds: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Numbers of the passes of each seed: blocks of their own while there are enough, else drawn anew."""
    return [
        np.arange(seed * size, (seed + 1) * size) if (seed + 1) * size <= total else rng.choice(total, size, replace=False)
        for seed in range(seeds)
    ]


def run_to(tolerance: float, regions: Regions, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Limit, error and passes of a run that stops at a tolerance as the tool does, at most with these pairs."""
    import torch

    method = SmoothGrad(samples=2 * len(pairs), sigma=SIGMA, tolerance=tolerance)
    rows, needed, done = Rows(regions), float(2 * len(pairs)), 0
    while needed > done:
        values, done = torch.from_numpy(pairs[done // 2]), done + 2
        estimate = Estimate(done, ("label",), 2, lambda name, values=values: values, lambda name, values=values: values)
        rows.add_group(estimate, method)
        needed = min(rows.needed(estimate, tolerance).get("label", needed), 2 * len(pairs))
    row = rows.limit("label")
    assert row is not None
    return row.limit, row.error, done


@dataclass
class Found:
    """What was measured; each list has an entry for each explained label.

    Attributes:
        reference, upper, lower: shares ``[regions]``.
        values, told: of each scheme and number of passes, shares and the error told of them, ``[seeds, regions]``.
        stopped: the same of runs that stop by themselves, with the passes that they took, ``[seeds]``.
    """

    reference: list[np.ndarray] = field(default_factory=list)
    upper: list[np.ndarray] = field(default_factory=list)
    lower: list[np.ndarray] = field(default_factory=list)
    values: dict[tuple[str, int], list[np.ndarray]] = field(default_factory=dict)
    told: dict[tuple[str, int], list[np.ndarray]] = field(default_factory=dict)
    stopped: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)

    def off(self, key: tuple[str, int], rows: Sequence[int] | None = None) -> np.ndarray:
        """Errors in points, ``[labels, seeds, regions]``, of these labels or all."""
        chosen = range(len(self.reference)) if rows is None else rows
        return np.array([100 * (self.values[key][row] - self.reference[row]) for row in chosen])

    def largest(self, key: tuple[str, int], rows: Sequence[int] | None = None) -> float:
        """Largest error of the matrix, median over seeds."""
        return float(np.median(np.abs(self.off(key, rows)).max(axis=(0, 2))))


def measure(args: argparse.Namespace, passes: Passes) -> Found:
    """Every scheme at every number of passes."""
    present = np.flatnonzero(np.bincount(passes.segmentation.ravel()))
    regions = Regions(np.searchsorted(present, passes.segmentation), [passes.names[label] for label in present])
    own, total = len(present), len(passes.tested)
    tested = [int(n) for n in args.samples.split(",")]
    numbers = sorted({*tested, *(2**k for k in range(1, 12) if 2**k <= args.most), args.most})
    found = Found()
    for number, label in enumerate(passes.labels):
        upper, lower = bracket(regions, passes.reference(number, REFERENCE_GROUPS))
        found.upper.append(upper)
        found.lower.append(lower)
        found.reference.append((upper + lower) / 2)
        means, firsts = passes.of_label(number)
        for name, paired, scheme in SCHEMES:
            for n in numbers:
                seeds = args.seeds if n in tested else max(args.seeds // 4, 3)  # the curve needs fewer than the intervals
                size = n // 2 if paired else n
                if size < (1 if scheme is plain_of else 2) or size > total:
                    continue
                chosen = blocks(total, size, seeds, np.random.default_rng(n))
                pool = means if paired else firsts
                values, told = zip(*(scheme(regions, pool[block], own) for block in chosen), strict=True)
                found.values.setdefault((name, n), []).append(np.array(values))
                found.told.setdefault((name, n), []).append(np.array(told))
        most = min(MOST_SAMPLES // 2, total)
        chosen = blocks(total, most, args.seeds, np.random.default_rng(1))
        limits, told, took = zip(*(run_to(args.tolerance, regions, means[block]) for block in chosen), strict=True)
        found.stopped.append((np.array(limits), np.array(told), np.array(took)))
        print(f"{passes.names[label]} done", file=sys.stderr, flush=True)
    return found


def copy_seconds(args: argparse.Namespace, passes: Passes, labels: Sequence[int]) -> dict[str, float]:
    """Seconds that one noisy copy takes for these labels in each scheme of ``schemes.py``; CPU seconds on the CPU."""
    import torch
    from schemes import SCHEMES as WAYS

    from Agg2ExpLib.attribution.stitched import Target
    from Agg2ExpLib.inference.compute import choose_compute
    from Agg2ExpLib.inference.sliding_window import WindowPlan
    from Agg2ExpLib.models.model import demo_weights, load_model

    compute = choose_compute(args.device, "float32")
    network = load_model(Path(args.weights) if args.weights else demo_weights()).network.to(compute.device)
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    targets = [Target(passes.names[label], label, passes.segmentation == label) for label in labels]
    image, plan = torch.from_numpy(passes.image), WindowPlan(passes.image.shape, passes.image.shape)
    with torch.no_grad():
        network(image[None, None].to(compute.device))  # libraries load, kernels are chosen
    now, found = clock_of(compute.device), {}
    for name, way in WAYS.items():
        began = now()
        way(network, image, targets, plan, compute, 2 * args.timed, SIGMA)
        found[name] = (now() - began) / (2 * args.timed)
    return found


def row_of(words: str, cells: Sequence[str]) -> str:
    return f"| {words} | {' | '.join(cells)} |"


def table(head: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    return [row_of(head, columns), "|---" * (len(columns) + 1) + "|", *(row_of(*row) for row in rows)]


def covered(values: np.ndarray, told: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Whether each 95 % interval holds the reference; NaN where no error was told."""
    return np.where(np.isnan(told), np.nan, np.abs(values - reference) <= 1.96 * told + 1e-12)


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def tables(args: argparse.Namespace, passes: Passes, found: Found) -> str:
    names, numbers = [name for name, _, _ in SCHEMES], sorted({n for _, n in found.values})
    apart = 100 * np.abs(np.array(found.upper) - np.array(found.lower)) / 2
    machine = passes.facts.get("device", "CPU")
    lines = [
        f"{date.today()}, {machine}, torch {passes.facts.get('torch')}. {'Own' if args.weights else 'Demo'} network, window of "
        f"{passes.place}; σ = {SIGMA}; {len(passes.labels)} labels × {len(found.reference[0])} regions; {args.seeds} seeds from "
        f"{len(passes.tested)} pairs. Reference: {passes.reference_pairs} further pairs; the sums that are too large and too small "
        f"lie {np.median(apart):.3f} points from it in the median and {apart.max():.2f} at most.",
        "",
    ]

    def block(cell: Callable[[tuple[str, int]], str], which: Sequence[int]) -> list[str]:
        keys = [(name, [(name, n) for n in which]) for name in names]
        rows = [(name, [cell(key) if key in found.values else "" for key in row]) for name, row in keys]
        return table("passes n", [str(n) for n in which], rows)

    explained = [passes.names[label] for label in passes.labels]
    if SHOWN in explained:
        row = explained.index(SHOWN)
        present = np.flatnonzero(np.bincount(passes.segmentation.ravel()))
        column = int(np.flatnonzero(present == passes.labels[row])[0])
        lines += [f"Share of the {SHOWN}'s attribution in the {SHOWN}, mean over seeds; the reference is "]
        lines[-1] += f"{found.reference[row][column]:.4f}:"
        lines += ["", *block(lambda key: f"{found.values[key][row][:, column].mean():.4f}", numbers), ""]
    lines += ["Error in percentage points, largest of the matrix / median of its entries (median over seeds):", ""]
    lines += block(lambda key: f"{found.largest(key):.2f} / {np.median(np.abs(found.off(key))):.3f}", numbers)
    lines += ["", *coverage(args, passes, found), "", *passes_needed(passes, found, numbers)]
    if args.timed:
        lines += ["", *same_accuracy(args, passes, found, numbers)]
    return "\n".join(lines)


def coverage(args: argparse.Namespace, passes: Passes, found: Found) -> list[str]:
    """The coverage table."""
    tested = [int(n) for n in args.samples.split(",")]
    bounds = {"middle": found.reference, "upper": found.upper, "lower": found.lower}

    def cells(columns: Sequence[tuple[list[np.ndarray], list[np.ndarray]] | None], bound: str) -> list[str]:
        texts = []
        for column in columns:
            by_label = [] if column is None else [np.nanmean(covered(*of)) for of in zip(*column, bounds[bound], strict=True)]
            texts.append(percent(float(np.mean(by_label))) + f" ({100 * min(by_label):.0f})" if by_label else "")
        return texts

    def columns(name: str) -> list[tuple[list[np.ndarray], list[np.ndarray]] | None]:
        keys = [(name, n) for n in tested]
        told = [key in found.told and not np.isnan(found.told[key]).all() for key in keys]
        return [(found.values[key], found.told[key]) if known else None for key, known in zip(keys, told, strict=True)]

    stopped = ([values for values, _, _ in found.stopped], [told for _, told, _ in found.stopped])
    rows = [(name, [*cells(columns(name), "middle"), ""]) for name in (PAPER, "independent, limit", "pairs, eq. 7")]
    rows += [
        (f"{OURS}{'' if bound == 'middle' else f', against the {bound} sum'}", cells([*columns(OURS), stopped], bound))
        for bound in bounds
    ]
    took = np.array([passes for _, _, passes in found.stopped])
    off = 100 * np.array([values - ref for (values, _, _), ref in zip(found.stopped, found.reference, strict=True)])
    worst = np.abs(off).max(axis=2)
    return [
        "Share of all entries whose 95 % interval (± 1.96 of the error) holds the reference (in brackets the lowest of a label):",
        "",
        *table("passes n", [*map(str, tested), f"tolerance {args.tolerance:g}"], rows),
        "",
        f"With the tolerance a label took {int(took.min())} to {int(took.max())} passes, {np.mean(took):.1f} in the mean; a row's "
        f"largest error then was {np.median(worst):.2f} points in the median, and above {args.tolerance:g} in "
        f"{percent(float(np.mean(worst > args.tolerance)))} of the runs.",
    ]


def seconds_of(passes: Passes) -> str:
    """What is told as seconds."""
    return "CPU seconds" if "CPU" in passes.facts.get("device", "CPU") else "seconds"


def passes_needed(passes: Passes, found: Found, numbers: Sequence[int]) -> list[str]:
    """Passes to errors of some sizes."""
    seconds = passes.facts.get("pair_s", float("nan")) / 2

    def cell(name: str, target: float) -> str:
        n, sure = passes_to(target, [(n, found.largest((name, n))) for n in numbers if (name, n) in found.values])
        if n > FAR * max(numbers):
            return f"over {FAR * max(numbers)}"
        return f"{'' if sure else 'about '}{n:.0f} ({n * seconds:.0f} s)"

    return [
        f"Passes (and {seconds_of(passes)}, at {seconds:.2f} s a pass with all labels) to an error of so many points, largest of "
        'the matrix; "about" continues the last two columns of the table above:',
        "",
        *table(
            "scheme",
            [f"{target:g}" for target in TARGETS],
            [(name, [cell(name, target) for target in TARGETS]) for name, _, _ in SCHEMES],
        ),
    ]


def same_accuracy(args: argparse.Namespace, passes: Passes, found: Found, numbers: Sequence[int]) -> list[str]:
    """Passes and seconds to the same error in three ways, for few labels and for all."""
    explained = [passes.names[label] for label in passes.labels]
    few = [name for name in FEW if name in explained]
    unit = seconds_of(passes)
    sets = {len(names): names for names in (few[:1], few, explained) if names}
    lines = []
    for count, names in sets.items():
        rows = [explained.index(name) for name in names]
        seconds = copy_seconds(args, passes, [passes.labels[row] for row in rows])
        cells = []
        for way, scheme in (("ours", OURS), ("paper", PAPER), ("captum", PAPER)):
            course = [(n, found.largest((scheme, n), rows)) for n in numbers if (scheme, n) in found.values]
            n, sure = passes_to(WANTED, course)
            cells.append(f"{'' if sure else 'about '}{n:.0f} × {seconds[way]:.2f} s = {n * seconds[way]:.0f} s")
        lines.append((str(count), cells))
    return [
        f"Same accuracy, {WANTED:g} points for the largest entry of the labels: passes × {unit} of a noisy copy, each timed "
        "with the three ways of `benchmarks/compare.py` on this window:",
        "",
        *table("labels", ["ours", "paper's scheme", "captum NoiseTunnel"], lines),
    ]


def passes_to(target: float, measured: Sequence[tuple[int, float]]) -> tuple[float, bool]:
    """Passes to an error, between two measured numbers on logarithmic scales or beyond the last; and whether it was reached."""
    below = [index for index, (_, error) in enumerate(measured) if error <= target]
    if below and below[0] == 0:
        return measured[0][0], True
    last = below[0] if below else len(measured) - 1
    (n0, e0), (n1, e1) = measured[last - 1], measured[last]
    slope = min(np.log(e1 / e0) / np.log(n1 / n0), -0.1)
    return float(n0 * np.exp(np.log(target / e0) / slope)), bool(below)


def work(args: argparse.Namespace) -> None:
    if not args.only_cached:
        collect(args, Path(args.cache))
    passes = Passes(Path(args.cache))
    text = tables(args, passes, measure(args, passes))
    print(text)
    if args.section:
        write_section(args.section, text)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    if not args.smoke:
        work(args)
        return
    from smoke import coarse_phantom, tiny_weights

    with tempfile.TemporaryDirectory() as folder:
        args.cache, args.weights = str(Path(folder) / "cache"), str(tiny_weights(Path(folder)))
        args.ct = str(coarse_phantom(Path(folder) / "ct.nii.gz"))
        work(args)


if __name__ == "__main__":
    main()
