"""Windows left out (``--keep``): how many passes that saves, and how far map and matrix are from the exact ones.

python benchmarks/keep.py --section "Windows left out"
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

if TYPE_CHECKING:
    import torch

    from Agg2ExpLib.attribution.stitched import StitchedGradient

KEEPS = (0.999, 0.99, 0.95, 0.9)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", help="default: the demo network")
    parser.add_argument("--ct", help="default: a phantom")
    parser.add_argument("--labels", default="aorta,heart,kidney_left,spleen")
    parser.add_argument("--roi", metavar="X,Y,Z", help="voxels of a window, smaller for more windows; default: the model's own")
    parser.add_argument("--overlap", type=float, default=0.5)
    parser.add_argument("--blend", default="gaussian")
    parser.add_argument("--section", help="heading in RESULTS.md that the table replaces")
    parser.add_argument("--smoke", action="store_true", help="only see whether it runs: a tiny network and grid")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse(argv)
    with tempfile.TemporaryDirectory() as folder:
        text = measure(args, Path(folder))
    print(text)
    if args.section:
        from compare import write_section

        write_section(args.section, text)


def measure(args: argparse.Namespace, folder: Path) -> str:
    """The table."""
    from Agg2ExpLib.attribution.stitched import Target
    from Agg2ExpLib.inference.compute import choose_compute
    from Agg2ExpLib.inference.network import at_work
    from Agg2ExpLib.io.read import read_ct
    from Agg2ExpLib.io.volume import Volume
    from Agg2ExpLib.models.model import Model, demo_weights, load_model
    from Agg2ExpLib.monitor import Monitor, Stage
    from Agg2ExpLib.roi_importance.matrix import Regions, importance_matrix
    from Agg2ExpLib.runs.case import make_case
    from Agg2ExpLib.synthetic.phantom import make_phantom

    weights, ct = Path(args.weights or demo_weights()), args.ct
    keeps: tuple[float, ...] = KEEPS
    labels = args.labels.split(",")
    if args.smoke:
        from smoke import coarse_phantom, tiny_weights

        weights, ct, keeps, labels = tiny_weights(folder), coarse_phantom(folder / "ct.nrrd"), KEEPS[:1], []
    model, compute, monitor = load_model(weights), choose_compute("cpu", "float32"), Monitor()
    if args.roi:
        x, y, z = (int(side) for side in args.roi.split(","))
        model = Model(model.network, replace(model.card, roi_size=(x, y, z)), name=model.name)
    if ct is None:
        phantom = make_phantom(0, tuple(model.card.spacing))
        volume = Volume(phantom.ct, phantom.affine, "phantom")
    else:
        volume = read_ct(Path(ct))
    case = make_case(volume, model, compute, monitor, args.overlap, args.blend)
    with at_work(model.network, compute):
        drawn = case.segment(Stage(monitor, "segment", 0, 1))
        targets = [
            Target(label.name, model.card.channel(label), drawn.mask(label.index))
            for label in model.card.labels[1:]
            if (label.name in labels or not labels) and drawn.mask(label.index).any()
        ]
        engines = {keep: case.engine(targets, keep=keep) for keep in (1.0, *keeps)}
        maps = gradients(engines, case.image)
    regions = Regions(drawn.labels, [label.name for label in model.card.labels], ())
    matrices = {
        keep: importance_matrix(regions, {name: regions.sums(values) for name, values in found.items()})
        for keep, found in maps.items()
    }
    exact = engines[1.0]
    grid, sides = (" × ".join(map(str, numbers)) for numbers in (case.grid.shape, case.plan.roi_size))
    lines = [
        f"{date.today()}, {compute.device_name}, float32. {model.name}, {volume.name}, grid {grid}, {len(case.plan.windows)} "
        f"windows of {sides} with overlap {args.overlap:g}, {args.blend}; plain gradient. Passes: forward and "
        "backward, of all labels together. For each label the windows left out of those that it meets, the share of its weight in "
        "them, and how far its map "
        "(‖difference‖ / ‖exact‖) and its row of the matrix (largest difference) are from the exact ones.",
        "",
        "| keep | passes | label | windows left out | weight left out | map | matrix (percentage points) |",
        "|---|---|---|---|---|---|---|",
        f"| 1 | {exact.cost} | all | none | none | exact | exact |",
    ]
    for keep in keeps:
        for number, target in enumerate(targets):
            met = sum(number in numbers for _, numbers in exact.visits)
            count, share = engines[keep].left_out[target.name]
            whole = maps[1.0][target.name]
            error = float(np.linalg.norm(maps[keep][target.name] - whole) / np.linalg.norm(whole))
            rows = [matrices[which].mass[matrices[which].rows.index(target.name)] for which in (1.0, keep)]
            lines.append(
                f"| {keep:g} | {engines[keep].cost} | {target.name} | {count} of {met} | {100 * share:.2f} % | "
                f"{100 * error:.2f} % | {100 * float(np.abs(rows[1] - rows[0]).max()):.3f} |"
            )
    return "\n".join(lines)


def gradients(engines: dict[float, StitchedGradient], image: torch.Tensor) -> dict[float, dict[str, np.ndarray]]:
    """The gradient of every target for every share, each window's computed once: they are sums over fewer and fewer windows."""
    exact = engines[1.0]
    plan = exact.plan
    padded = plan.pad(image, exact.pad_value)
    stay = {keep: {(str(window), number) for window, met in engine.visits for number in met} for keep, engine in engines.items()}
    sums = {keep: engine.new_buffers() for keep, engine in engines.items()}
    for done, (window, met) in enumerate(exact.visits, start=1):
        for number, (gradient,) in zip(met, exact._gradients([window], met, [padded], None), strict=True):
            for keep in engines:
                if (str(window), number) in stay[keep]:
                    sums[keep][exact.targets[number].name][window] += gradient
        print(f"window {done} of {len(exact.visits)}", file=sys.stderr, flush=True)
    return {keep: {name: total[plan.inside].numpy() for name, total in found.items()} for keep, found in sums.items()}


if __name__ == "__main__":
    main()
