"""Do slice attention, signed contributions or gradients find the slices of a finding? Synthetic chests, where they are known.

python benchmarks/slice_localisation.py [--data ../shared/data] [--seeds 1] [--chests 25] [--keep DIR] [--smoke]

Classifiers with attention and with mean pooling, of one recipe (chests of 8 mm painted on two TotalSegmentator label maps and four
phantoms, a small ResNet), are asked about chests that no training saw, each with one finding alone, with or without contrast agent.
A slice is true where it holds a voxel of the painted mask. Area under precision and recall over the slices of a chest, then the
mean over chests and seeds:

- attention weights (mean over heads, one for all classes; with mean pooling all alike, so the share of true slices);
- signed contributions: exact, of the finding's class;
- gradient: sum of |∂ logit / ∂ voxel| over a slice.

With --keep what was trained is not trained again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from demo_classifier import FIRST_SEED, LABEL_MAPS  # noqa: E402

from Agg2ExpLib.synthetic.findings import CONTRAST, EFFUSION, LEFT, NODULE, RIGHT, draw_patient  # noqa: E402

if TYPE_CHECKING:
    from Agg2ExpLib.models.model import Model
    from Agg2ExpLib.synthetic.scans import Anatomy

SHAPE, SPACING, NODULES_MM = (50, 40, 45), 8.0, (16.0, 30.0)
RESNET = {"block_inplanes": [16, 32, 64, 128], "conv1_t_size": 3, "conv1_t_stride": 2, "no_max_pool": True}
KINDS = ("attention", "mean")
VOLUMES, STEPS, BATCH, PEAK, HU_WINDOW = 600, 300, 8, 1e-3, (-600.0, 400.0)
ASKED = (LEFT, RIGHT, EFFUSION, NODULE)
MEASURES = ("attention weights", "signed contributions", "gradient")


def train(kind: str, seed: int, maps: Sequence[Path], folder: Path, smoke: bool) -> Model:
    """A classifier of the recipe; what was trained before is read."""
    from Agg2ExpLib.models.model import load_model
    from Agg2ExpLib.training.classification_task import ClassificationTask
    from Agg2ExpLib.training.findings_source import FindingsSource
    from Agg2ExpLib.training.kinds import settings_of
    from Agg2ExpLib.training.trainer import Trainer

    steps = 1 if smoke else STEPS
    given = {"network": "slice_resnet10", "network_options": {**RESNET, "pooling": kind}, "roi": SHAPE, "spacing": (SPACING,) * 3}
    recipe = {
        "steps": steps,
        "batch": BATCH,
        "learning_rate": PEAK,
        "warmup": steps // 10,
        "validate_every": steps,
        "save_every": 20,
    }
    settings = settings_of(
        "classification", {**given, **recipe, "hu_window": HU_WINDOW, "seed": seed, "keep": "last", "accelerator": "cpu"}
    )
    source = FindingsSource(maps, 1 if smoke else 4, settings, folder / "cache", 24 if smoke else VOLUMES, 8)
    task = ClassificationTask(settings, source)
    name = f"{kind}_{seed}"
    if not (folder / f"{name}.json").exists():
        trainer = Trainer(task, folder, name)
        trainer.run()
        (folder / f"{name}.json").write_text(task.card(trainer.progress, {}, None, None).to_json(), encoding="utf-8")
    return load_model(folder / f"{name}.safetensors")


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


def measure(models: dict[str, list[Model]], bodies: Sequence[Anatomy], count: int) -> list[str]:
    """The table: mean over chests of a finding, and over the seeds, whose spread is given."""
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
            patient = draw_patient(bodies, rng, SHAPE, SPACING, wanted, NODULES_MM)
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
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--chests", type=int, default=25, help="with each finding")
    parser.add_argument("--kinds", default=",".join(KINDS), help="of pooling, a comma between")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for painted chests and weights, so that the benchmark can go on")
    parser.add_argument("--smoke", action="store_true", help="one step each, two chests of a phantom")
    args = parser.parse_args(arguments)
    import torch

    from Agg2ExpLib.synthetic.phantom import phantom_anatomy
    from Agg2ExpLib.synthetic.scans import load_anatomy

    torch.set_num_threads(args.threads)
    seeds, chests = (1, 2) if args.smoke else (args.seeds, args.chests)
    maps = [] if args.smoke else [args.data / "totalsegmentator-labels" / name for name in LABEL_MAPS]
    models: dict[str, list[Model]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for seed in range(seeds):
            for kind in args.kinds.split(","):
                models.setdefault(kind, []).append(train(kind, seed, maps, folder, args.smoke))
                print(f"{kind}, seed {seed}: trained", file=sys.stderr, flush=True)
    bodies = [load_anatomy(path) for path in maps] + [phantom_anatomy(FIRST_SEED + k) for k in range(1 if args.smoke else 2)]
    print(f"{date.today()}, {chests} chests with each finding, {seeds} seed(s), torch {torch.__version__}:\n")
    print(*measure(models, bodies, chests), sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
