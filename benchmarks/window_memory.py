"""Memory of one large window, foretold and measured, with all activations kept and with the network's parts checkpointed.

python benchmarks/window_memory.py --section "Memory of large windows"
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent))

if TYPE_CHECKING:
    import torch

CASES = ("unet:128", "segresnet:96", "dynunet:96", "demo:96", "segresnet:128", "dynunet:128", "demo:128")
LABELS = 2


def make_network(name: str) -> torch.nn.Module:
    """A network of usual size for its kind, with random weights; the demo network has its own."""
    from monai.networks import nets
    from smoke import tiny_network
    from torch import manual_seed

    from Agg2ExpLib.models.model import demo_weights, load_model

    manual_seed(0)
    made: Any = {
        "tiny": tiny_network,
        "demo": lambda: load_model(demo_weights()).network,
        "unet": lambda: nets.UNet(3, 1, 5, (16, 32, 64, 128), (2, 2, 2), num_res_units=2),
        "segresnet": lambda: nets.SegResNet(3, init_filters=16, in_channels=1, out_channels=5, blocks_down=(1, 2, 2, 4)),
        "dynunet": lambda: nets.DynUNet(
            3, 1, 5, [3] * 5, [1, 2, 2, 2, 2], [2] * 4, filters=[16, 32, 64, 128, 256], norm_name="instance"
        ),
    }[name]()
    return made.eval().requires_grad_(False)


def measure(name: str, size: int, checkpointed: bool) -> dict[str, Any]:
    """Foretold, then measured: forward pass and two labels' backward passes of one window."""
    import resource

    import torch

    from Agg2ExpLib.inference.checkpointing import Checkpointing
    from Agg2ExpLib.inference.compute import choose_compute
    from Agg2ExpLib.inference.footprint import choose_parts, footprint
    from Agg2ExpLib.inference.network import at_work
    from Agg2ExpLib.inference.window_memory import foretold_process_bytes
    from Agg2ExpLib.system.allocator import keep_freed_memory

    keep_freed_memory()
    compute = choose_compute("cpu", "float32")
    network = make_network(name)
    began = time.perf_counter()
    cost = footprint(network, (size,) * 3, compute)
    if cost is None:
        raise SystemExit(f"{name} cannot be followed")
    parts: tuple[str, ...] = ()
    peak = cost.gradient_bytes
    if checkpointed:
        chosen = choose_parts(network, (size,) * 3, compute, cost.gradient_bytes)
        parts, peak = chosen if chosen is not None else (parts, peak)
    tracing = time.perf_counter() - began
    began = time.perf_counter()
    with at_work(network, compute), Checkpointing(network, parts):
        window = torch.rand((1, 1, *(size,) * 3), generator=torch.Generator().manual_seed(0)).requires_grad_(True)
        outputs = network(window).unbind(1)
        for label in range(LABELS):
            (gradient,) = torch.autograd.grad(
                outputs[label], window, torch.ones_like(outputs[label]), retain_graph=label < LABELS - 1
            )
    return {
        "foretold": foretold_process_bytes(peak),
        "measured": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "seconds": time.perf_counter() - began,
        "tracing": tracing,
        "norm": float(gradient.double().norm()),
        "sum": float(gradient.double().sum()),
    }


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=",".join(CASES), help="NETWORK:SIDE, comma-separated")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--section", help="heading in RESULTS.md that the table replaces")
    parser.add_argument("--smoke", action="store_true", help="only see whether it runs: a tiny network and window")
    args = parser.parse_args(argv)
    if args.smoke:
        args.cases = "tiny:16"
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    if args.one:
        name, size, checkpointed = args.one
        print(json.dumps(measure(name, int(size), checkpointed == "1")))
        return
    import platform

    import torch

    lines = [
        f"{date.today()}, {platform.machine()} CPU ({torch.get_num_threads()} threads), torch {torch.__version__}, float32. One "
        f"window: forward and backward passes of {LABELS} labels, in a process of its own; memory of the whole process. Gradients "
        "with and without checkpointing are compared by norm and sum. Seconds were taken while other programs ran.",
        "",
        "| network | window | activations | foretold (GB) | measured (GB) | foretold ÷ measured | seconds | gradient |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case in args.cases.split(","):
        name, size = case.split(":")
        found = [one(args, name, size, checkpointed) for checkpointed in (False, True)]
        same = all(abs(found[0][key] - found[1][key]) <= 1e-6 * found[0]["norm"] for key in ("norm", "sum"))
        for row, words in zip(found, ("kept", "computed again"), strict=True):
            ratio = row["foretold"] / row["measured"]
            lines.append(
                f"| {name} | {size}³ | {words} | {row['foretold'] / 1e9:.2f} | {row['measured'] / 1e9:.2f} | {ratio:.2f} | "
                f"{row['seconds']:.0f} | {'the same' if same else 'another'} |"
            )
        print(lines[-2], lines[-1], sep="\n", file=sys.stderr, flush=True)
    print("\n".join(lines))
    if args.section:
        from compare import write_section

        write_section(args.section, "\n".join(lines))


def one(args: argparse.Namespace, name: str, size: str, checkpointed: bool) -> dict[str, Any]:
    """Measure in a process of its own; a smoke run stays in this one."""
    if args.smoke:
        return measure(name, int(size), checkpointed)
    child = [sys.executable, __file__, "--one", name, size, str(int(checkpointed))]
    done = subprocess.run(child, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
