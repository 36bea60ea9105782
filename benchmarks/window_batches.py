"""Time a pass and memory of a window for batches of several sizes, what ``window_batch`` auto chooses, and what was foretold.

    python benchmarks/window_batches.py --device cuda:0 --network 48 --roi 96

Also: kernels laid out with the channels last, and how long the noise of one copy takes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent))

if TYPE_CHECKING:
    import torch

    from Agg2ExpLib.inference.compute import Compute


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="demo", help="'demo', or a feature size of Swin UNETR with random weights")
    parser.add_argument("--roi", type=int, default=64)
    parser.add_argument("--side", type=int, default=2, help="windows along each axis")
    parser.add_argument("--labels", type=int, default=4)
    parser.add_argument("--batches", default="auto,1,2,4,8,16")
    parser.add_argument("--precisions", default="bfloat16,float32")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--section", help="heading in RESULTS.md that the table replaces")
    parser.add_argument("--smoke", action="store_true", help="only see whether it runs: a tiny network and grid, on the CPU")
    args = parser.parse_args(argv)
    if args.smoke:
        args.network, args.roi, args.device, args.batches, args.labels = "tiny", 16, "cpu", "auto,2", 2
    return args


def measure(
    network: torch.nn.Module, plan: Any, image: torch.Tensor, compute: Compute, labels: int, size: int | str
) -> dict[str, Any]:
    """One copy of an image in which every window meets every label."""
    import numpy as np
    import torch

    from Agg2ExpLib.attribution.stitched import StitchedGradient, Target
    from Agg2ExpLib.errors import OutOfMemoryError
    from Agg2ExpLib.inference.compute import BatchSize
    from Agg2ExpLib.monitor import Monitor, Stage

    cuda, monitor = compute.device.type == "cuda", Monitor()
    mask = np.ones(plan.shape, dtype=bool)
    targets = [Target(f"channel_{number}", number, mask) for number in range(1, labels + 1)]
    engine = StitchedGradient(network, plan, targets, compute, BatchSize(compute, monitor, size))
    sums, stage = engine.new_buffers(), Stage(monitor, "explain", 0, 1)
    try:
        engine.add([image], sums, stage, 0, 1)  # the batch is settled, kernels are chosen
        before, passes = 0, engine.passes
        if cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        began = time.perf_counter()
        engine.add([image], sums, stage, 0, 1)
        if cuda:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - began
    except OutOfMemoryError:
        return {"failed": "out of memory"}
    return {
        "batch": engine.batch.current,
        "pass": seconds / (engine.passes - passes),
        "peak": torch.cuda.max_memory_allocated() - before if cuda else None,
        "told": len(monitor.notices),
    }


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    import torch
    from compare import load_network, write_section

    from Agg2ExpLib.attribution.methods import make_method
    from Agg2ExpLib.inference.compute import choose_compute
    from Agg2ExpLib.inference.sliding_window import WindowPlan
    from Agg2ExpLib.inference.window_memory import WindowMemory
    from Agg2ExpLib.monitor import Monitor

    side = args.roi + (args.side - 1) * int(0.75 * args.roi)
    plan = WindowPlan((side,) * 3, (args.roi,) * 3)
    image = torch.rand(plan.shape, generator=torch.Generator().manual_seed(0))
    rows: list[str] = []
    compute = choose_compute(args.device)
    for precision in args.precisions.split(","):
        compute = choose_compute(args.device, precision)
        network = load_network(args.network).to(compute.device)
        foretold = WindowMemory(network, plan.roi_size, compute, Monitor()).needed(gradients=True)
        sizes: list[tuple[int | str, str]] = [
            (size if size == "auto" else int(size), str(size)) for size in args.batches.split(",")
        ]
        for size, name in [*sizes, ("auto", "auto, channels last")]:
            if "last" in name:
                network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
            found = measure(network, plan, image, compute, args.labels, size)
            print(f"{precision}, {name}: {found}", file=sys.stderr, flush=True)
            if "failed" in found:
                rows.append(f"| {precision} | {name} | {found['failed']} | – | – | – | – |")
                continue
            used = "{:.2f}".format
            peak = found["peak"]
            memory = f"{used(peak / 1e9)} | {used(peak / 1e9 / min(found['batch'], len(plan.windows)))}" if peak else "– | –"
            rows.append(
                f"| {precision} | {name} | {found['batch']}{' (halved)' if found['told'] else ''} | {1000 * found['pass']:.1f} | "
                f"{memory} | {used(foretold / 1e9) if foretold else '–'} |"
            )
    began = time.perf_counter()
    method: Any = make_method("smoothgrad", samples=2)
    method.noise(torch.rand((240, 200, 220) if not args.smoke else plan.shape), 0)
    noise = time.perf_counter() - began
    lines = [
        f"{date.today()}, {compute.device_name}, torch {torch.__version__}. Network {args.network}, {len(plan.windows)} windows of "
        f"{args.roi}³, {args.labels} labels in each.",
        "",
        "| precision | window batch | chosen | ms a pass of a window | peak beyond weights and volumes (GB) | a window (GB) | "
        "foretold (GB) |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
        f"The noise of one copy{'' if args.smoke else ' of 240 × 200 × 220 voxels'}: {noise:.2f} s on the CPU.",
    ]
    print("\n".join(lines))
    if args.section:
        write_section(args.section, "\n".join(lines))


if __name__ == "__main__":
    main()
