"""Time and memory of three ways to the same maps; on the CPU each runs in a process of its own, so that its peak memory is its own.

    python benchmarks/compare.py                       # the demo network on a small grid, for a laptop
    bash benchmarks/gpu.sh                             # the paper's network on a full grid, for a GPU

``ours-float32`` is ours without mixed precision; the other two compute as PyTorch does by itself, on GPUs with TF32 convolutions.
Prints a Markdown table; ``--section NAME`` also puts it into RESULTS.md under that heading.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schemes", default="ours,paper,captum")
    parser.add_argument("--labels", default="1,4,17", help="numbers of labels")
    parser.add_argument("--shape", default="85,64,80", help="grid in voxels")
    parser.add_argument("--spacing", type=float, help="mm of the synthetic thorax before it is squeezed onto the grid")
    parser.add_argument("--roi", type=int, default=64)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--network", default="demo", help="'demo', 'tiny', or a feature size of Swin UNETR with random weights")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", help="of ours; the other two compute in float32")
    parser.add_argument("--limit", type=float, default=float("inf"), help="seconds after which a way is given up")
    parser.add_argument("--section", help="heading in RESULTS.md that the table replaces")
    parser.add_argument("--plain-allocator", action="store_true", help="leave the C library's memory handling as it is")
    parser.add_argument("--smoke", action="store_true", help="only see whether it runs: a tiny network and grid")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.smoke:
        args.labels, args.shape, args.roi, args.samples, args.network, args.device = "2", "20,16,18", 16, 1, "tiny", "cpu"
    return args


def load_network(name: str) -> torch.nn.Module:
    """The demo network, a tiny one, or a Swin UNETR of a feature size with random weights."""
    import torch

    if name == "tiny":
        from smoke import tiny_network

        return tiny_network()
    if name == "demo":
        from Agg2ExpLib.models.model import demo_weights, load_model

        return load_model(demo_weights()).network
    from monai.networks.nets import SwinUNETR

    torch.manual_seed(0)
    return SwinUNETR(in_channels=1, out_channels=17, feature_size=int(name)).eval().requires_grad_(False)


class TooLong(Exception):
    """The time for a way is up."""


def give_up_after(network: torch.nn.Module, seconds: float) -> Any:
    """Let a network's forward passes raise :class:`TooLong` once the time is up; returns what takes that back."""
    deadline = time.monotonic() + seconds

    def check(*_unused: object) -> None:
        if time.monotonic() > deadline:
            raise TooLong

    return network.register_forward_pre_hook(check)


def measure(args: argparse.Namespace, case: Any = None) -> dict[str, Any]:
    """Run one scheme here and now, on a case with enough labels where one is given."""
    sys.path.insert(0, str(HERE.parent))
    import gc
    import resource

    import torch
    from schemes import SCHEMES, make_case

    from Agg2ExpLib.errors import OutOfMemoryError
    from Agg2ExpLib.inference.compute import choose_compute, is_out_of_memory
    from Agg2ExpLib.inference.sliding_window import WindowPlan
    from Agg2ExpLib.system.allocator import keep_freed_memory

    if not args.plain_allocator:
        keep_freed_memory()  # for all schemes alike
    scheme, count = args.one.split(":")
    compute = choose_compute(args.device, args.precision if scheme == "ours" else "float32")
    image, targets = case or make_case(tuple(int(n) for n in args.shape.split(",")), int(count), args.spacing)
    network = load_network(args.network).to(compute.device)
    plan = WindowPlan(image.shape, (args.roi,) * 3)
    with torch.no_grad():
        network(torch.zeros(1, 1, *plan.roi_size, device=compute.device))  # libraries load, kernels are chosen
    cuda = compute.device.type == "cuda"
    if cuda:
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    limit = give_up_after(network, args.limit)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    began, cpu = time.perf_counter(), time.process_time()
    try:
        way = SCHEMES[scheme.removesuffix("-float32")]
        maps = way(network, image, targets[: int(count)], plan, compute, args.samples, 0.1)
        if cuda:
            torch.cuda.synchronize()
    except TooLong:
        return {"failed": f"more than {args.limit:.0f} s"}
    except (RuntimeError, MemoryError, OutOfMemoryError) as error:
        if not isinstance(error, OutOfMemoryError) and not is_out_of_memory(error):
            raise
        return {"failed": f"out of memory after {time.perf_counter() - began:.1f} s"}
    finally:
        limit.remove()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert all(bool(torch.isfinite(value).all()) and bool(value.any()) for value in maps.values())
    return {
        "seconds": seconds,
        "cpu": cpu,
        "peak": torch.cuda.max_memory_allocated() if cuda else peak,
        "before": before,
        "device": compute.device_name,
        "precision": "tf32" if cuda and scheme in ("paper", "captum") else compute.precision,
        "windows": len(plan.windows),
        "torch": torch.__version__,
    }


