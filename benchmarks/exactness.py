"""How exact the window-by-window gradient is: against autograd through MONAI's sliding-window inference over the whole volume.

python benchmarks/exactness.py
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

sys.path.insert(0, str(Path(__file__).parent.parent))


def random_network(rng: random.Random) -> tuple[torch.nn.Module, int]:
    """A small float64 network with instance norm and a random choice of width, kernel and non-linearity."""
    import torch

    torch.manual_seed(rng.randrange(1 << 30))
    width, kernel, channels = rng.choice((4, 6, 9)), rng.choice((1, 3, 5)), rng.randrange(2, 8)
    layer = rng.choice((torch.nn.GELU, torch.nn.Softplus, torch.nn.Tanh))
    network = torch.nn.Sequential(
        torch.nn.Conv3d(1, width, kernel, padding=kernel // 2),
        torch.nn.InstanceNorm3d(width),
        layer(),
        torch.nn.Conv3d(width, channels, 3, padding=1),
        torch.nn.InstanceNorm3d(channels),
    )
    return network.double().eval().requires_grad_(False), channels


def error(rng: random.Random, method_name: str, device: str) -> tuple[float, str]:
    """Largest relative error over the labels of one random case, and the case in words."""
    import torch
    from monai.inferers import sliding_window_inference

    from Agg2ExpLib.attribution.methods import attribute, make_method
    from Agg2ExpLib.attribution.noise import NoisyCopies
    from Agg2ExpLib.attribution.stitched import StitchedGradient, Target
    from Agg2ExpLib.inference.compute import BatchSize, choose_compute
    from Agg2ExpLib.inference.sliding_window import WindowPlan
    from Agg2ExpLib.monitor import Monitor, Stage

    compute, monitor = choose_compute(device, "float64"), Monitor()
    network, channels = random_network(rng)
    network.to(compute.device)
    shape, roi = [rng.randrange(10, 34) for _ in range(3)], [rng.choice((8, 12, 16)) for _ in range(3)]
    plan = WindowPlan(shape, roi, rng.choice((0.0, 0.25, 0.5, 0.7)), rng.choice(("constant", "gaussian")))
    image = torch.rand(shape, dtype=torch.float64)
    with torch.no_grad():
        logits = sliding_window_inference(
            image[None, None].to(compute.device), roi, 4, network, overlap=plan.overlap, mode=plan.blend
        )
    assert isinstance(logits, torch.Tensor)
    logits = logits[0]
    labels = rng.sample(range(channels), rng.randrange(1, channels + 1))
    winner = logits.argmax(0).cpu().numpy()
    targets = [Target(str(c), c, winner == c) for c in labels if (winner == c).any()]
    batch = rng.randrange(1, 9)
    options = {"samples": 4, "sigma": 0.1, "seed": rng.randrange(1000)} if method_name == "smoothgrad" else {}
    method = make_method(method_name, **options)
    engine = StitchedGradient(network, plan, targets, compute, BatchSize(compute, monitor, batch))
    maps = attribute(engine, image, method, Stage(monitor, "explain", 0, 1))
    worst = 0.0
    for target in targets:
        expected = torch.zeros_like(image)
        for sample in range(method.samples):
            noisy = method.copy(image, sample) if isinstance(method, NoisyCopies) else image
            copy = noisy[None, None].to(compute.device, copy=True).requires_grad_(True)
            out = sliding_window_inference(copy, roi, 4, network, overlap=plan.overlap, mode=plan.blend)
            assert isinstance(out, torch.Tensor)
            value = (out[0, target.channel] * torch.from_numpy(target.mask).to(compute.device)).sum()
            expected += torch.autograd.grad(value, copy)[0][0, 0].cpu() / method.samples
        worst = max(worst, float((maps[target.name] - expected).norm() / expected.norm()))
    return worst, f"grid {shape}, window {roi}, overlap {plan.overlap}, {plan.blend}, {len(targets)} labels, batch {batch}"


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--section", help="heading in RESULTS.md that the table replaces")
    parser.add_argument("--smoke", action="store_true", help="only see whether it runs: one case")
    args = parser.parse_args(argv)
    if args.smoke:
        args.cases, args.device = 1, "cpu"
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    place = "the CPU" if args.device == "cpu" else args.device
    lines = [
        f"{date.today()}, float64 on {place}, {args.cases} random cases each (networks, grids, windows, overlaps, blendings, "
        "label sets, batches), against autograd through `sliding_window_inference` with the same noise.",
        "",
        "| method | largest relative error | its case |",
        "|---|---|---|",
    ]
    for method in ("gradient", "smoothgrad"):
        rng = random.Random(args.seed)
        worst, case = max(error(rng, method, args.device) for _ in range(args.cases))
        lines.append(f"| {method} | {worst:.1e} | {case} |")
    print("\n".join(lines))
    if args.section:
        from compare import write_section

        write_section(args.section, "\n".join(lines))


if __name__ == "__main__":
    main()
