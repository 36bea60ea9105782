"""What a precision costs in exactness: SmoothGrad maps and matrix rows in each against float64, with the same noise.

python benchmarks/precision.py
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from Agg2ExpLib.inference.compute import Compute

sys.path.insert(0, str(Path(__file__).parent.parent))


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="demo", help="'demo', or a feature size of Swin UNETR with random weights")
    parser.add_argument("--roi", type=int, default=64)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--spacing", type=float, help="mm of the thorax before it is squeezed onto the grid")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--section", help="heading in RESULTS.md that the table replaces")
    parser.add_argument("--smoke", action="store_true", help="only see whether it runs: a tiny network and grid")
    args = parser.parse_args(argv)
    if args.smoke:
        args.network, args.roi, args.samples, args.device = "tiny", 16, 1, "cpu"
    return args


def arithmetics(device: str) -> dict[str, Compute]:
    """Each precision under its name; on a GPU also float32 with the TF32 convolutions that PyTorch does by itself."""
    from Agg2ExpLib.inference.compute import choose_compute

    found = {name: choose_compute(device, name) for name in ("float64", "float32", "bfloat16", "float16")}
    exact = found["float32"]
    if exact.device.type == "cuda":
        found["tf32"] = rounded(exact)
    return found


def rounded(compute: Compute) -> Compute:
    """The same, with TF32 in convolutions."""
    from Agg2ExpLib.inference.compute import Compute

    class Rounded(Compute):
        @contextlib.contextmanager
        def arithmetic(self) -> Iterator[None]:
            import torch

            with torch.backends.cudnn.flags(enabled=True, allow_tf32=True):
                yield

    return Rounded(compute.device, compute.dtype)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)

    import numpy as np
    from compare import load_network, write_section
    from schemes import make_case, ours

    from Agg2ExpLib.inference.sliding_window import WindowPlan
    from Agg2ExpLib.roi_importance.matrix import Regions

    image, targets = make_case((args.roi, args.roi, args.roi + 16), 17, args.spacing)
    segmentation = np.zeros(tuple(image.shape), dtype=np.uint8)
    for target in targets:
        segmentation[target.mask] = target.channel
    regions = Regions(segmentation, [str(channel) for channel in range(17)])
    chosen = [target for target in targets[:4] if target.mask.any()]
    plan = WindowPlan(image.shape, (args.roi,) * 3)
    maps, seconds = {}, {}
    computes = arithmetics(args.device)
    for precision, compute in computes.items():
        network = load_network(args.network).to(compute.device, compute.dtype)
        ours(network, image, chosen[:1], plan, compute, 1, 0.1)  # kernels are chosen
        began = time.perf_counter()
        maps[precision] = ours(network, image, chosen, plan, compute, args.samples, 0.1)  # on the CPU, so that the device is done
        seconds[precision] = time.perf_counter() - began
    lines = [
        f"{date.today()}, {computes['float64'].device_name}. Network {args.network}, windows of {args.roi}³, n = {args.samples}, "
        f"{len(chosen)} labels; against float64, the worst of the labels.",
        "",
        "| precision | map: relative error | map: correlation | matrix: largest change of a share | seconds |",
        "|---|---|---|---|---|",
        f"| float64 | – | – | – | {seconds['float64']:.2f} |",
    ]
    for precision in [name for name in computes if name != "float64"]:
        errors, correlations, shares = [], [], []
        for name, exact in maps["float64"].items():
            rough = maps[precision][name].double()
            errors.append(float((rough - exact).norm() / exact.norm()))
            correlations.append(float(np.corrcoef(rough.numpy().ravel(), exact.numpy().ravel())[0, 1]))
            shares.append(float(np.abs(regions.sums(rough.numpy()).mass - regions.sums(exact.numpy()).mass).max()))
        lines.append(
            f"| {precision} | {max(errors):.3g} | {min(correlations):.5f} | {max(shares):.2g} | {seconds[precision]:.2f} |"
        )
    print("\n".join(lines))
    if args.section:
        write_section(args.section, "\n".join(lines))


if __name__ == "__main__":
    main()
