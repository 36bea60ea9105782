"""Whether another device and precision says the same as the CPU in float32: what is drawn, the maps, and the whole-scan gradient.

    python benchmarks/device_agreement.py --device cuda:0

The demo network on a synthetic thorax. The last table compares the stitched gradient with autograd through
``sliding_window_inference`` over the whole scan on the device itself.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent))

if TYPE_CHECKING:
    import numpy as np
    import torch

    from Agg2ExpLib.inference.compute import Compute

PRECISIONS = ("float64", "float32", "bfloat16", "float16")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--network", default="demo")
    parser.add_argument("--shape", default="85,64,80", help="grid in voxels")
    parser.add_argument("--roi", type=int, default=64)
    parser.add_argument("--labels", type=int, default=2)
    parser.add_argument("--section", help="heading in RESULTS.md that the table replaces")
    parser.add_argument("--smoke", action="store_true", help="only see whether it runs: a tiny network and grid, on the CPU")
    args = parser.parse_args(argv)
    if args.smoke:
        args.network, args.shape, args.roi, args.device = "tiny", "20,16,18", 16, "cpu"
    return args


class Subject:
    """One network on one scan, asked in any device and precision."""

    def __init__(self, args: argparse.Namespace):
        from compare import load_network
        from schemes import make_case

        from Agg2ExpLib.inference.sliding_window import WindowPlan

        self.image, self.targets = make_case(tuple(int(n) for n in args.shape.split(",")), args.labels, 8.0 if args.smoke else 4.0)
        self.plan = WindowPlan(self.image.shape, (args.roi,) * 3)
        self._load, self._name = load_network, args.network

    def network(self, compute: Compute) -> torch.nn.Module:
        return self._load(self._name).to(compute.device, compute.dtype)

    def drawn(self, compute: Compute) -> np.ndarray:
        """Labels ``[x, y, z]``."""
        from Agg2ExpLib.inference.compute import BatchSize
        from Agg2ExpLib.inference.segmentation import segment
        from Agg2ExpLib.monitor import Monitor, Stage

        monitor = Monitor()
        batch, stage = BatchSize(compute, monitor), Stage(monitor, "segment", 0, 1)
        return segment(self.network(compute), self.image, self.plan, compute, batch, stage).labels

    def maps(self, compute: Compute) -> dict[str, Any]:
        """SmoothGrad maps of two noisy copies."""
        from schemes import ours

        return ours(self.network(compute), self.image, self.targets, self.plan, compute, 2, 0.1)

    def gradients(self, compute: Compute) -> tuple[torch.Tensor, torch.Tensor]:
        """Of the first target without noise: the stitched one, and autograd through the inference over the whole scan."""
        import torch
        from monai.inferers import sliding_window_inference

        from Agg2ExpLib.attribution.methods import attribute, make_method
        from Agg2ExpLib.attribution.stitched import StitchedGradient
        from Agg2ExpLib.inference.compute import BatchSize
        from Agg2ExpLib.monitor import Monitor, Stage

        network, monitor, target = self.network(compute), Monitor(), self.targets[0]
        engine = StitchedGradient(network, self.plan, [target], compute, BatchSize(compute, monitor))
        ours = attribute(engine, self.image, make_method("gradient"), Stage(monitor, "explain", 0, 1))[target.name]
        whole = self.image[None, None].to(compute.device, compute.dtype).requires_grad_(True)
        with compute.arithmetic():
            logits = sliding_window_inference(whole, self.plan.roi_size, 1, network, self.plan.overlap, self.plan.blend)
            assert isinstance(logits, torch.Tensor)
            value = (logits[0, target.channel] * torch.from_numpy(target.mask).to(compute.device)).sum()
            (gradient,) = torch.autograd.grad(value, whole)
        return ours, gradient[0, 0].cpu()


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """``‖a − b‖ / ‖b‖`` in float64."""
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    import torch
    from compare import write_section

    from Agg2ExpLib.inference.compute import choose_compute

    subject, known = Subject(args), choose_compute("cpu", "float32")
    computes = {name: choose_compute(args.device, name) for name in PRECISIONS}
    drawn, maps = subject.drawn(known), subject.maps(known)
    lines = [
        f"{date.today()}, {computes['float32'].device_name} against {known.device_name} in float32. "
        f"Network {args.network}, windows of {args.roi}³, grid {args.shape.replace(',', ' × ')}, {args.labels} labels, "
        f"n = 2, torch {torch.__version__}.",
        "",
        "| precision | voxels drawn otherwise | map: relative difference | a second run |",
        "|---|---|---|---|",
    ]
    for name, compute in computes.items():
        other, again = subject.maps(compute), subject.maps(compute)
        worst = max(difference(other[key], maps[key]) for key in maps)
        twice = max(difference(again[key], other[key]) for key in maps)
        voxels = int((subject.drawn(compute) != drawn).sum())
        lines.append(f"| {name} | {voxels} of {drawn.size} | {worst:.1e} | {f'{twice:.1e}' if twice else 'the same bits'} |")
    lines += ["", "| precision | stitched gradient against autograd of the whole inference |", "|---|---|"]
    for name in ("float64", "float32"):
        lines.append(f"| {name} | {difference(*subject.gradients(computes[name])):.1e} |")
    print("\n".join(lines))
    if args.section:
        write_section(args.section, "\n".join(lines))


if __name__ == "__main__":
    main()
