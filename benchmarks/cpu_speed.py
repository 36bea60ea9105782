"""What makes a pass of a window faster on the CPU: batch, order in memory, threads, compiling; and what a noisy copy costs.

    python benchmarks/cpu_speed.py                 # the demo network, its own window
    python benchmarks/cpu_speed.py --compile       # and torch.compile, where a C++ compiler is installed

Seconds are of all cores together (process time), so that other work on the machine counts less, and at least of a few repetitions.
Prints Markdown; ``--section NAME`` also puts it into RESULTS.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from compare import load_network, write_section  # noqa: E402

BACKWARD = 3  # passes for each forward pass, as with three labels


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", default="1,2,4", help="windows in a pass")
    parser.add_argument("--threads", default="1", help="numbers of threads")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="also with torch.compile, which takes minutes to begin")
    parser.add_argument("--section", help="heading in RESULTS.md that the table replaces")
    parser.add_argument("--smoke", action="store_true", help="only see whether it runs: a tiny network and grid")
    args = parser.parse_args(argv)
    args.roi, args.network = (16, "tiny") if args.smoke else (64, "demo")
    if args.smoke:
        args.repeats, args.batches = 1, "1,2"
    return args


def least(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """CPU seconds and seconds of the quickest repetition, after one to warm up."""
    work()
    taken = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        taken.append((time.process_time() - cpu, time.perf_counter() - wall))
    return min(taken)


def passes_of(network: Callable, batch: int, roi: int, last: bool) -> Callable[[], object]:
    """A forward pass and the backward passes of a batch of windows, as :class:`.StitchedGradient` does them."""
    import torch

    inputs = torch.rand(batch, 1, roi, roi, roi)
    inputs = inputs.contiguous(memory_format=torch.channels_last_3d if last else torch.contiguous_format).requires_grad_(True)
    cotangent = torch.ones(batch, roi, roi, roi)

    def work() -> None:
        outputs = network(inputs).unbind(1)
        for label in range(BACKWARD):
            torch.autograd.grad(outputs[label], inputs, cotangent, retain_graph=label < BACKWARD - 1)

    return work


def measure(args: argparse.Namespace) -> list[str]:
    import torch
    from torch._functorch import config

    from Agg2ExpLib.attribution.smoothgrad import SmoothGrad
    from Agg2ExpLib.system.allocator import keep_freed_memory

    keep_freed_memory()
    network, lines = load_network(args.network), []
    ways = [("voxel after voxel", False, False), ("channels last", True, False)]
    if args.compile:
        config.donated_buffer = False  # a pass forward serves several backward
        ways += [("channels last, torch.compile", True, True)]
    for threads in (int(n) for n in args.threads.split(",")):
        torch.set_num_threads(threads)
        for name, last, compiled in ways:
            order = torch.channels_last_3d if last else torch.contiguous_format
            network.to(memory_format=order)  # type: ignore[call-overload]
            run = torch.compile(network) if compiled else network
            for batch in (int(n) for n in args.batches.split(",")):
                began = time.perf_counter()
                cpu, wall = least(passes_of(run, batch, args.roi, last), args.repeats)
                begun = time.perf_counter() - began - args.repeats * wall
                each = 1 / ((1 + BACKWARD) * batch)
                lines.append(
                    f"| {threads} | {name} | {batch} | {cpu * each:.3f} | {wall * each:.3f} | "
                    f"{f'{begun:.0f}' if compiled else ''} |"
                )
                print(lines[-1], file=sys.stderr, flush=True)
    torch.set_num_threads(int(args.threads.split(",")[0]))
    image = torch.rand(args.roi, args.roi, args.roi)
    method = SmoothGrad(samples=2)
    cpu, _ = least(lambda: [method.copy(image, sample) for sample in range(2)], 5)
    return [
        *lines,
        "",
        f"Making a noisy copy of a window's voxels takes {1000 * cpu / 2:.1f} ms of CPU.",
    ]


def main(argv: Sequence[str] | None = None) -> None:
    import torch

    args = parse(argv)
    text = "\n".join(
        [
            f"{date.today()}, CPU, torch {torch.__version__}. {args.network.capitalize()} network, window of {args.roi}³, a "
            f"forward pass and {BACKWARD} backward passes; seconds a pass and window.",
            "",
            "| threads | memory | batch | CPU seconds | seconds | to begin (s) |",
            "|---|---|---|---|---|---|",
            *measure(args),
        ]
    )
    print(text)
    if args.section:
        write_section(args.section, text)


if __name__ == "__main__":
    main()
