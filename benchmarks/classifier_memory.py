"""Gradient of a classifier's logit over a large volume: time and peak memory by precision and by how many slices pass together.

python benchmarks/classifier_memory.py --device cuda:0
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

SMALL = {"layers": [1, 1, 1, 1], "block_inplanes": [4, 8, 8, 8]}


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="256,256,128", help="volume in voxels")
    parser.add_argument("--networks", default="slice_resnet18,resnet3d")
    parser.add_argument("--chunks", default="8,32,128", help="slices that pass together")
    parser.add_argument("--precisions", default="bfloat16,float32")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--section", help="heading in RESULTS.md that the table replaces")
    parser.add_argument("--smoke", action="store_true", help="only see whether it runs: small networks and volumes, on the CPU")
    args = parser.parse_args(argv)
    if args.smoke:
        args.shape, args.chunks, args.device, args.precisions = "32,32,8", "2,8", "cpu", "float32"
    return args


def measure(network: torch.nn.Module, shape: Sequence[int], compute: Compute) -> dict[str, Any]:
    """Seconds and peak of the gradient of one class; the second of two runs."""
    import torch

    from Agg2ExpLib.attribution.methods import attribute, make_method
    from Agg2ExpLib.attribution.stitched import StitchedGradient, Target
    from Agg2ExpLib.errors import OutOfMemoryError
    from Agg2ExpLib.inference.compute import BatchSize
    from Agg2ExpLib.inference.sliding_window import WindowPlan
    from Agg2ExpLib.inference.whole_volume import as_voxels, logit_voxel
    from Agg2ExpLib.monitor import Monitor, Stage

    cuda = compute.device.type == "cuda"
    image = torch.rand(tuple(shape), generator=torch.Generator().manual_seed(0))
    plan = WindowPlan(shape, shape, 0.0)
    seconds = 0.0
    for _ in range(2):
        monitor = Monitor()
        batch = BatchSize(compute, monitor, 1)
        engine = StitchedGradient(as_voxels(network, 2), plan, [Target("class", 1, logit_voxel(shape))], compute, batch)
        if cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        began = time.perf_counter()
        try:
            found = attribute(engine, image, make_method("gradient"), Stage(monitor, "explain", 0, 1))["class"]
        except OutOfMemoryError:
            return {"failed": "out of memory"}
        seconds = time.perf_counter() - began  # the map is on the CPU, so that the device is done
    return {"seconds": seconds, "peak": torch.cuda.max_memory_allocated() if cuda else None, "map": found}


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    import torch
    from compare import write_section

    from Agg2ExpLib.inference.compute import choose_compute
    from Agg2ExpLib.models.classifiers import is_slice_classifier
    from Agg2ExpLib.training.classifier_choice import build, classifier_spec

    shape = tuple(int(n) for n in args.shape.split(","))
    rows: list[str] = []
    exact: dict[str, torch.Tensor] = {}
    compute = choose_compute(args.device)
    for name in args.networks.split(","):
        torch.manual_seed(0)
        options = {**SMALL, **({"heads": 2} if "slice" in name else {})} if args.smoke else {}
        made: Any = build(classifier_spec(name, options, 2), (32, 32, 32)).eval().requires_grad_(False)
        for precision in sorted(args.precisions.split(","), reverse=True):  # float32 first, to compare with
            compute = choose_compute(args.device, precision)
            network = made.to(compute.device)
            for slices in args.chunks.split(",") if is_slice_classifier(network) else [""]:
                if slices:
                    network.chunk_pixels = int(slices) * shape[0] * shape[1]
                found = measure(network, shape, compute)
                print(f"{name}, {precision}, {slices}: {found.get('seconds', found)}", file=sys.stderr, flush=True)
                if "failed" in found:
                    rows.append(f"| {name} | {precision} | {slices or 'the volume'} | {found['failed']} | – | – |")
                    continue
                first = exact.setdefault(name, found["map"])
                error = float((found["map"] - first).norm() / first.norm())
                peak = f"{found['peak'] / 1e9:.2f}" if found["peak"] else "–"
                rows.append(
                    f"| {name} | {precision} | {slices or 'the volume'} | {found['seconds']:.3f} | {peak} | "
                    f"{f'{error:.1e}' if error else '–'} |"
                )
    lines = [
        f"{date.today()}, {compute.device_name}, torch {torch.__version__}. Gradient of one class, volume "
        f"{' × '.join(map(str, shape))}, random weights; the memory holds weights and volumes too.",
        "",
        "| network | precision | slices together | seconds | peak (GB) | relative difference from the first row |",
        "|---|---|---|---|---|---|",
        *rows,
    ]
    print("\n".join(lines))
    if args.section:
        write_section(args.section, "\n".join(lines))


if __name__ == "__main__":
    main()
