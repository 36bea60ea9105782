"""Peak memory of a scan and of one three times as long: it grows by the volume buffers only.

python benchmarks/memory.py
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))


def measure(args: argparse.Namespace) -> dict[str, int]:
    import resource

    from compare import load_network
    from schemes import make_case, ours

    from Agg2ExpLib.inference.compute import choose_compute
    from Agg2ExpLib.inference.sliding_window import WindowPlan
    from Agg2ExpLib.system.allocator import keep_freed_memory

    keep_freed_memory()
    compute = choose_compute("cpu", "float32")
    image, targets = make_case((args.roi, args.roi, args.one), args.labels)
    plan = WindowPlan(image.shape, (args.roi,) * 3)
    ours(load_network(args.network), image, targets, plan, compute, args.samples, 0.1)
    return {
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "voxels": image.numel(),
        "windows": len(plan.windows),
    }


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=int, default=160)
    parser.add_argument("--labels", type=int, default=4)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--section", help="heading in RESULTS.md that the table replaces")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--smoke", action="store_true", help="only see whether it runs: a tiny network and grid")
    args = parser.parse_args(argv)
    args.roi, args.network = (16, "tiny") if args.smoke else (64, "demo")
    if args.smoke:
        args.length, args.labels, args.samples = 20, 2, 1
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    if args.one:
        print(json.dumps(measure(args)))
        return
    words = sys.argv[1:] if argv is None else argv
    found: list[dict[str, int]] = []
    for length in (args.length, 3 * args.length):
        args.one = length
        if args.smoke and found:  # it sees once that a process of its own works
            found.append(measure(args))
            continue
        child = [sys.executable, __file__, *words, "--one", str(length)]
        done = subprocess.run(child, capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    short, long = found
    more = long["voxels"] - short["voxels"]
    grown = long["peak"] - short["peak"]
    # float32: image, 1/Σw, noisy copy, and noise and product while the copy is made; per label: two masks, group sum, total.
    buffers = more * (4 * (1 + 1 + 1 + 2) + args.labels * (1 + 1 + 4 + 4))
    lines = [
        f"{date.today()}, CPU. {args.network.capitalize()} network, {args.roi}³ windows, {args.labels} labels, grid {args.roi} × "
        f"{args.roi} × {args.length} and 3 times as long.",
        "",
        "| voxels | windows | peak memory (MiB) |",
        "|---|---|---|",
        *(f"| {row['voxels']} | {row['windows']} | {row['peak'] / 2**20:.0f} |" for row in found),
        "",
        f"Grown by {grown / 2**20:.0f} MiB; the volume buffers (image, weights, noisy copy, masks, maps) grew by "
        f"{buffers / 2**20:.0f} MiB.",
    ]
    print("\n".join(lines))
    if args.section:
        from compare import write_section

        write_section(args.section, "\n".join(lines))


if __name__ == "__main__":
    main()
