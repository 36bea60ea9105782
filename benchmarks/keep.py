"""Windows left out (``--keep``): how many passes that saves, and how far map and matrix are from the exact ones.

python benchmarks/keep.py --section "Windows left out"
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

KEEPS = (1.0, 0.999, 0.99, 0.95, 0.9)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", help="default: the demo network")
    parser.add_argument("--ct", help="default: a phantom")
    parser.add_argument("--labels", default="aorta,heart,kidney_left,spleen")
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
    import Agg2ExpLib as agg2exp
    from Agg2ExpLib.io.write import write_volume
    from Agg2ExpLib.models.model import demo_weights
    from Agg2ExpLib.synthetic.phantom import make_phantom

    keeps: tuple[float, ...] = KEEPS
    labels = tuple(args.labels.split(","))
    weights, ct = args.weights or demo_weights(), args.ct
    if args.smoke:
        from smoke import coarse_phantom, tiny_weights

        weights, ct, keeps, labels = tiny_weights(folder), coarse_phantom(folder / "ct.nrrd"), (1.0, 0.9), ()
    model = agg2exp.Model.load(weights)
    if ct is None:
        phantom = make_phantom(0, tuple(model.card.spacing))
        ct = folder / "ct.nii.gz"
        write_volume(ct, phantom.ct, phantom.affine, compress=True)
    if not args.smoke:
        found = agg2exp.segment(ct, model, overlap=args.overlap, blend=args.blend, device="cpu").run["labels"]
        there = {entry["name"] for entry in found if entry["volume_ml"] > 0}
        labels = tuple(name for name in labels if name in there)
    results = {
        keep: agg2exp.explain(
            ct, model, labels, "gradient", overlap=args.overlap, blend=args.blend, device="cpu", precision="float32", keep=keep
        )
        for keep in keeps
    }
    exact = results[1.0]
    grid = " × ".join(map(str, exact.segmentation.shape))
    lines = [
        f"{date.today()}, {exact.run['device']}, float32. {model.name}, grid {grid}, windows of "
        f"{' × '.join(map(str, model.card.roi_size))} with overlap {args.overlap:g}, {args.blend}; plain gradient. Passes: "
        "forward and backward, of all labels together. For each label the windows left out, the share of its weight in them, and "
        "how far its map (‖difference‖ / ‖exact‖) and its row of the matrix (largest difference) are from the exact ones.",
        "",
        "| keep | passes | label | windows left out | weight left out | map | matrix (percentage points) |",
        "|---|---|---|---|---|---|---|",
    ]
    for keep, result in results.items():
        if keep == 1:
            lines.append(f"| 1 | {exact.run['windows']['passes']} | all | 0 | 0 | exact | exact |")
            continue
        for label in exact.maps:
            told = result.run["left_out"][label]
            apart, whole = result.maps[label] - exact.maps[label], exact.maps[label]
            assert result.matrix is not None
            assert exact.matrix is not None
            row = exact.matrix.rows.index(label)
            shares = 100 * float(np.abs(result.matrix.mass[row] - exact.matrix.mass[row]).max())
            error = float(np.linalg.norm(apart) / np.linalg.norm(whole))
            lines.append(
                f"| {keep:g} | {result.run['windows']['passes']} | {label} | {told['windows']} | "
                f"{100 * told['weight']:.2f} % | {100 * error:.2f} % | {shares:.3f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
