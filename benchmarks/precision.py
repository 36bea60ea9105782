"""What mixed precision costs in exactness: SmoothGrad maps and matrix rows in half precisions against float32, same noise.

python benchmarks/precision.py
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="demo", help="'demo', or a feature size of Swin UNETR with random weights")
    parser.add_argument("--roi", type=int, default=64)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--section", help="heading in RESULTS.md that the table replaces")
    parser.add_argument("--smoke", action="store_true", help="only see whether it runs: a tiny network and grid")
    args = parser.parse_args(argv)
    if args.smoke:
        args.network, args.roi, args.samples, args.device = "tiny", 16, 1, "cpu"
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)

    import numpy as np
    from compare import load_network, write_section
    from schemes import make_case, ours

    from Agg2ExpLib.inference.compute import choose_compute
    from Agg2ExpLib.inference.sliding_window import WindowPlan
    from Agg2ExpLib.roi_importance.matrix import Regions

    image, targets = make_case((args.roi, args.roi, args.roi + 16), 17)
    segmentation = np.zeros(tuple(image.shape), dtype=np.uint8)
    for target in targets:
        segmentation[target.mask] = target.channel
    regions = Regions(segmentation, [str(channel) for channel in range(17)])
    chosen = [target for target in targets[:4] if target.mask.any()]
    plan = WindowPlan(image.shape, (args.roi,) * 3)
    maps = {}
    compute = choose_compute(args.device)
    for precision in ("float32", "bfloat16", "float16"):
        compute = choose_compute(args.device, precision)
        network = load_network(args.network).to(compute.device)
        maps[precision] = ours(network, image, chosen, plan, compute, args.samples, 0.1)
    lines = [
        f"{date.today()}, {compute.device_name}. Network {args.network}, windows of {args.roi}³, n = {args.samples}, "
        f"{len(chosen)} labels; the worst of the labels.",
        "",
        "| precision | map: relative error | map: correlation | matrix: largest change of a share |",
        "|---|---|---|---|",
    ]
    for precision in ("bfloat16", "float16"):
        errors, correlations, shares = [], [], []
        for name, exact in maps["float32"].items():
            rough = maps[precision][name]
            errors.append(float((rough - exact).norm() / exact.norm()))
            correlations.append(float(np.corrcoef(rough.numpy().ravel(), exact.numpy().ravel())[0, 1]))
            shares.append(float(np.abs(regions.sums(rough.numpy()).mass - regions.sums(exact.numpy()).mass).max()))
        lines.append(f"| {precision} | {max(errors):.3g} | {min(correlations):.5f} | {max(shares):.2g} |")
    print("\n".join(lines))
    if args.section:
        write_section(args.section, "\n".join(lines))


if __name__ == "__main__":
    main()
