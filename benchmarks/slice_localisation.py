"""Do slice attention, signed contributions or gradients find the slices of a finding? Synthetic chests, where they are known.

python benchmarks/slice_localisation.py [--attention FILE …] [--mean FILE …] [--data ../shared/data] [--chests 25] [--smoke]

The classifiers are of one recipe; that with attention pooling is the shipped demo classifier where no other is named, and
``python benchmarks/demo_classifier.py --train DIR --pooling mean`` makes one with mean pooling. They are asked about chests that no
training saw, each with one finding alone, with or without contrast agent. A slice is true where it holds a voxel of the painted
mask. Area under precision and recall over the slices of a chest, then the mean over chests and classifiers:

- attention weights (mean over heads, one for all classes; with mean pooling all alike, so the share of true slices);
- signed contributions: exact, of the finding's class;
- gradient: sum of |∂ logit / ∂ voxel| over a slice.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from demo_classifier import FIRST_SEED, LABEL_MAPS, NODULES_MM, SHAPE, SPACING  # noqa: E402

from Agg2ExpLib.synthetic.findings import CONTRAST, EFFUSION, LEFT, NODULE, RIGHT, draw_patient  # noqa: E402

if TYPE_CHECKING:
    from Agg2ExpLib.models.model import Model
    from Agg2ExpLib.synthetic.scans import Anatomy

ASKED = (LEFT, RIGHT, EFFUSION, NODULE)
MEASURES = ("attention weights", "signed contributions", "gradient")


def slices(model: Model, ct: np.ndarray, finding: str) -> dict[str, np.ndarray]:
    """Importance of every axial slice of a CT by each measure."""
    import torch

    network: Any = model.network
    channel = model.labels.index(finding)
    image = torch.from_numpy(model.card.preprocessing.intensities(ct))[None, None].requires_grad_()
    with torch.no_grad():
        weights, parts, _ = network.slice_parts(network.slice_features(image)[0])
    (gradient,) = torch.autograd.grad(network(image)[0, channel], image)
    return {
        MEASURES[0]: weights.numpy(),
        MEASURES[1]: parts[channel].numpy(),
        MEASURES[2]: gradient[0, 0].abs().sum((0, 1)).numpy(),
    }


def measure(models: dict[str, list[Model]], bodies: Sequence[Anatomy], count: int, coarser: int = 1) -> list[str]:
    """The table: mean over chests of a finding, and over the seeds, whose spread is given; voxels are ``coarser`` times as wide."""
    shape, spacing = [side // coarser for side in SHAPE], SPACING * coarser
    from sklearn.metrics import average_precision_score, roc_auc_score

    found: dict[tuple[str, int, str, str], list[float]] = {}
    chance: dict[str, list[float]] = {name: [] for name in ASKED}
    logits: dict[tuple[str, int], list[np.ndarray]] = {}
    truth: list[np.ndarray] = []
    every = [(kind, seed, model) for kind, trained in models.items() for seed, model in enumerate(trained)]
    for k in range(count):
        for number, finding in enumerate((*ASKED, None)):  # and one chest without any
            rng = np.random.default_rng((FIRST_SEED + 1, k, number))
            wanted = [name for name in (finding, CONTRAST if k % 2 else None) if name]
            patient = draw_patient(bodies, rng, shape, spacing, wanted, NODULES_MM)
            truth.append(patient.target(ASKED))
            for kind, seed, model in every:
                logits.setdefault((kind, seed), []).append(_logits(model, patient.ct))
            true = patient.masks[finding].any((0, 1)) if finding in patient.masks else None
            if finding is None or true is None or true.all():
                continue
            chance[finding].append(float(true.mean()))
            for kind, seed, model in every:
                for name, values in slices(model, patient.ct, finding).items():
                    found.setdefault((kind, seed, name, finding), []).append(float(average_precision_score(true, values)))
    lines = [f"| pooling | what | {' | '.join(ASKED)} |", f"|---|---|{'---|' * len(ASKED)}"]
    lines.append(f"| - | share of true slices | {' | '.join(f'{np.mean(chance[name]):.3f}' for name in ASKED)} |")
    for kind, trained in models.items():
        seeds = range(len(trained))
        columns = [trained[0].labels.index(name) for name in ASKED]
        areas = [
            [roc_auc_score(np.array(truth)[:, a], np.array(logits[kind, seed])[:, b]) for seed in seeds]
            for a, b in enumerate(columns)
        ]
        lines.append(f"| {kind} | AUROC of the class | {' | '.join(_told(row) for row in areas)} |")
        for name in MEASURES:
            rows = [[float(np.mean(found[kind, seed, name, finding])) for seed in seeds] for finding in ASKED]
            lines.append(f"| {kind} | {name}, AUPRC | {' | '.join(_told(row) for row in rows)} |")
    return lines


def _told(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f}" + (f" ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else "")


def _logits(model: Model, ct: np.ndarray) -> np.ndarray:
    import torch

    with torch.no_grad():
        found: np.ndarray = model.network(torch.from_numpy(model.card.preprocessing.intensities(ct))[None, None])[0].numpy()
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attention", type=Path, nargs="+", help="weights, one of each seed (default: the shipped classifier)")
    parser.add_argument("--mean", type=Path, nargs="+", default=[], help="weights with mean pooling")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--chests", type=int, default=25, help="with each finding")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="two chests of a phantom")
    args = parser.parse_args(arguments)
    import torch

    from Agg2ExpLib.models.model import demo_classifier, load_model
    from Agg2ExpLib.synthetic.phantom import phantom_anatomy
    from Agg2ExpLib.synthetic.scans import load_anatomy

    torch.set_num_threads(args.threads)
    files = {"attention": args.attention or [demo_classifier()], "mean": args.mean}
    models = {kind: [load_model(path) for path in paths] for kind, paths in files.items() if paths}
    chests = 2 if args.smoke else args.chests
    maps = [] if args.smoke else [args.data / "totalsegmentator-labels" / name for name in LABEL_MAPS]
    bodies = [load_anatomy(path) for path in maps] + [phantom_anatomy(FIRST_SEED + k) for k in range(1 if args.smoke else 2)]
    print(f"{date.today()}, {chests} chests with each finding, torch {torch.__version__}:\n")
    print(*measure(models, bodies, chests, 2 if args.smoke else 1), sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
