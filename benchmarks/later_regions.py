"""How well a region that is added to a result has the limit that it would have had at once, and what that takes on the disk.

    python benchmarks/convergence.py --cache convergence_cache    # makes the passes
    python benchmarks/later_regions.py --cache convergence_cache

Balls of a few sizes at random places, and the model's own labels given once more as regions: the hardest, since attribution changes
where they end. Prints Markdown; ``--section NAME`` also puts it into RESULTS.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import convergence  # noqa: E402
from compare import write_section  # noqa: E402
from passes import Passes, collect  # noqa: E402

from Agg2ExpLib.roi_importance.groups import GroupMaps  # noqa: E402
from Agg2ExpLib.roi_importance.kept_noise import KeptNoise  # noqa: E402
from Agg2ExpLib.roi_importance.limit import group_sums, limit_row  # noqa: E402
from Agg2ExpLib.roi_importance.matrix import Regions  # noqa: E402

RADII = (2.5, 4.0, 8.0)  # voxels
LABELS = "the model's labels"


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", default="convergence_cache", help="folder of the passes")
    parser.add_argument("--samples", default="8,16,32", help="passes of a run")
    parser.add_argument("--balls", type=int, default=12, help="of each size")
    parser.add_argument("--section", help="heading in RESULTS.md that the table replaces")
    parser.add_argument("--smoke", action="store_true", help="only see whether it runs: a tiny network and grid")
    args = parser.parse_args(argv)
    if args.smoke:
        args.samples, args.balls = "8", 2
    return args


def further_regions(passes: Passes, balls: int) -> tuple[list[tuple[str, np.ndarray]], list[str]]:
    """Names and masks, and the kind of each."""
    rng, place = np.random.default_rng(0), np.moveaxis(np.indices(passes.image.shape), 0, -1)
    found, kinds = [], []
    for radius in RADII:
        for number in range(balls):
            centre = rng.uniform(0, passes.image.shape)
            found.append((f"ball {radius} {number}", ((place - centre) ** 2).sum(axis=-1) <= radius**2))
            kinds.append(f"balls of {radius:g} voxels' radius")
    for label in np.flatnonzero(np.bincount(passes.segmentation.ravel()) >= 20):
        found.append((f"{passes.names[label]} again", passes.segmentation == label))
        kinds.append(LABELS)
    return found, kinds


def measure(passes: Passes, samples: int, extra: list[tuple[str, np.ndarray]]) -> tuple[np.ndarray, float]:
    """For each explained label the shares at once and later, errors at once and later, and eq. 7: ``[5, labels, regions]``; the
    size of what is kept, as a share of the maps."""
    regions = Regions(passes.segmentation, passes.names, extra)
    own, rows, sizes = len(passes.names), [], []
    for number in range(len(passes.labels)):
        pairs = passes.of_label(number)[0][: samples // 2]
        groups = GroupMaps()
        for pair in pairs:
            groups.add(pair, 2)
        maps, attribution = [groups.map(index) for index in range(len(groups.samples))], pairs.mean(axis=0)
        found, mass = group_sums(regions, maps, groups.samples), regions.sums(attribution)
        kept = KeptNoise.of(maps, groups.samples, attribution, regions, found)
        with tempfile.TemporaryDirectory() as folder:
            kept.save(Path(folder) / "kept.npz")
            sizes.append((Path(folder) / "kept.npz").stat().st_size / attribution.nbytes)
        first, later = limit_row(found, own, mass.mass), kept.row(regions, mass)
        rows.append(np.stack([first.limit, later.limit, first.error, later.error, mass.mass])[:, own:])
    return np.stack(rows, axis=1), float(np.mean(sizes))


def work(args: argparse.Namespace) -> None:
    passes = Passes(Path(args.cache))
    extra, kinds = further_regions(passes, args.balls)
    lines, told = [], []
    for samples in (int(n) for n in args.samples.split(",")):
        (first, later, error, later_error, mass), size = measure(passes, samples, extra)
        told.append(f"{100 * size:.1f} % ({samples})")
        for kind in dict.fromkeys(kinds):
            which = np.array(kinds) == kind
            off, before = 100 * np.abs(later - first)[:, which], 100 * np.abs(mass - first)[:, which]
            known = np.isfinite(off) & (error[:, which] > 1e-7)
            ratio = (later_error / np.maximum(error, 1e-12))[:, which][known]
            inside = off[known] / 100 <= 1.96 * later_error[:, which][known]
            lines.append(
                f"| {samples} | {kind} | {np.median(off[known]):.4f} / {off[known].max():.2f} | "
                f"{np.median(before[known]):.4f} / {before[known].max():.2f} | {np.median(ratio):.2f} | "
                f"{100 * inside.mean():.1f} % |"
            )
    text = "\n".join(
        [
            f"{date.today()}, window of {passes.place}; {len(passes.labels)} labels; {args.balls} balls of each size. Differences "
            "are percentage points, median / largest.",
            "",
            "| passes | regions | limit later − at once | eq. 7 − limit | error later ÷ at once (median) | within 1.96 errors |",
            "|---|---|---|---|---|---|",
            *lines,
            "",
            f"What is kept is {', '.join(told)} of the size of the maps (passes).",
        ]
    )
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
        args.cache = str(Path(folder) / "cache")
        made = convergence.parse(["--smoke", "--cache", args.cache])
        made.weights, made.ct = str(tiny_weights(Path(folder))), str(coarse_phantom(Path(folder) / "ct.nii.gz"))
        collect(made, Path(args.cache))
        work(args)


if __name__ == "__main__":
    main()
