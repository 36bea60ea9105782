"""Sanity checks of every attribution method: hand-built networks with a known answer, and shuffled weights.

python benchmarks/sanity.py [--demo]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent))

if TYPE_CHECKING:
    import numpy as np
    import torch

    from Agg2ExpLib.attribution.method import Method
    from Agg2ExpLib.attribution.stitched import Target
    from Agg2ExpLib.inference.sliding_window import WindowPlan

    # Network, image, target, windows, and the layer that LayerCAM takes.
    SanityCase = tuple[torch.nn.Module, torch.Tensor, Target, WindowPlan, str]


def ground_truth_table() -> list[str]:
    from Agg2ExpLib.attribution.methods import METHODS
    from Agg2ExpLib.evaluation.ground_truth import ENOUGH, NETWORKS, run_benchmark

    outcomes = {(one.network, one.method): one for one in run_benchmark(METHODS)}
    lines = [f"Share of label a's attribution in region b, on which alone it depends; {100 * ENOUGH:.0f} % is a pass.", ""]
    lines += [f"- {name}: {words}" for name, words in NETWORKS.items()]
    lines += ["", f"| method | {' | '.join(NETWORKS)} |", "|---" * (len(NETWORKS) + 1) + "|"]
    for method in METHODS:
        row = [outcomes[kind, method] for kind in NETWORKS]
        cells = [
            "fails (zero map)"
            if one.share is None
            else f"{100 * one.share:.1f} %"
            if one.passed
            else f"fails {100 * one.share:.1f} %"
            for one in row
        ]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return lines


def small_case() -> SanityCase:
    """A small network with random weights, an image, a target and a window plan."""
    import torch

    from Agg2ExpLib.attribution.stitched import Target
    from Agg2ExpLib.inference.sliding_window import WindowPlan

    torch.manual_seed(0)
    layers = []
    for inputs in (1, 6, 6):
        layers += [torch.nn.Conv3d(inputs, 6, 3, padding=1), torch.nn.InstanceNorm3d(6), torch.nn.GELU()]
    network = torch.nn.Sequential(*layers, torch.nn.Conv3d(6, 3, 1)).eval().requires_grad_(False)
    image = torch.rand(12, 12, 12)
    mask = torch.zeros(12, 12, 12, dtype=torch.bool)
    mask[4:8, 4:8, 4:8] = True
    return network, image, Target("label", 1, mask.numpy()), WindowPlan((12, 12, 12), (12, 12, 12)), "3"


def demo_case() -> SanityCase:
    """The demo weights on one window of the phantom, with the label that fills most of it as target."""
    import numpy as np
    import torch

    from Agg2ExpLib.attribution.stitched import Target
    from Agg2ExpLib.inference.sliding_window import WindowPlan
    from Agg2ExpLib.io.grid import Grid, model_grid
    from Agg2ExpLib.io.resample import resample
    from Agg2ExpLib.io.volume import Volume
    from Agg2ExpLib.models.model import demo_weights, load_model
    from Agg2ExpLib.synthetic.phantom import make_phantom

    model, phantom = load_model(demo_weights()), make_phantom(0)
    ct = Volume(phantom.ct, phantom.affine)
    hu = resample(ct, model_grid(Grid(phantom.ct.shape, phantom.affine), model.card.spacing), "linear")
    size = model.card.roi_size
    start = [max((side - roi) // 2, 0) for side, roi in zip(hu.shape, size, strict=True)]
    part = hu[tuple(slice(at, at + roi) for at, roi in zip(start, size, strict=True))]
    image = torch.from_numpy(model.card.preprocessing.intensities(part))
    plan = WindowPlan(image.shape, size)
    with torch.no_grad():
        labels = model.network(plan.pad(image)[None, None])[0].argmax(0)[plan.inside].numpy()
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    label = int(counts.argmax())
    return model.network, image, Target(model.card.labels[label].name, label, labels == label), plan, "2"


def randomisation_table(case: SanityCase, samples: int, cut: dict[str, int]) -> list[str]:
    from Agg2ExpLib.attribution.expected_gradients import ExpectedGradients
    from Agg2ExpLib.attribution.methods import METHODS, attribute
    from Agg2ExpLib.attribution.spec import MethodSpec
    from Agg2ExpLib.attribution.stitched import StitchedGradient
    from Agg2ExpLib.evaluation.sanity import parameter_randomisation
    from Agg2ExpLib.inference.compute import BatchSize, choose_compute
    from Agg2ExpLib.monitor import Monitor, Stage

    network, image, target, plan, layer = case
    compute, monitor = choose_compute("cpu", "float32"), Monitor()
    lines = [f"Spearman correlation with the map of the unshuffled network, target {target.name}.", ""]
    for name in METHODS:
        settings = {"samples": samples, "steps": samples, "layer": layer, "supervoxels": "cubes", **cut}
        method = MethodSpec.picked(name, settings).make()
        if isinstance(method, ExpectedGradients):
            method.images = [image.flip(0), image.flip(1)]  # scans of other bodies, as far as the network is concerned

        def explain(changed: torch.nn.Module, method: Method = method) -> np.ndarray:
            engine = StitchedGradient(changed, plan, [target], compute, BatchSize(compute, monitor, 1))
            return attribute(engine, image, method, Stage(monitor, "explain", 0, 1))[target.name].numpy()

        found = parameter_randomisation(network, explain)
        if lines[-1] == "":
            lines += [f"| method | {' | '.join(one.layer for one in found)} |", "|---" * (len(found) + 1) + "|"]
        cells = ["undefined" if one.correlation is None else f"{one.correlation:.2f}" for one in found]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def completeness_table(case: SanityCase) -> list[str]:
    from Agg2ExpLib.attribution.baselines import BASELINES, make_baseline
    from Agg2ExpLib.attribution.integrated_gradients import RULES
    from Agg2ExpLib.attribution.methods import attribute, make_method
    from Agg2ExpLib.attribution.stitched import StitchedGradient
    from Agg2ExpLib.inference.compute import BatchSize, choose_compute
    from Agg2ExpLib.monitor import Monitor, Stage

    network, image, target, plan, _ = case
    compute, monitor = choose_compute("cpu", "float64"), Monitor()
    engine = StitchedGradient(network.double(), plan, [target], compute, BatchSize(compute, monitor, 1), -0.25)
    columns = [(rule, 20) for rule in RULES]
    lines = [
        "Sum of the map divided by the change of the target (1 is complete); air is -0.25 here, but the same as zero for the usual "
        "intensity range.",
        "",
        f"| baseline | {' | '.join(f'{rule}, {steps} steps' for rule, steps in columns)} |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for baseline in BASELINES:
        change = engine.values(image)[target.name] - engine.values(make_baseline(baseline, image, -0.25))[target.name]
        cells = []
        for rule, steps in columns:
            method = make_method("integrated_gradients", steps=steps, rule=rule, baseline=baseline)
            total = float(attribute(engine, image, method, Stage(monitor, "explain", 0, 1))[target.name].sum())
            cells.append(f"{total / change:.4f}")
        lines.append(f"| {baseline} | {' | '.join(cells)} |")
    return lines


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", action="store_true", help="only shuffle the demo weights, layer by layer (slow)")
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--section", help="heading in RESULTS.md that the tables replace")
    parser.add_argument("--smoke", action="store_true", help="only see whether it runs: one sample or step, few supervoxels")
    args = parser.parse_args(argv)
    args.samples = 2 if args.smoke else args.samples
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    if args.demo:
        lines = [
            f"{date.today()}. Demo weights on a window of the phantom, {args.samples} samples or steps, 27 cubes and 40 coalitions."
        ]
        lines += ["", *randomisation_table(demo_case(), args.samples, {"regions": 27, "coalitions": 40})]
    else:
        case = small_case()
        lines = [f"{date.today()}. Ground truth:", "", *ground_truth_table()]
        lines += ["", "Shuffled weights, layer after layer (a small random network):", ""]
        few, usual = {"regions": 8, "coalitions": 20}, {"regions": 64, "coalitions": 200}
        lines += randomisation_table(case, args.samples, few if args.smoke else usual)
        lines += ["", "Completeness of integrated gradients (the same small network):", "", *completeness_table(case)]
    print("\n".join(lines))
    if args.section:
        from compare import write_section

        write_section(args.section, "\n".join(lines))


if __name__ == "__main__":
    main()