def run(argv: Sequence[str], scheme: str, count: str) -> dict[str, Any]:
    """Run one scheme in a process of its own."""
    done = subprocess.run([sys.executable, __file__, *argv, "--one", f"{scheme}:{count}"], capture_output=True, text=True)
    if done.returncode < 0:
        return {"failed": f"ended by signal {-done.returncode} (out of memory)"}
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    if args.one:
        print(json.dumps(measure(args)))
        return
    rows: list[str] = []
    facts: dict[str, Any] = {}
    on_gpu = args.device.startswith("cuda")
    case = None
    if on_gpu:  # whose allocator tells the peak of each way in one process
        sys.path.insert(0, str(HERE.parent))
        from schemes import make_case

        most = max(int(count) for count in args.labels.split(","))
        case = make_case(tuple(int(n) for n in args.shape.split(",")), most, args.spacing)
    for count in args.labels.split(","):
        ours_seconds = None
        for scheme in args.schemes.split(","):
            args.one = f"{scheme}:{count}"
            # A smoke run sees once that a process of its own works.
            here = on_gpu or (args.smoke and scheme != "ours")
            found = measure(args, case) if here else run(sys.argv[1:] if argv is None else argv, scheme, count)
            print(f"{count} labels, {scheme}: {found}", file=sys.stderr, flush=True)
            if "failed" in found:
                rows.append(f"| {count} | {scheme} | {found['failed']} | – | – | – | – |")
                continue
            facts = found
            spent = found["cpu" if "CPU" in found["device"] else "seconds"]  # other work on the machine counts less in the former
            ours_seconds = spent if scheme == "ours" else ours_seconds
            ratio = f"{spent / ours_seconds:.1f}×" if ours_seconds else "–"
            peak = found["peak"] / 2**30
            times = f"{found['seconds']:.1f} | {found['cpu']:.1f}"
            rows.append(f"| {count} | {scheme} | {times} | {ratio} | {peak:.2f} | {found['precision']} |")
    if not facts:
        sys.exit("Nothing could be measured.")
    name = "demo network" if args.network == "demo" else f"Swin UNETR, feature size {args.network}, random weights"
    memory = "GPU memory" if "CPU" not in facts["device"] else "process memory"
    table = [
        f"{date.today()}, {facts['device']}, {platform.machine()}, torch {facts['torch']}. {name}, windows of {args.roi}³, grid "
        f"{args.shape.replace(',', ' × ')}, {facts['windows']} windows, n = {args.samples}"
        f"{', plain allocator' if args.plain_allocator else ''}.",
        "",
        f"| labels | scheme | seconds | CPU seconds | of ours | peak {memory} (GiB) | precision |",
        "|---|---|---|---|---|---|---|",
        *rows,
    ]
    print("\n".join(table))
    if args.section:
        write_section(args.section, "\n".join(table))


def write_section(title: str, body: str) -> None:
    """Replace (or append) the section ``## title`` of RESULTS.md."""
    text = RESULTS.read_text() if RESULTS.exists() else "# Measured results\n"
    heading = f"## {title}\n"
    if heading in text:
        before, after = text.split(heading, 1)
        rest = after.find("\n## ")
        text = f"{before}{heading}\n{body}\n{after[rest:] if rest >= 0 else ''}"
    else:
        text = f"{text.rstrip()}\n\n{heading}\n{body}\n"
    RESULTS.write_text(text)


if __name__ == "__main__":
    main()
